//! Expansion from manifests on: golden cases, and what digests of inputs see.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use freshen::declare::{Declared, Options, declare};
use freshen::digest::{ItemKind, Key};
use freshen::load;
use freshen::manifest::Problem;
use tempfile::TempDir;

fn declared(root: &Path) -> Declared {
    let options = Options {
        manifests: vec![root.to_owned()],
        max_expansion: 1_000_000,
        known: std::sync::Arc::default(),
    };
    load::scan(&options.manifests, |tree| declare(tree, &options)).unwrap()
}

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/expand")
}

/// The URLs of all sets, sorted, one a line.
fn urls_of(declared: &Declared) -> String {
    assert_eq!(messages(&declared.problems), [""; 0]);
    let mut urls = Vec::new();
    for set in declared.sets.values() {
        let compiled = set.expand();
        assert_eq!(messages(&compiled.problems), [""; 0]);
        let expansion = compiled.expansion.unwrap();
        expansion.for_each(|url, _| urls.push(format!("{url}\n")));
    }
    urls.sort_unstable();
    urls.concat()
}

fn messages(problems: &[Problem]) -> Vec<&str> {
    problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect()
}

#[test]
fn golden_cases_expand_to_their_urls() {
    let mut count = 0;
    for case in fs::read_dir(cases()).unwrap() {
        let case = case.unwrap().path();
        let expected = fs::read_to_string(case.join("urls.txt")).unwrap();
        let found = urls_of(&declared(&case.join("manifests")));
        assert_eq!(found, expected, "{}", case.display());
        count += 1;
    }
    assert!(count >= 2);
}

const CDN: &str = "apiVersion: freshen/v1
kind: Cdn
metadata: { name: dynamic-media }
spec:
  dynamicMedia:
    region: emea
    company: Acme
    publishServers: [\"https://s\"]
    credentials: { user: { env: U }, password: { env: P } }
";

const SET: &str = "apiVersion: freshen/v1
kind: AssetSet
metadata: { name: spring }
spec:
  assets: [a, b]
  assetsFrom: [{ file: skus.txt }]
";

fn root(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(root.path().join(name), text).unwrap();
    }
    root
}

/// The inputs of the set `spring` in a root of `files`.
fn inputs(files: &[(&str, &str)]) -> String {
    let root = root(files);
    let declared = declared(root.path());
    assert_eq!(messages(&declared.problems), [""; 0]);
    declared.sets["spring"].inputs.to_string()
}

#[test]
fn comments_order_and_places_of_manifests_change_no_input() {
    let skus = ("skus.txt", "x\ny\n");
    let before = inputs(&[("cdn.yaml", CDN), ("set.yaml", SET), skus]);
    let turned = "# Moved.\r\nkind: AssetSet\r\napiVersion: freshen/v1\r\nspec:\r\n  assetsFrom: [{ file: skus.txt }]\r\n  assets:\r\n    - a # first\r\n    - b\r\nmetadata: { name: spring }\r\n";
    let both = format!("{turned}---\n{CDN}");
    assert_eq!(inputs(&[("all.yml", &both), skus]), before);
}

#[test]
fn whatever_expansion_depends_on_changes_the_inputs() {
    let skus = ("skus.txt", "x\ny\n");
    let before = inputs(&[("cdn.yaml", CDN), ("set.yaml", SET), skus]);
    let other_server = CDN.replace("https://s", "https://t");
    let other_asset = SET.replace("[a, b]", "[a, c]");
    for files in [
        [("cdn.yaml", &other_server[..]), ("set.yaml", SET), skus],
        [("cdn.yaml", CDN), ("set.yaml", &other_asset), skus],
        [("cdn.yaml", CDN), ("set.yaml", SET), ("skus.txt", "x\nz\n")],
    ] {
        assert_ne!(inputs(&files), before);
    }
    let slower = CDN.replace("spec:\n", "spec:\n  concurrency: 2\n");
    assert_eq!(
        inputs(&[("cdn.yaml", &slower), ("set.yaml", SET), skus]),
        before
    );
}

#[test]
fn a_set_whose_file_is_missing_keeps_its_last_good_state() {
    let root = root(&[("cdn.yaml", CDN), ("set.yaml", SET)]);
    let declared = declared(root.path());
    assert_eq!(
        messages(&declared.problems),
        ["cannot read `skus.txt`: it does not exist"]
    );
    assert_eq!(declared.problems[0].place.as_ref().unwrap().line, 6);
    assert_eq!(declared.broken, ["spring"]);
    assert!(declared.sets.is_empty());
    assert!(declared.is_frozen());
}

#[test]
fn two_cdns_of_one_set_may_not_be_one_account() {
    let second = CDN.replace("dynamic-media", "again");
    let set = SET.replace(
        "  assetsFrom: [{ file: skus.txt }]\n",
        "  cdns: [dynamic-media, again]\n",
    );
    let root = root(&[
        ("cdn.yaml", CDN),
        ("second.yaml", &second),
        ("set.yaml", &set),
    ]);
    let declared = declared(root.path());
    assert_eq!(declared.problems.len(), 1);
    assert_eq!(declared.problems[0].code, "same-target");
    assert_eq!(declared.broken, ["spring"]);
}

#[test]
fn a_url_outside_the_root_is_refused_where_it_stands() {
    let set = "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: { name: spring }\nspec:\n  urls:\n    - https://s/is/image/Acme/x\n    - https://s/s7viewers/html5/SpinViewer.html?asset=Acme/x\n";
    let root = root(&[("cdn.yaml", CDN), ("set.yaml", set)]);
    let compiled = declared(root.path()).sets["spring"].expand();
    assert!(compiled.expansion.is_none());
    assert_eq!(
        messages(&compiled.problems),
        [
            "Some URLs are not defined correctly: \"https://s/s7viewers/html5/SpinViewer.html?asset=Acme/x\": it is not under /is/image/Acme/ or /is/content/Acme/"
        ]
    );
    assert_eq!(compiled.problems[0].place.as_ref().unwrap().line, 7);
}

#[test]
fn a_search_in_several_steps_finds_exactly_what_is_wanted() {
    const ASSETS: u64 = 40_000;
    let ids: Vec<String> = (0..ASSETS).map(|n| format!("a{n}")).collect();
    let ids = ids.join("\n");
    let set = SET.replace(
        "  assets: [a, b]\n",
        "  urls: [\"https://s/is/image/Acme/whole\"]\n  exclude: [\"*7\"]\n",
    );
    let root = root(&[("cdn.yaml", CDN), ("set.yaml", &set), ("skus.txt", &ids)]);
    let declared = declared(root.path());
    let wire = &declared.cdns["dynamic-media"].wire;
    let expansion = declared.sets["spring"].expand().expansion.unwrap();
    let mut expected = BTreeSet::new();
    expansion.for_each(|url, _| {
        let key = Key::of(ItemKind::Url, url.as_bytes());
        if is_wanted(key) {
            expected.insert((key, url.to_owned()));
        }
    });
    assert!(expected.len() > 5_000 && !expected.iter().any(|(_, url)| url.ends_with('7')));
    for at_most in [1, 700, 1_000_000] {
        let (mut found, mut cursor, mut steps) = (Vec::new(), Some(0), 0);
        while let Some(from) = cursor {
            let wanted = |key| is_wanted(key).then_some(key);
            let step = expansion.find(wire, from, &wanted, at_most);
            assert!(step.next.is_none_or(|next| next > from), "it gets on");
            assert!(
                step.next.is_none() || step.items.len() >= at_most,
                "it stops early only when full"
            );
            found.extend(
                step.items
                    .into_iter()
                    .map(|(key, url)| (key, String::from(url))),
            );
            cursor = step.next;
            steps += 1;
        }
        assert_eq!(found.len(), expected.len(), "{at_most}: each once");
        assert_eq!(
            found.into_iter().collect::<BTreeSet<_>>(),
            expected,
            "{at_most}"
        );
        assert_eq!(
            steps == 1,
            at_most == 1_000_000,
            "{at_most}: in {steps} steps"
        );
    }
}

/// A quarter of all keys.
fn is_wanted(key: Key) -> bool {
    key.bucket(2) == 0
}
