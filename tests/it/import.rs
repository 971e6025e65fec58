//! From lists of URLs, and from the text of Adobe's screen, to manifests.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use freshen::declare::{Declared, Options, declare};
use freshen::import::{self, File, Listing, Unproven};
use freshen::load;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::program::{Run, command, freshen};
use crate::schemas::fits;

/// The inputs in a folder of golden cases; what came of each is beside it.
fn cases(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = fs::read_dir(root.join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut inputs: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_none_or(|ending| ending != "golden"))
        .collect();
    inputs.sort();
    inputs
}

/// Compares with the committed text, or writes it with `UPDATE_GOLDEN=1`.
fn check_golden(input: &Path, actual: &str) {
    let path = PathBuf::from(format!("{}.golden", input.display()));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{}", path.display());
}

/// Everything that a run said and wrote into `manifests`.
fn outcome(folder: &Path, run: &Run) -> String {
    let mut text = format!("exit code {}\n\n", run.code);
    for said in [&run.stdout, &run.stderr] {
        if !said.is_empty() {
            writeln!(text, "{said}").unwrap();
        }
    }
    for path in files_in(&folder.join("manifests")) {
        let content = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(folder).unwrap();
        write!(text, "==> {} <==\n{content}\n", path.display()).unwrap();
    }
    text
}

/// Files and folders but the schema, sorted.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with(".freshen") {
            files.extend(files_in(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn copied(case: &Path) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let name = case.file_name().unwrap().to_str().unwrap().to_owned();
    fs::copy(case, folder.path().join(&name)).unwrap();
    (folder, name)
}

#[test]
fn golden_lists_become_their_manifests() {
    for case in cases("import") {
        let (folder, name) = copied(&case);
        let server = ["--server", "https://s7d1.scene7.com"];
        let run = freshen(
            folder.path(),
            &[&["import-urls", &name], &server[..]].concat(),
        );
        check_golden(&case, &outcome(folder.path(), &run));
        if run.code != 1 {
            let validated = freshen(folder.path(), &["validate"]);
            assert_eq!(validated.code, 0, "{name}: {}", validated.stdout);
        }
    }
}

#[test]
fn golden_templates_become_their_manifests() {
    for case in cases("template") {
        let (folder, name) = copied(&case);
        let run = freshen(
            folder.path(),
            &[
                "init",
                "--from-template",
                &name,
                "--publish-server",
                "https://s7d1.scene7.com",
                "--publish-server",
                "https://media.acme.com",
                "--company",
                "AcmeCorp",
            ],
        );
        check_golden(&case, &outcome(folder.path(), &run));
        let validated = freshen(folder.path(), &["validate"]);
        assert_eq!(
            validated.code == 0,
            run.code == 0,
            "{name}: {}",
            validated.stdout
        );
    }
}

/// A template's line put in for an id.
fn filled(line: &str, id: &str) -> String {
    let line = match line.strip_prefix("<ID>") {
        Some(rest) => format!("https://s7d1.scene7.com/is/image/AcmeCorp/<ID>{rest}"),
        None => line.to_owned(),
    };
    line.replace("<SERVER>", "https://s7d1.scene7.com")
        .replace("<COMPANY>", "AcmeCorp")
        .replace("<ID>", id)
}

#[test]
fn of_a_hundred_thousand_urls_the_five_templates_are_found() {
    let lines = [
        "<ID>",
        "<ID>?$product$",
        "<ID>:Banner?wid=830&hei=458&qlt=85,0",
        "<ID>?layer=1&src=is{AcmeCorp/<ID>}&size={200,200}",
        "<SERVER>/is/content/<COMPANY>/<ID>",
    ];
    // Scattered, and no id with every form.
    let mut urls: Vec<String> = Vec::new();
    for number in 0..25_000_u64 {
        let id = format!("{}_{number:05}", number * 7_919 % 9_973);
        let left_out = number as usize % lines.len();
        let others = (0..lines.len()).filter(|line| *line != left_out);
        urls.extend(others.map(|line| filled(lines[line], &id)));
    }
    urls.sort_by_key(|url| (url.len(), url.chars().rev().collect::<String>()));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("urls.txt"), urls.join("\n")).unwrap();
    let imported = fits(
        "import",
        &freshen(folder.path(), &["import-urls", "urls.txt", "-o", "json"]),
    );
    let cdn = &imported["cdns"][0];
    let found = cdn["templates"].as_array().unwrap().iter();
    let found: BTreeSet<&str> = found.map(|it| it["line"].as_str().unwrap()).collect();
    assert_eq!(found, BTreeSet::from(lines));
    assert_eq!(cdn["singleUrls"], 0);
    assert_eq!(cdn["assetSets"].as_array().unwrap().len(), 5);
    urls.sort_unstable();
    let expanded = freshen(folder.path(), &["expand"]).stdout;
    assert!(expanded == urls.join("\n") + "\n");
}

#[test]
fn a_list_can_be_piped_and_its_folder_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("list"), "https://s/is/image/A/x\n").unwrap();
    let list = fs::File::open(folder.path().join("list")).unwrap();
    let mut import = command(folder.path());
    import
        .args(["import-urls", "-", "--out", "a/b"])
        .stdin(Stdio::from(list));
    let run = crate::program::run(&mut import);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let expanded = freshen(folder.path(), &["--manifests", "a/b", "expand"]);
    assert_eq!(expanded.stdout, "https://s/is/image/A/x\n");
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    fs::write(at("list"), "https://s/is/image/A/x\n").unwrap();
    fs::write(at("lines"), "<ID>\n").unwrap();
    fs::create_dir(at("manifests")).unwrap();
    fs::write(at("manifests/mine.yml"), "# mine\n").unwrap();
    let screen = ["--publish-server", "https://s", "--company", "A"];
    let init = [&["init", "--from-template", "lines"], &screen[..]].concat();
    for arguments in [&init[..], &["import-urls", "list"]] {
        let refused = freshen(folder.path(), arguments);
        assert_eq!(refused.code, 1, "{arguments:?}");
        let said = "error: ./manifests holds manifests already: mine.yml; nothing was written";
        assert!(refused.stderr.starts_with(said), "{}", refused.stderr);
        assert_eq!(files_in(&at("manifests")), [at("manifests/mine.yml")]);
    }
    // What is no manifest may stay, unless it is in the way.
    fs::remove_file(at("manifests/mine.yml")).unwrap();
    fs::write(at("manifests/README.md"), "mine").unwrap();
    let many: Vec<String> = (0..200)
        .map(|n| format!("https://s/is/image/A/{n}"))
        .collect();
    fs::write(at("list"), many.join("\n")).unwrap();
    fs::create_dir(at("manifests/ids")).unwrap();
    fs::write(at("manifests/ids/a-assets.txt"), "mine").unwrap();
    let refused = freshen(folder.path(), &["import-urls", "list"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("ids/a-assets.txt"),
        "{}",
        refused.stderr
    );
    fs::remove_file(at("manifests/ids/a-assets.txt")).unwrap();
    assert_eq!(freshen(folder.path(), &["import-urls", "list"]).code, 0);
    assert_eq!(
        fs::read_to_string(at("manifests/README.md")).unwrap(),
        "mine"
    );
}

#[test]
fn what_cannot_be_proven_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let list = "https://s/is/image/A/x\nhttps://s/is/image/A/y\n";
    fs::write(folder.path().join("list"), list).unwrap();
    let arguments = ["--max-expansion", "1", "import-urls", "list"];
    let refused = freshen(folder.path(), &arguments);
    assert_eq!((refused.code, refused.stdout.as_str()), (4, ""));
    let said = "error: nothing was written: what would be written is not valid\n";
    assert!(refused.stderr.ends_with(said), "{}", refused.stderr);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_a_command_line_cannot_mean_exits_with_64() {
    for arguments in [
        &["import-urls"][..],
        &["import-urls", "x", "--server", "s7d1.scene7.com"],
        &["import-urls", "x", "--server", "https://s/is/image"],
        &["init", "--from-template", "x"],
        &[
            "init",
            "--from-template",
            "x",
            "--publish-server",
            "https://s",
        ],
        &[
            "init",
            "--from-template",
            "x",
            "--publish-server",
            "s",
            "--company",
            "A",
        ],
        &[
            "init",
            "--from-template",
            "x",
            "--publish-server",
            "https://s",
            "--company",
            "A/B",
        ],
        &["init", "--company", "A"],
    ] {
        assert_eq!(freshen(Path::new("."), arguments).code, 64, "{arguments:?}");
    }
}

/// A folder of these files.
fn folder_of(files: &[File]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.text).unwrap();
    }
    folder
}

fn declared(files: &[File]) -> Declared {
    let folder = folder_of(files);
    let options = Options {
        manifests: vec![folder.path().to_owned()],
        max_expansion: 1_000_000,
        known: std::sync::Arc::default(),
    };
    load::scan(&options.manifests, |tree| declare(tree, &options)).unwrap()
}

fn listing(text: &str) -> Listing {
    import::read(&mut text.as_bytes(), &Arc::from("list"), None).unwrap()
}

#[test]
fn whatever_differs_is_not_proven() {
    let urls = |ids: &[&str]| -> Vec<Box<str>> {
        let urls = ids
            .iter()
            .map(|id| format!("https://s/is/image/A/{id}").into());
        urls.collect()
    };
    let written = urls(&["a", "b", "c?x"]);
    let declared = declared(&import::of_accounts(&import::group(&written)));
    let check = |ids: &[&str], expected: Result<(), Unproven>| {
        assert_eq!(import::prove(&declared, Some(&urls(ids))), expected);
    };
    check(&["a", "b", "c?x"], Ok(()));
    let missing = |id: &str| Err(Unproven::Missing(format!("https://s/is/image/A/{id}")));
    let added = |id: &str| Err(Unproven::Added(format!("https://s/is/image/A/{id}")));
    check(&["a", "aa", "b", "c?x"], missing("aa"));
    check(&["a", "b", "c?x", "d"], missing("d"));
    check(&["a", "c?x"], added("b"));
    check(&["a", "b"], added("c?x"));
}

#[test]
fn what_is_not_valid_is_not_proven() {
    let urls: Vec<Box<str>> = vec!["https://s/is/image/A/a".into()];
    let mut files = import::of_accounts(&import::group(&urls));
    files[0].text = files[0].text.replace("/is/image/A/", "/is/image/B/");
    let unproven = import::prove(&declared(&files), Some(&urls)).unwrap_err();
    assert!(matches!(unproven, Unproven::Invalid(problems) if problems.len() == 1));
}

/// A URL, with all that is easily mangled.
fn url() -> impl Strategy<Value = String> {
    let server = prop::sample::select(vec![
        "https://s",
        "http://s:8080",
        "HTTPS://S",
        "https://[::1]",
        "http://1.2.3.999",
    ]);
    let folder = prop::sample::select(vec![
        "/is/image/Acme/",
        "/is/content/Acme/",
        "/is/image/acme/",
        "/is/image/other/",
        "/is/image/*/",
        "/is/image/",
        "/p/",
        "?",
    ]);
    let id = prop_oneof![
        "[ab]{1,2}",
        "[ab0-9.:/%~'|^{}!,;@_-]{0,4}",
        prop::sample::select(vec![
            "null",
            "~",
            "-",
            "a.jpg",
            "b.JPG.tif",
            "%41",
            "a%",
            "yes"
        ])
        .prop_map(str::to_owned),
    ];
    let tail = prop_oneof![
        prop::sample::select(vec!["", "?$p$", ":C", "/", "?", "?x=a", "?x=ab&y={a}"])
            .prop_map(str::to_owned),
        "[?:&=]([ab1$:{},+%/\\\\`'*!-]{0,6})",
    ];
    (server, folder, id, tail)
        .prop_map(|(server, folder, id, tail)| [server, folder, &id, &tail].concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_list_comes_back_byte_for_byte(urls in prop::collection::vec(url(), 1..60)) {
        let listing = listing(&urls.join("\n"));
        prop_assert_eq!(&listing.problems, &[]);
        let expected: BTreeSet<&str> = urls.iter().map(String::as_str).collect();
        let read: Vec<&str> = listing.urls.iter().map(|url| &**url).collect();
        prop_assert_eq!(&read, &expected.into_iter().collect::<Vec<_>>());
        let accounts = import::group(&listing.urls);
        let files = import::of_accounts(&accounts);
        let declared = declared(&files);
        prop_assert_eq!(&declared.problems, &[]);
        prop_assert_eq!(import::prove(&declared, Some(&listing.urls)), Ok(()));
        // Every URL comes from one place.
        let of_assets = accounts.iter().flat_map(|account| {
            let servers = |line: &str| if line.contains("://") { 1 } else { account.servers.len() };
            account.groups.iter().map(move |group| {
                let patterns = group.patterns.iter();
                let each: usize = patterns.map(|at| servers(&account.patterns[*at].line)).sum();
                each * group.ids.len()
            })
        });
        let singles = accounts.iter().map(|account| account.urls.len());
        prop_assert_eq!(of_assets.chain(singles).sum::<usize>(), listing.urls.len());
    }

    #[test]
    fn the_order_of_a_list_never_matters(urls in prop::collection::vec(url(), 1..40)) {
        let files = |text: &str| import::of_accounts(&import::group(&listing(text).urls));
        let turned: Vec<&str> = urls.iter().rev().map(String::as_str).collect();
        prop_assert_eq!(files(&urls.join("\n")), files(&turned.join("\n")));
    }
}
