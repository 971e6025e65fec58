//! `init`: a commented first set of manifests.
#![expect(
    clippy::disallowed_methods,
    reason = "writes the files it is asked for"
)]

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;

use super::args::{Global, Init};
use super::exit::{Exit, Failure};
use super::{output, paper, placing};
use crate::import::{self, SCHEMA, Screen};
use crate::report::excerpt;

/// The files that `init` writes; `examples/init` keeps them valid.
const FILES: &[(&str, &str)] = &[
    ("cdn.yaml", include_str!("../../examples/init/cdn.yaml")),
    (
        "template.yaml",
        include_str!("../../examples/init/template.yaml"),
    ),
    ("set.yaml", include_str!("../../examples/init/set.yaml")),
];

/// How the examples name it.
const EXAMPLES_SCHEMA: &str = "$schema=../../schemas/manifest.json";

/// Writes the files that are not there yet, into a folder without other
/// manifests.
pub(super) fn run(arguments: &Init, global: &Global) -> Result<Exit, Failure> {
    let folder = &arguments.folder;
    if let Some(template) = &arguments.from_template {
        return from_template(template, arguments, global);
    }
    let ours = FILES.iter().map(|(name, _)| *name);
    placing::check_no_others(folder, &ours.collect::<Vec<_>>())?;
    let schema = paper::manifest_schema();
    let text = |text: &str| text.replace(EXAMPLES_SCHEMA, &format!("$schema={SCHEMA}"));
    for (name, content) in FILES {
        write(&folder.join(name), &text(content))?;
    }
    write(&folder.join(SCHEMA), &schema)?;
    next(folder);
    Ok(Exit::Fine)
}

/// Declares what a person has on Adobe's template screen.
fn from_template(path: &Path, arguments: &Init, global: &Global) -> Result<Exit, Failure> {
    let folder = &arguments.folder;
    placing::check_no_others(folder, &[])?;
    let name = path.display().to_string();
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let bytes = bytes.with_context(|| format!("failed to read {name}"))?;
    let screen = Screen {
        name: name.into(),
        text: &String::from_utf8_lossy(&bytes),
        servers: &arguments.publish_server,
        company: arguments.company.as_deref().unwrap_or_default(),
    };
    let files = match import::of_screen(&screen) {
        Ok(files) => files,
        Err(problems) => {
            output::problems(&excerpt::render(&problems, false));
            return Ok(Exit::Failed);
        }
    };
    placing::place(folder, &files, global.max_expansion, |declared| {
        import::prove(declared, None)
    })?;
    for file in &files {
        output::note(&format!("wrote {}", folder.join(&file.path).display()));
    }
    next(folder);
    Ok(Exit::Fine)
}

fn next(folder: &Path) {
    output::note(&format!(
        "Edit them, then see what they yield: freshen --manifests {} expand",
        folder.display()
    ));
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
