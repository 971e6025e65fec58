//! What a person can choose: which sets, which URLs, what counts as fresh,
//! and what waits.

use std::collections::BTreeSet;

use freshen::reconcile::forcing::{self, Selection};
use freshen::sandbox::{Options, Sandbox};

use crate::flows::plan_id;
use crate::site::{IMAGES, Site, UNLIMITED, assets};
use crate::world::{ROOT, World, ids, items};

fn urls<const N: usize>(ids: [&str; N]) -> Vec<String> {
    ids.map(|id| format!("{ROOT}/{id}")).to_vec()
}

#[test]
fn a_set_that_adopts_is_recorded_as_fresh_and_sends_what_comes_later() {
    let world = World::new("");
    world.set("set", "  onCreate: adopt\n  assets: [a, b]");
    assert_eq!(world.sends(0).len(), 0);
    world.set("set", "  onCreate: adopt\n  assets: [a, b, c]");
    assert_eq!(world.sends(0), [urls(["c"])]);
    world.set(
        "set",
        "  onCreate: adopt\n  revision: '2'\n  assets: [a, b, c]",
    );
    assert_eq!(items(&world.sends(0)).len(), 3);
}

#[test]
fn bootstrap_fail_sends_nothing_to_begin_with_however_little_it_is() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    for _ in 0..2 {
        let said = world.ends(3, &["reconcile", "--bootstrap", "fail"]);
        assert!(said.contains("--bootstrap adopt"), "{said}");
        let advice = said.lines().find(|line| line.starts_with("! BLOCKED:"));
        let advice = advice.unwrap_or_default();
        assert!(
            !advice.contains("approve"),
            "no plan waits for it: {advice}"
        );
    }
    assert!(world.sandbox.calls().is_empty());
    assert_eq!(world.sends(0).len(), 1);
    world.set("set", "  assets: [a, b]");
    let later = ["reconcile", "--bootstrap", "fail"];
    assert_eq!(world.sends_by(0, &later), [urls(["b"])], "it has a past");
}

#[test]
fn more_than_the_share_allowed_of_a_set_waits_for_approval() {
    let world = World::new("");
    let declare = |revised: usize| {
        let rows = (0..200).map(|n| format!("k{n},{}\n", u32::from(n < revised)));
        let rows: String = rows.collect();
        world.write("manifests/k.csv", &format!("sku,rev\n{rows}"));
    };
    declare(0);
    world.set(
        "set",
        "  limits: { maxShare: 30% }\n  assetsFrom: [{ csv: k.csv, id: sku, revision: rev }]",
    );
    assert_eq!(items(&world.sends(0)).len(), 200);
    declare(61);
    let said = world.ends(3, &["reconcile"]);
    assert!(said.contains("61 BLOCKED"), "{said}");
    let plan = world.ends(3, &["plan"]);
    assert!(plan.contains("more than maxShare 30 % of 200"), "{plan}");
    assert_eq!(world.accepted().len(), 1);
    declare(60);
    assert_eq!(items(&world.sends(0)).len(), 60);
}

#[test]
fn one_set_is_reconciled_alone() {
    let world = World::new("");
    world.set("one", "  assets: [a]");
    world.set("two", "  assets: [b]");
    let one = ["reconcile", "--set", "two"];
    assert_eq!(world.sends_by(0, &one), [urls(["b"])]);
    assert_eq!(world.sends_by(0, &one).len(), 0);
    assert_eq!(world.sends(0), [urls(["a"])]);
    let said = world.ends(1, &["reconcile", "--set", "twoo"]);
    assert!(said.contains("did you mean `two`?"), "{said}");
}

#[test]
fn a_reconcile_lets_through_the_plans_it_is_given_and_no_others() {
    let world = World::new("");
    world.set("one", "  limits: { maxUrls: 1 }\n  assets: [a, b]");
    // A plan made before there is a state is approved by a request alone.
    assert_eq!(world.sends(3).len(), 0);
    let id = plan_id(&world.ends(3, &["plan"]));
    world.set("two", "  limits: { maxUrls: 1 }\n  assets: [c, d]");
    let sent = world.sends_by(3, &["reconcile", "--approve", &id]);
    assert_eq!(sent, [urls(["a", "b"])]);
    assert_eq!(world.sends(3).len(), 0);
}

#[test]
fn a_set_that_is_adopted_owes_nothing() {
    let world = World::new("");
    world.set("set", "  assets: [a, b]");
    world.sends(0);
    world.set("set", "  revision: '2'\n  assets: [a, b, c]");
    world.set("other", "  assets: [o]");
    world.ends(0, &["state", "adopt", "set"]);
    assert_eq!(world.sends(0), [urls(["o"])]);
    world.set("set", "  revision: '3'\n  assets: [a, b, c]");
    assert_eq!(items(&world.sends(0)).len(), 3);
}

#[test]
fn a_record_is_shown_moved_to_another_name_and_forgotten() {
    let world = World::new("");
    world.set("old", "  assets: [a, b]");
    world.sends(0);
    let shown = world.ends(0, &["state", "show"]);
    assert!(shown.contains("old"), "{shown}");
    assert!(shown.contains("2 URLs"), "{shown}");

    world.ends(0, &["state", "mv", "old", "new"]);
    world.remove("manifests/old.yaml");
    world.set("new", "  assets: [a, b]");
    let shown = world.ends(0, &["state", "show"]);
    assert!(shown.contains("new") && !shown.contains("old"), "{shown}");
    assert_eq!(world.sends(0).len(), 0);

    let said = world.ends(1, &["state", "mv", "absent", "elsewhere"]);
    assert!(said.contains("absent"), "{said}");
    world.ends(0, &["state", "forget", "new"]);
    assert_eq!(items(&world.sends(0)).len(), 2);
    let said = world.ends(1, &["state", "forget", "old"]);
    assert!(said.contains("old"), "{said}");
}

#[test]
fn what_is_sent_again_is_chosen_by_pattern_by_cdn_and_by_a_file_of_urls() {
    let world = World::new("");
    let second = Sandbox::start(Options::default()).unwrap();
    let cdn = world.cdn("second", "");
    let cdn = cdn.replace(&world.sandbox.endpoint(), &second.endpoint());
    world.write("manifests/second.yaml", &cdn);
    world.set(
        "set",
        "  cdns: [[dynamic-media, second]]\n  imagePresets: true\n  assets: [a, b]",
    );
    world.sends(0);
    let at_second = || -> BTreeSet<String> {
        let calls = second.calls().into_iter().rev().take(1);
        calls.flat_map(|call| call.urls).collect()
    };
    let presets = urls(["a?$product$", "b?$product$"]);
    let sent = world.sends_by(0, &["invalidate", "--match", "*$prod*"]);
    assert_eq!(items(&sent), BTreeSet::from_iter(presets.clone()));
    assert_eq!(at_second(), BTreeSet::from_iter(presets));

    let calls = second.calls().len();
    let one = ["invalidate", "--match", "*/b", "--cdn", "dynamic-media"];
    assert_eq!(world.sends_by(0, &one), [urls(["b"])]);
    assert_eq!(second.calls().len(), calls, "not at the other");
    let other = ["invalidate", "--asset", "a", "--cdn", "second"];
    assert_eq!(world.sends_by(0, &other).len(), 0);
    assert_eq!(at_second().len(), 3);

    let listed = format!("\u{feff}# why\r\n{ROOT}/a\r\n\n  {ROOT}/undeclared \n");
    world.write("urls.txt", &listed);
    let listed = ["invalidate", "--urls-from", "urls.txt", "--reason", "again"];
    let sent = world.sends_by(0, &listed);
    assert_eq!(items(&sent), BTreeSet::from_iter(urls(["a", "undeclared"])));
    assert_eq!(world.sends(0).len(), 0);
    for nothing in [
        &["--match", "*/nothing"][..],
        &["--asset", "absent"],
        &["--urls-from", "absent.txt"],
    ] {
        world.ends(1, &[&["invalidate"], nothing].concat());
    }
}

#[test]
fn a_suspended_cdn_is_not_called_and_its_sets_go_elsewhere() {
    for is_by_command in [true, false] {
        let world = World::new("");
        let second = Sandbox::start(Options::default()).unwrap();
        let declare = |spec: &str| {
            let cdn = world.cdn("second", spec);
            let cdn = cdn.replace(&world.sandbox.endpoint(), &second.endpoint());
            world.write("manifests/second.yaml", &cdn);
        };
        declare(if is_by_command { "" } else { "suspend: true" });
        world.set("set", "  cdns: [[dynamic-media, second]]\n  assets: [a]");
        if is_by_command {
            world.ends(0, &["suspend", "--cdn", "second"]);
        }
        assert_eq!(world.sends(4), [urls(["a"])]);
        assert!(second.calls().is_empty(), "by command: {is_by_command}");
        let said = world.ends(0, &["plan"]);
        assert!(said.contains("suspended"), "{said}");
        if is_by_command {
            world.ends(0, &["resume", "--cdn", "second"]);
        } else {
            declare("");
        }
        assert_eq!(world.sends(0).len(), 0);
        assert_eq!(second.accepted().len(), 1);
    }
}

#[test]
fn everything_is_suspended_at_once() {
    let world = World::new("");
    world.write("manifests/skus.txt", &ids("sku", 3));
    world.set("one", "  assetsFrom: [{ file: skus.txt }]");
    world.set("two", "  assets: [b]");
    world.ends(0, &["suspend", "--all"]);
    assert_eq!(world.sends(4).len(), 0);
    world.ends(0, &["resume", "--all"]);
    assert_eq!(items(&world.sends(0)).len(), 4);
}

#[test]
fn an_invalidation_looks_at_all_that_is_desired_only_where_that_is_adopted() {
    let (site, sandbox) = (Site::new(3), Sandbox::start(Options::default()).unwrap());
    site.cdn("dm", &sandbox, &[UNLIMITED]);
    site.set("sent", &[assets("bag", 3)]);
    site.set("adopted", &["onCreate: adopt".to_owned(), assets("hat", 4)]);
    let declared = site.declared();
    let url = format!("{IMAGES}/hat-0");
    let nobodys = format!("{IMAGES}/shoe-0");
    let counted = |selection: Selection| {
        let (selected, undeclared) = forcing::select(&declared, &selection);
        let found = selected.iter();
        let found = found.map(|one| (one.set.name.clone(), one.keys.len(), one.desired.len()));
        (found.collect::<Vec<_>>(), undeclared)
    };
    let all = [("adopted".to_owned(), 4, 4), ("sent".to_owned(), 3, 0)];
    assert_eq!(counted(Selection::default()), (all.to_vec(), Vec::new()));
    let named = Selection {
        urls: Some(vec![url, nobodys.clone()]),
        ..Selection::default()
    };
    let one = vec![("adopted".to_owned(), 1, 4)];
    assert_eq!(counted(named), (one, vec![nobodys]));
}
