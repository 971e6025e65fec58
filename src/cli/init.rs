//! `init`: a commented first set of manifests.
#![expect(
    clippy::disallowed_methods,
    reason = "writes the files it is asked for"
)]

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::Context as _;

use super::args::Init;
use super::exit::{Exit, Failure};
use super::{output, paper};

/// The files that `init` writes; `examples/init` keeps them valid.
const FILES: &[(&str, &str)] = &[
    ("cdn.yaml", include_str!("../../examples/init/cdn.yaml")),
    (
        "template.yaml",
        include_str!("../../examples/init/template.yaml"),
    ),
    ("set.yaml", include_str!("../../examples/init/set.yaml")),
];

/// Where editors find the schema without a network; dot folders hold no manifests.
const SCHEMA: &str = ".freshen/manifest.json";

/// How the examples name it.
const EXAMPLES_SCHEMA: &str = "$schema=../../schemas/manifest.json";

/// Writes the files that are not there yet, into a folder without other
/// manifests: a second Cdn, say, would break sets that name none.
pub(super) fn run(arguments: &Init) -> Result<Exit, Failure> {
    let folder = &arguments.folder;
    let others = others(folder, Path::new(""))?;
    if !others.is_empty() {
        let shown = folder.display();
        let error = anyhow::anyhow!(
            "{shown} holds manifests already: {}; nothing was written",
            others.join(", ")
        );
        let hint = "name a new folder, and take from it what you need";
        return Err(Failure::nothing(error).hint(hint));
    }
    let schema = paper::manifest_schema();
    let text = |text: &str| text.replace(EXAMPLES_SCHEMA, &format!("$schema={SCHEMA}"));
    for (name, content) in FILES {
        write(&folder.join(name), &text(content))?;
    }
    write(&folder.join(SCHEMA), &schema)?;
    output::note(&format!(
        "Edit them, then see what they yield: freshen --manifests {} expand",
        folder.display()
    ));
    Ok(Exit::Fine)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let context = || format!("failed to write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(context)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).with_context(context)?;
            output::note(&format!("wrote {}", path.display()));
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let shown = path.display();
            output::note(&format!("kept  {shown}, which was there already"));
        }
        Err(error) => return Err(anyhow::Error::new(error).context(context()).into()),
    }
    Ok(())
}

/// Manifests below `inside` that `init` did not write, sorted.
fn others(folder: &Path, inside: &Path) -> Result<Vec<String>, Failure> {
    let path = folder.join(inside);
    let entries = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("failed to read {}", path.display()))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to read {}", path.display()))?;
        let name = inside.join(entry.file_name());
        let shown = name.display().to_string();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let is_ours = FILES.iter().any(|(ours, _)| *ours == shown);
        let ending = name.extension().and_then(OsStr::to_str);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(others(folder, &name)?);
        } else if matches!(ending, Some("yaml" | "yml")) && !is_ours {
            found.push(shown);
        }
    }
    found.sort_unstable();
    Ok(found)
}
