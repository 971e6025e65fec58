//! What is generated is what is committed, and what is written fits it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use freshen::daemon::alert::{Alerter, CdnCondition, Conditions, Share, Trouble};
use serde_json::Value;

use crate::program::{Run, freshen};
use crate::world::{ROOT, World};

#[test]
fn committed_schemas_are_current() {
    let names = freshen(Path::new("."), &["schema"]).stdout;
    let mut expected = BTreeSet::new();
    for name in names.lines() {
        let schema = freshen(Path::new("."), &["schema", name]).stdout;
        let path = Path::new("schemas").join(format!("{name}.json"));
        if std::env::var_os("FRESHEN_UPDATE").is_some() {
            std::fs::create_dir_all("schemas").unwrap();
            std::fs::write(&path, &schema).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == schema,
            "{} is not current: FRESHEN_UPDATE=1 cargo test --test it schemas",
            path.display()
        );
        expected.insert(path);
    }
    let present = std::fs::read_dir("schemas").unwrap();
    let present: BTreeSet<_> = present.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(present, expected, "a schema that nothing generates");
}

#[test]
fn what_is_written_as_json_fits_its_schema() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = std::fs::canonicalize("examples/quickstart").unwrap();
    let manifests = manifests.to_str().unwrap();
    let check = |name: &str, arguments: &[&str]| {
        let mut all = vec!["--manifests", manifests, "-o", "json"];
        all.extend(arguments);
        let written = freshen(folder.path(), &all);
        fits(name, &written);
    };
    check("validate", &["validate"]);
    check("expand", &["expand"]);
    check("plan", &["plan", "-v"]);
    check("explain", &["explain", "backpack"]);
    check("reconcile", &["reconcile"]);
    check("status", &["status"]);
}

#[test]
fn every_kind_of_batch_fits_the_schema_of_the_history() {
    let world = World::new("");
    world.set("set", "  assets: [a, b, bad]");
    world.sandbox.poison(&format!("{ROOT}/bad"), false);
    world.ends(4, &["reconcile"]);
    world.ends(4, &["invalidate", "--asset", "a"]);
    let history = fits("history", &world.freshen(&["history", "-o", "json"]));
    let batches = history["batches"].as_array().unwrap().iter();
    let outcomes: BTreeSet<&str> = batches
        .map(|batch| batch["outcome"].as_str().unwrap())
        .map(|outcome| outcome.split(':').next().unwrap())
        .collect();
    let expected = BTreeSet::from(["accepted", "halved", "refused"]);
    assert!(outcomes.is_superset(&expected), "{history:#}");
    for (name, code, arguments) in [
        ("status", 4, &["status"][..]),
        ("reconcile", 4, &["reconcile"]),
        ("explain", 4, &["explain", "bad"]),
    ] {
        let run = world.freshen(&[arguments, &["-o", "json"]].concat());
        assert_eq!(run.code, code, "{name}: {}{}", run.stdout, run.stderr);
        fits(name, &run);
    }
}

#[test]
fn every_kind_of_alert_fits_its_schema_and_so_does_the_documented_one() {
    let share = |blocked: u64, refused| Share {
        blocked,
        plan: (blocked > 0).then(|| "7f3c".to_owned()),
        refused,
    };
    let in_trouble = Conditions {
        cdns: BTreeMap::from([(
            "dm".to_owned(),
            CdnCondition {
                trouble: Some(Trouble::Failing(9)),
                sets: BTreeMap::from([("spring".to_owned(), share(1, 1))]),
            },
        )]),
        broken: BTreeSet::from(["summer".to_owned()]),
        is_incomplete: false,
        is_unread: false,
    };
    let mut alerter = Alerter::default();
    let mut alerts = alerter.observe(&in_trouble, 0);
    alerts.extend(alerter.observe(&Conditions::default(), 1_000));
    assert_eq!(alerts.len(), 8);
    for alert in &alerts {
        conforms("alert", &serde_json::to_value(alert.document()).unwrap());
    }
    let documented = std::fs::read_to_string("docs/notifications.md").unwrap();
    let example = documented.split("```json").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    conforms("alert", &serde_json::from_str(example).unwrap());
}

/// What a run wrote, which must fit the committed schema of that name.
pub(crate) fn fits(name: &str, run: &Run) -> Value {
    let value: Value = serde_json::from_str(&run.stdout)
        .unwrap_or_else(|error| panic!("{name}: {error}: {}", run.stderr));
    conforms(name, &value);
    value
}

/// The committed schema of that name fits `value`.
pub(crate) fn conforms(name: &str, value: &Value) {
    let schema = std::fs::read_to_string(format!("schemas/{name}.json")).unwrap();
    let schema = serde_json::from_str(&schema).unwrap();
    if let Err(error) = jsonschema::validate(&schema, value) {
        panic!("{name}: {error}: {value}");
    }
}
