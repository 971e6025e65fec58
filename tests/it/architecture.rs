//! The layers, the sizes, and no file that nobody declares.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The modules of `lib.rs`, lowest first: each imports only those before it.
const LAYERS: &[&str] = &[
    "digest",
    "manifest",
    "load",
    "lookup",
    "resolve",
    "wire",
    "expand",
    "plan",
    "batch",
    "provider",
    "state",
    "submit",
    "declare",
    "import",
    "reconcile",
    "report",
    "inspect",
    "metrics",
    "sandbox",
    "daemon",
    "web",
    "cli",
];

/// Pairs in which neither knows the other, whatever their order above.
const STRANGERS: &[(&str, &str)] = &[("provider", "state")];

/// Lines of a file that are not tests.
const MAX_PRODUCTION_LINES: usize = 400;

#[test]
fn modules_import_only_lower_layers() {
    let mut wrong = Vec::new();
    for file in production_files() {
        let Some(own) = module_of(&file) else {
            continue;
        };
        for imported in crate_imports(&production(&read(&file))) {
            let is_stranger = STRANGERS.iter().any(|&(one, other)| {
                (own == one && imported == other) || (own == other && imported == one)
            });
            if rank(&imported) > rank(&own) || is_stranger {
                wrong.push(format!("{}: {own} imports {imported}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports against the layers:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_module_of_the_library_has_a_layer() {
    let declared = declared_modules(&read(Path::new("src/lib.rs")));
    let layers: BTreeSet<String> = LAYERS.iter().map(ToString::to_string).collect();
    assert_eq!(declared, layers);
}

#[test]
fn no_file_outgrows_its_limit() {
    let large: Vec<String> = production_files()
        .into_iter()
        .map(|file| (production(&read(&file)).lines().count(), file))
        .filter(|(lines, _)| *lines > MAX_PRODUCTION_LINES)
        .map(|(lines, file)| format!("{}: {lines} lines", file.display()))
        .collect();
    assert!(large.is_empty(), "split these:\n{}", large.join("\n"));
}

#[test]
fn every_file_is_declared_by_its_parent() {
    let mut forgotten = Vec::new();
    for file in ["src", "tests/it"].into_iter().flat_map(rust_files) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        if matches!(name, "main" | "lib") {
            continue;
        }
        let (module, folder) = if name == "mod" {
            let folder = file.parent().unwrap();
            (
                folder.file_name().unwrap().to_str().unwrap(),
                folder.parent().unwrap(),
            )
        } else {
            (name, file.parent().unwrap())
        };
        let is_declared = ["mod.rs", "lib.rs", "main.rs"]
            .iter()
            .map(|parent| folder.join(parent))
            .filter(|parent| parent.exists() && *parent != file)
            .any(|parent| declared_modules(&read(&parent)).contains(module));
        if !is_declared {
            forgotten.push(file.display().to_string());
        }
    }
    assert!(
        forgotten.is_empty(),
        "no `mod` line names:\n{}",
        forgotten.join("\n")
    );
}

#[test]
fn imports_are_found_in_every_form() {
    let check = |text: &str, expected: &[&str]| {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(crate_imports(text), expected, "{text}");
    };
    check("use crate::plan::Plan;", &["plan"]);
    check(
        "use crate::{batch, plan::{Plan, Diff}};",
        &["batch", "plan"],
    );
    check("    let x = crate::digest::Key::of();", &["digest"]);
    check("//! See [`crate::cli`].\n/// And [`crate::state`].", &[]);
}

/// The top-level modules that `text` names through `crate::`.
fn crate_imports(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    code.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => names_in_group(group),
            None => vec![identifier(rest)],
        })
        .collect()
}

/// The first names of the parts of `{a, b::{c, d}, ...}`, after its brace.
fn names_in_group(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut part = String::new();
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(identifier(&std::mem::take(&mut part))),
            _ if depth == 0 => part.push(character),
            _ => {}
        }
    }
    names.push(identifier(&part));
    names.retain(|name| !name.is_empty());
    names
}

fn identifier(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn rank(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| *layer == module)
        .unwrap_or_else(|| panic!("`{module}` is in no layer"))
}

fn module_of(file: &Path) -> Option<String> {
    let first = file.strip_prefix("src").unwrap().iter().next()?.to_str()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(module, "lib" | "main")).then(|| module.to_owned())
}

fn declared_modules(text: &str) -> BTreeSet<String> {
    text.lines()
        .map(|line| {
            line.trim_start_matches("pub(crate) ")
                .trim_start_matches("pub ")
        })
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

/// The files of the library that its parents do not declare for tests alone.
fn production_files() -> Vec<PathBuf> {
    let is_for_tests = |file: &PathBuf| {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let parent = file.parent().unwrap().join("mod.rs");
        let parent = std::fs::read_to_string(parent).unwrap_or_default();
        ["", "pub(crate) ", "pub(super) "]
            .iter()
            .any(|reach| parent.contains(&format!("#[cfg(test)]\n{reach}mod {name};")))
    };
    let mut files = rust_files("src");
    files.retain(|file| !is_for_tests(file));
    files
}

/// `text` up to its tests, which by house rule come last.
fn production(text: &str) -> String {
    text.split("\n#[cfg(test)]\nmod ")
        .next()
        .unwrap()
        .to_owned()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
