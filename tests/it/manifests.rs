//! Golden manifests: one file for each reason; the problems stand beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use freshen::digest::Digest;
use freshen::manifest::wire::{SecretWire, Text};
use freshen::manifest::{
    Catalog, LimitsSpec, OnCreate, PresetChoice, ProviderSchemas, Readings, SourceFile,
    manifest_schema, read_again, read_catalog, schema_of,
};
use schemars::JsonSchema;
use serde::Deserialize as _;
use serde_json::Value;

/// A provider block of the tests' own.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Block {
    account: Text,
    password: Option<SecretWire>,
}

fn providers() -> ProviderSchemas {
    ProviderSchemas::from([
        ("other", schema_of::<Text>()),
        ("test", schema_of::<Block>()),
    ])
}

pub(crate) fn source(name: &str, bytes: &[u8]) -> SourceFile {
    SourceFile {
        root: 0,
        path: name.to_owned(),
        name: Arc::from(name),
        bytes: Arc::from(bytes),
        digest: Digest::of(bytes),
    }
}

fn read(bytes: &[u8]) -> Catalog {
    read_catalog(&[source("m.yaml", bytes)], &providers())
}

/// The manifests in a folder of golden cases, by name.
fn cases(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    let entries = fs::read_dir(root.join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut manifests: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    manifests.sort();
    manifests
}

fn problems(catalog: &Catalog) -> String {
    let mut text = String::new();
    for problem in &catalog.problems {
        writeln!(text, "{problem}").unwrap();
    }
    writeln!(text, "broken sets: {:?}", catalog.broken_sets).unwrap();
    writeln!(text, "unreadable files: {}", catalog.unreadable_files).unwrap();
    text
}

/// Compares with the committed text, or writes it with `UPDATE_GOLDEN=1`.
fn check_golden(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(actual, expected, "{}", path.display());
}

#[test]
fn every_invalid_manifest_gives_all_its_problems_in_their_places() {
    for path in cases("invalid") {
        let catalog = read(&fs::read(&path).unwrap());
        assert!(!catalog.problems.is_empty(), "{}", path.display());
        check_golden(&path.with_extension("txt"), &problems(&catalog));
    }
}

#[test]
fn a_valid_manifest_gives_no_problem() {
    for path in cases("valid") {
        let catalog = read(&fs::read(&path).unwrap());
        let alone = catalog.problems.is_empty() && !catalog.unreadable_files;
        assert!(alone, "{}: {}", path.display(), problems(&catalog));
    }
}

#[test]
fn a_manifest_becomes_what_it_says() {
    let path = cases("valid")
        .into_iter()
        .find(|path| path.ends_with("as-the-design-shows.yaml"));
    let catalog = read(&fs::read(path.unwrap()).unwrap());
    let set = &catalog.sets["spring"];
    assert_eq!(set.formerly, ["winter"]);
    assert_eq!(set.annotations["freshen/approve"], "0123abcd4567");
    let ids: Vec<&str> = set.spec.assets.iter().map(|asset| &*asset.id).collect();
    let expected = [
        "4204993", "1.10", "12E4", "007", "0x1F", "yes", "null", "spinset",
    ];
    assert_eq!(ids, expected);
    assert_eq!(set.spec.assets[7].smart_crops, Some(Vec::new()));
    assert_eq!(set.spec.revision.as_deref(), Some("2026-11-22"));
    assert_eq!(set.spec.on_create, OnCreate::Adopt);
    assert_eq!(set.spec.not_before_ms, Some(1_795_737_600_000));
    let limits = LimitsSpec {
        max_urls: 5000,
        max_share_percent: Some(30),
    };
    assert_eq!(set.spec.limits, limits);
    let PresetChoice::Named(presets) = &set.spec.image_presets else {
        panic!("the presets are named");
    };
    assert_eq!(presets[1].revision.as_deref(), Some("1.10"));
    let cdn = &catalog.cdns["edge"].spec;
    assert_eq!((cdn.provider.as_str(), cdn.settle_ms), ("test", 500));
}

#[test]
fn a_line_of_a_block_has_its_own_place() {
    let path = cases("valid")
        .into_iter()
        .find(|path| path.ends_with("as-the-design-shows.yaml"));
    let catalog = read(&fs::read(path.unwrap()).unwrap());
    let entries = &catalog.templates["product-images"].spec.urls;
    let places: Vec<_> = entries
        .iter()
        .map(|entry| (&*entry.url, entry.place.line, entry.place.column))
        .collect();
    let expected = [
        ("<ID>", 22, 5),
        ("<ID>?$product$", 23, 7),
        (
            "https://my.publishserver.com/is/content/AcmeCorp/backpack",
            25,
            5,
        ),
    ];
    assert_eq!(places, expected);
}

#[test]
fn the_digest_follows_what_is_said_and_not_how() {
    let digest = |text: &str| {
        let catalog = read(text.as_bytes());
        assert!(catalog.problems.is_empty(), "{}", problems(&catalog));
        catalog.templates["t"].document.digest
    };
    let plain = "apiVersion: freshen/v1\nkind: Template\nmetadata: { name: t }\nspec:\n  revision: 7\n  urls: |\n    <ID>\n";
    let other = "\u{feff}# c\nkind: Template\nspec:\n  urls: |\n    <ID>\n  revision: '7' # d\nmetadata:\n  name: t\napiVersion: freshen/v1\n";
    assert_eq!(digest(plain), digest(other));
    assert_eq!(digest(plain), digest(&plain.replace('\n', "\r\n")));
    assert_ne!(
        digest(plain),
        digest(&plain.replace("revision: 7", "revision: 8"))
    );
}

#[test]
fn a_manifest_cut_off_anywhere_neither_panics_nor_hangs() {
    for path in cases("valid").iter().chain(&cases("invalid")) {
        let bytes = fs::read(path).unwrap();
        let cut = (0..bytes.len()).map(|end| source("m.yaml", &bytes[..end]));
        let files: Vec<SourceFile> = cut.collect();
        read_catalog(&files, &providers());
    }
}

#[test]
fn aliases_cannot_make_a_file_cost_more_than_its_length() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(90));
    let catalog = read(text.as_bytes());
    assert_eq!(catalog.problems[0].code, "yaml-budget");
}

#[test]
fn an_inline_secret_is_refused_and_not_shown() {
    let text = "apiVersion: freshen/v1\nkind: Cdn\nmetadata: { name: c }\nspec: { test: { account: a, password: hunter2 } }\n";
    let catalog = read(text.as_bytes());
    assert_eq!(catalog.problems.len(), 1);
    assert!(!format!("{:?}", catalog.problems).contains("hunter2"));
}

#[test]
fn the_schema_is_draft_07_and_describes_every_field() {
    let schema = manifest_schema(&ProviderSchemas::new());
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    let mut bare = Vec::new();
    find_bare_fields(&schema, "", &mut bare);
    assert!(bare.is_empty(), "without a description: {bare:?}");
}

fn find_bare_fields(schema: &Value, path: &str, bare: &mut Vec<String>) {
    let Some(object) = schema.as_object() else {
        let items = schema.as_array().into_iter().flatten();
        return items.for_each(|item| find_bare_fields(item, path, bare));
    };
    for (key, value) in object {
        let here = format!("{path}/{key}");
        if path.ends_with("/properties") && value.get("description").is_none() {
            bare.push(here.clone());
        }
        find_bare_fields(value, &here, bare);
    }
}

/// Invalid manifests whose fault no schema can see, and why.
const BEYOND_A_SCHEMA: &[(&str, &str)] = &[
    (
        "annotations",
        "annotations of other tools are welcome, whatever their names",
    ),
    ("duplicate-names", "it sees one document at a time"),
    (
        "folded-and-empty-blocks",
        "it sees a text and not how it was written, and counts no entries",
    ),
    ("former-names", "it sees one document at a time"),
    ("missing-references", "it sees one document at a time"),
    ("no-cdn", "it sees one document at a time"),
    (
        "several-cdns-and-none-named",
        "it sees one document at a time",
    ),
    (
        "two-duplicate-keys",
        "it sees what is left once YAML has been read",
    ),
];

/// What an editor makes of the documents in `bytes`; `None` where it cannot.
fn as_an_editor_reads(bytes: &[u8]) -> Option<Vec<Value>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let documents = serde_yaml::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
    let values: Result<Vec<Value>, _> = documents.map(Value::deserialize).collect();
    let mut values = values.ok()?;
    values.retain(|value| !value.is_null());
    Some(values)
}

/// What `schema` has against the documents in a file.
fn refusals(schema: &Value, path: &Path) -> Vec<String> {
    let Some(documents) = as_an_editor_reads(&fs::read(path).unwrap()) else {
        return vec!["no YAML".to_owned()];
    };
    let validator = jsonschema::validator_for(schema).unwrap();
    let errors = documents
        .iter()
        .flat_map(|value| validator.iter_errors(value));
    errors.map(|error| error.to_string()).collect()
}

#[test]
fn the_schema_accepts_every_valid_manifest() {
    let schema = manifest_schema(&providers());
    for path in cases("valid") {
        assert_eq!(refusals(&schema, &path), [""; 0], "{}", path.display());
    }
}

#[test]
fn the_committed_schema_accepts_every_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = fs::read_to_string(root.join("schemas/manifest.json")).unwrap();
    let committed = serde_json::from_str(&committed).unwrap();
    let mut folders = vec![root.join("examples")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("deploy") {
                // In the formats of those who deploy it.
            } else if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                assert_eq!(refusals(&committed, &path), [""; 0], "{}", path.display());
            }
        }
    }
}

#[test]
fn the_schema_refuses_every_fault_of_shape() {
    let schema = manifest_schema(&providers());
    let accepted: Vec<String> = cases("invalid")
        .iter()
        .filter(|path| refusals(&schema, path).is_empty())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let expected: Vec<&str> = BEYOND_A_SCHEMA.iter().map(|(name, _)| *name).collect();
    assert_eq!(accepted, expected);
}

#[test]
fn files_that_hold_what_they_held_before_are_not_parsed_again() {
    let set = |name: &str, asset: &str| {
        let text = format!(
            "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {name} }}\n\
             spec: {{ cdns: [c], assets: [{asset}] }}\n"
        );
        source(&format!("{name}.yaml"), text.as_bytes())
    };
    let cdn = "apiVersion: freshen/v1\nkind: Cdn\nmetadata: { name: c }\n\
               spec: { test: { account: a } }\n";
    let cdn = source("c.yaml", cdn.as_bytes());
    let broken = source("broken.yaml", b"kind: [\n");
    let first = [broken.clone(), cdn.clone(), set("a", "1"), set("b", "1")];
    let (before, readings) = read_again(&first, &providers(), &[]);
    let second = [broken, cdn, set("a", "2"), set("b", "1")];
    let (after, _) = read_again(&second, &providers(), &[&readings]);
    let is_kept = |name: &str| Arc::ptr_eq(&before.sets[name], &after.sets[name]);
    assert!(is_kept("b"));
    assert!(!is_kept("a"));
    let anew = read_catalog(&second, &providers());
    assert_eq!(format!("{after:?}"), format!("{anew:?}"));
}

#[test]
fn what_files_say_of_each_other_counts_anew_for_files_that_are_as_they_were() {
    let manifest = |file: &str, kind: &str, name: &str, spec: &str| {
        let head = "apiVersion: freshen/v1";
        let text = format!("{head}\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {spec}\n");
        source(file, text.as_bytes())
    };
    let cdn = |name: &str| manifest(name, "Cdn", name, "{ test: { account: a } }");
    let set = |file: &str| manifest(file, "AssetSet", "a", "{ assets: ['1'] }");
    let trees: [&[SourceFile]; 5] = [
        &[set("a"), cdn("one")],
        &[set("a"), cdn("one"), cdn("two")],
        &[set("a"), set("b"), cdn("one")],
        &[set("b"), cdn("one")],
        &[set("b")],
    ];
    let mut known: Vec<Readings> = Vec::new();
    for files in trees {
        let before: Vec<&Readings> = known.iter().collect();
        let (catalog, readings) = read_again(files, &providers(), &before);
        let anew = read_catalog(files, &providers());
        assert_eq!(format!("{catalog:?}"), format!("{anew:?}"));
        known.push(readings);
    }
}

#[test]
fn a_file_under_another_name_is_read_again_so_that_its_problems_name_it() {
    let file = source("a.yaml", b"kind: [\n");
    let (_, readings) = read_again(std::slice::from_ref(&file), &providers(), &[]);
    let renamed = SourceFile {
        name: Arc::from("other/a.yaml"),
        ..file
    };
    let (catalog, _) = read_again(&[renamed], &providers(), &[&readings]);
    let place = catalog.problems[0].place.as_ref().unwrap();
    assert_eq!(&*place.file, "other/a.yaml");
}
