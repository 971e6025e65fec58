//! The command line, through the real program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::program::{command, freshen, run};

const MANIFESTS: &str = r#"
apiVersion: freshen/v1
kind: Cdn
metadata: { name: dynamic-media }
spec:
  dynamicMedia:
    region: northAmerica
    company: AcmeCorp
    publishServers: ["https://s7d1.scene7.com"]
    credentials: { user: { env: IPS_USER }, password: { env: IPS_PASSWORD } }
---
apiVersion: freshen/v1
kind: AssetSet
metadata: { name: bags }
spec:
  assets: [backpack, { id: tote, revision: "2" }]
"#;

/// A folder with these manifests.
fn with(manifests: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("manifests")).unwrap();
    std::fs::write(folder.path().join("manifests/all.yaml"), manifests).unwrap();
    folder
}

/// The help of a command, and of all below it, by their words.
fn explain_all(words: &[&str], helps: &mut BTreeMap<String, String>) {
    let help = freshen(Path::new("."), &[words, &["--help"]].concat());
    assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{words:?}");
    let listed = help.stdout.lines().skip_while(|line| *line != "Commands:");
    let listed = listed
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with(' '))
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !matches!(*name, "" | "help"));
    for name in listed {
        explain_all(&[words, &[name]].concat(), helps);
    }
    helps.insert(words.join("-"), help.stdout);
}

#[test]
fn every_command_explains_itself() {
    let mut helps = BTreeMap::new();
    explain_all(&[], &mut helps);
    assert!(helps.contains_key("state-mv"), "{:?}", helps.keys());
    let mut expected = BTreeSet::new();
    for (words, help) in helps {
        let name = if words.is_empty() { "help" } else { &words };
        insta::assert_snapshot!(format!("help-{name}"), help);
        expected.insert(name.to_owned());
    }
    let present = std::fs::read_dir("tests/it/snapshots").unwrap();
    let present = present.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let present = present.filter_map(|file| {
        let name = file.strip_prefix("it__cli__help-")?;
        Some(name.strip_suffix(".snap")?.to_owned())
    });
    let present: BTreeSet<String> = present.collect();
    assert_eq!(present, expected, "a snapshot of a command that is gone");
}

#[test]
fn a_wrong_command_line_exits_with_64() {
    for arguments in [
        &["--nonsense"][..],
        &["plan", "--nonsense"],
        &["plan", "-o", "sarif"],
        &["reconcile", "--max-time", "30"],
        &["suspend"],
        &["suspend", "--all", "--set", "bags"],
        &["invalidate"],
        &["schema", "nonsense"],
        &["reconcile", "--allow-endpoint", "ips.example"],
        &["reconcile", "--allow-endpoint", "http://ips.example"],
        &["invalidate", "--url", "x", "--allow-endpoint", "*"],
    ] {
        let wrong = freshen(Path::new("."), arguments);
        assert_eq!(
            wrong.code, 64,
            "{arguments:?}: {}{}",
            wrong.stdout, wrong.stderr
        );
        assert!(wrong.stderr.starts_with("error: "), "{}", wrong.stderr);
    }
}

#[test]
fn expand_prints_the_urls_and_nothing_else() {
    let folder = with(MANIFESTS);
    let expanded = freshen(folder.path(), &["expand"]);
    assert_eq!(expanded.code, 0, "{}", expanded.stderr);
    insta::assert_snapshot!(expanded.stdout, @r"
    https://s7d1.scene7.com/is/image/AcmeCorp/backpack
    https://s7d1.scene7.com/is/image/AcmeCorp/tote
    ");
}

#[test]
fn a_plan_says_what_and_why_and_writes_nothing() {
    let folder = with(MANIFESTS);
    let plan = freshen(folder.path(), &["plan", "-v"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    insta::assert_snapshot!(plan.stdout, @r"
    + bags  dynamic-media  +2 of 2 URLs  new set  ./manifests/all.yaml:14
        https://s7d1.scene7.com/is/image/AcmeCorp/backpack
        https://s7d1.scene7.com/is/image/AcmeCorp/tote

    Plan: 2 URLs to send in 1 call, at once at the declared rate.
    ");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let detailed = freshen(folder.path(), &["plan", "--detailed-exitcode"]);
    assert_eq!(detailed.code, 2);
}

#[test]
fn a_broken_manifest_is_shown_at_its_line_and_stops_no_other() {
    let broken = format!(
        "{MANIFESTS}---\napiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: typo }}\nspec:\n  asets: [a]\n"
    );
    let folder = with(&broken);
    let validated = freshen(folder.path(), &["validate"]);
    assert_eq!(validated.code, 4, "{}", validated.stdout);
    assert!(
        validated.stdout.contains("manifests/all.yaml:22:3"),
        "{}",
        validated.stdout
    );
    let plan = freshen(folder.path(), &["plan"]);
    assert_eq!(plan.code, 4, "{}", plan.stdout);
    assert!(plan.stdout.contains("bags"), "{}", plan.stdout);
}

#[test]
fn flags_can_be_given_as_environment_variables() {
    let folder = with(MANIFESTS);
    std::fs::rename(folder.path().join("manifests"), folder.path().join("a")).unwrap();
    std::fs::create_dir(folder.path().join("b")).unwrap();
    std::fs::write(
        folder.path().join("b/more.yaml"),
        "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: { name: hats }\nspec: { assets: [cap] }\n",
    )
    .unwrap();
    let validated = run(command(folder.path())
        .env("FRESHEN_MANIFESTS", "a:b")
        .env("FRESHEN_OUTPUT", "json")
        .arg("validate"));
    let found: serde_json::Value = serde_json::from_str(&validated.stdout).unwrap();
    assert_eq!(found["assetSets"], 2, "{}", validated.stdout);
}

#[test]
fn github_gets_annotations_a_summary_and_an_output() {
    let folder = with(MANIFESTS);
    let (summary, output) = (folder.path().join("summary"), folder.path().join("output"));
    let plan = run(command(folder.path())
        .env("GITHUB_STEP_SUMMARY", &summary)
        .env("GITHUB_OUTPUT", &output)
        .args(["plan", "-o", "github"]));
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    assert_eq!(std::fs::read_to_string(output).unwrap(), "changed=true\n");
    assert!(
        std::fs::read_to_string(summary)
            .unwrap()
            .starts_with("### Plan\n")
    );
}

#[test]
fn files_of_github_that_cannot_be_written_change_no_result() {
    let folder = with(MANIFESTS);
    let missing = folder.path().join("missing/file");
    let plan = run(command(folder.path())
        .env("GITHUB_STEP_SUMMARY", &missing)
        .env("GITHUB_OUTPUT", &missing)
        .args(["plan", "-o", "github"]));
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    assert!(plan.stdout.contains("Plan: 2 URLs"), "{}", plan.stdout);
    for variable in ["$GITHUB_STEP_SUMMARY", "$GITHUB_OUTPUT"] {
        let warning = format!("warning: failed to write to {variable}, `");
        assert!(plan.stderr.contains(&warning), "{}", plan.stderr);
    }
}

/// Manifests that try to speak for us in a job's log and on its page.
fn hostile() -> tempfile::TempDir {
    let folder = with(&format!(
        "{MANIFESTS}---\napiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: urls }}\nspec:\n  urls:\n    - \"https://s7d1.scene7.com/is/image/AcmeCorp/a?```@team::error::x\"\n---\napiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: bad }}\nspec:\n  urls:\n    - \"https://s7d1.scene7.com/</details>@team::error::x\"\n"
    ));
    let broken = "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: { name: typo }\nspec:\n  \"```</details>@team\\n::error::injected\\r::set-output name=x::y\": 1\n";
    let path = folder.path().join("manifests/a,line=1::```<details>.yaml");
    std::fs::write(path, broken).unwrap();
    folder
}

#[test]
fn manifests_cannot_speak_for_us_in_a_jobs_log() {
    let folder = hostile();
    let plan = freshen(folder.path(), &["plan", "-v", "-o", "github"]);
    assert_eq!(plan.code, 4, "{}{}", plan.stdout, plan.stderr);
    assert!(
        plan.stdout.contains("file=./manifests/a%2Cline=1%3A%3A"),
        "{}",
        plan.stdout
    );
    for line in plan
        .stdout
        .split(['\n', '\r'])
        .chain(plan.stderr.split(['\n', '\r']))
    {
        let is_ours = line.starts_with("::error file=./manifests/a");
        assert!(is_ours || !line.trim_start().starts_with("::"), "{line}");
    }
}

#[test]
fn manifests_cannot_speak_for_us_in_a_comment() {
    let folder = hostile();
    let plan = freshen(folder.path(), &["plan", "-v", "-o", "markdown"]);
    assert_eq!(plan.code, 4, "{}{}", plan.stdout, plan.stderr);
    let mut fence = None;
    let mut is_seen = false;
    for line in plan.stdout.lines() {
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => is_seen |= line.contains("a?```@team::error::x"),
            None if line.starts_with("```") => fence = Some(line),
            None => {
                let is_ours = line == "</details>" || !line.contains("</details>");
                assert!(is_ours, "{line}");
                assert!(!line.contains("@team"), "{line}");
            }
        }
    }
    assert_eq!(fence, None, "{}", plan.stdout);
    assert!(is_seen, "{}", plan.stdout);
}

#[test]
fn init_writes_valid_manifests_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let written = freshen(folder.path(), &["init"]);
    assert_eq!(written.code, 0, "{}", written.stderr);
    assert_eq!(freshen(folder.path(), &["validate"]).code, 0);
    let path = folder.path().join("manifests/set.yaml");
    std::fs::write(&path, "# mine\n").unwrap();
    assert_eq!(freshen(folder.path(), &["init"]).code, 0);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "# mine\n");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = with(MANIFESTS);
    let mut child = command(folder.path())
        .args(["schema", "manifest"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn the_demo_runs_by_itself_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let demo = run(command(folder.path())
        .env("TMPDIR", folder.path())
        .arg("demo"));
    assert_eq!(demo.code, 0, "{}{}", demo.stdout, demo.stderr);
    let mut rest = demo.stdout.as_str();
    for step in [
        "1. A visitor asks",
        "-> \"the old picture\", from the origin",
        "2. A new picture is published.",
        "-> \"the old picture\", from its cache",
        "$ freshen plan -v",
        "/is/image/AcmeCorp/backpack?$product$",
        "$ freshen reconcile",
        "accepted in 1 batch",
        "5. The visitor again",
        "-> \"the NEW picture\", from the origin",
        "$ freshen reconcile",
        "Reconciled: nothing sent",
        "The CDN saw 1 invalidation call in all.",
    ] {
        let (_, after) = rest
            .split_once(step)
            .unwrap_or_else(|| panic!("no `{step}` where it is due in: {}", demo.stdout));
        rest = after;
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
