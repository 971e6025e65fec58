//! Every example is valid, and yields what its own page says.

use std::path::Path;

use crate::program::{Run, freshen};

#[test]
fn every_example_validates_without_a_finding() {
    for roots in [
        &["examples/init"][..],
        &["examples/quickstart"],
        &[
            "examples/catalogue/catalog",
            "examples/catalogue/envs/staging",
        ],
        &["examples/catalogue/catalog", "examples/catalogue/envs/prod"],
    ] {
        let run = freshen_on(roots, &["validate"]);
        assert_eq!(run.code, 0, "{roots:?}:\n{}{}", run.stdout, run.stderr);
        assert!(run.stdout.ends_with("no problems.\n"), "{}", run.stdout);
    }
}

#[test]
fn what_an_account_lists_is_all_that_validating_its_example_leaves_out() {
    let run = freshen_on(&["examples/listed"], &["validate"]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let said = run.stdout;
    assert!(said.contains("the set `spring` is left out"), "{said}");
    assert!(said.contains("1 warning"), "{said}");
}

#[test]
fn the_realistic_catalogue_yields_2500_items_in_three_calls() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("freshen.db");
    let roots = ["examples/catalogue/catalog", "examples/catalogue/envs/prod"];
    let run = freshen_on(
        &roots,
        &["--state", state.to_str().unwrap(), "plan", "-o", "json"],
    );
    let plan: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(plan["items"], 2_500, "{}", run.stdout);
    assert_eq!(plan["calls"], 3);
    assert!(!state.exists(), "a plan creates no state");
}

#[test]
fn every_example_names_its_schema_in_the_first_line() {
    let mut folders = vec![Path::new("examples").to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What is deployed beside freshen is in other people's formats.
                if !path.ends_with("deploy") {
                    folders.push(path);
                }
            } else if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let first = text.lines().next().unwrap();
                let schema = first
                    .strip_prefix("# yaml-language-server: $schema=")
                    .unwrap_or_else(|| panic!("{} names no schema", path.display()));
                let schema = path.parent().unwrap().join(schema);
                assert!(schema.exists(), "{}: {}", path.display(), schema.display());
            }
        }
    }
}

#[test]
fn the_readme_shows_the_plan_of_its_manifest() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let block = |language: &str| {
        let (_, rest) = readme.split_once(&format!("```{language}\n")).unwrap();
        rest.split_once("```").unwrap().0
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("manifests")).unwrap();
    std::fs::write(folder.path().join("manifests/spring.yaml"), block("yaml")).unwrap();
    let plan = freshen(folder.path(), &["plan"]);
    assert_eq!(format!("$ freshen plan\n{}", plan.stdout), block("console"));
}

fn freshen_on(roots: &[&str], arguments: &[&str]) -> Run {
    let roots = roots.iter().flat_map(|root| ["--manifests", root]);
    let arguments: Vec<&str> = roots.chain(arguments.iter().copied()).collect();
    freshen(Path::new("."), &arguments)
}
