//! `init`: a commented first set of manifests.
#![expect(
    clippy::disallowed_methods,
    reason = "writes the files it is asked for"
)]

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};

use anyhow::Context as _;

use super::args::Init;
use super::exit::{Exit, Failure};
use super::output;

/// The files that `init` writes; `examples/init` keeps them valid.
const FILES: &[(&str, &str)] = &[
    ("cdn.yaml", include_str!("../../examples/init/cdn.yaml")),
    (
        "template.yaml",
        include_str!("../../examples/init/template.yaml"),
    ),
    ("set.yaml", include_str!("../../examples/init/set.yaml")),
];

/// Writes the files that are not there yet.
pub(super) fn run(arguments: &Init) -> Result<Exit, Failure> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("failed to create the folder {}", folder.display()))?;
    for (name, text) in FILES {
        let path = folder.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())
                    .with_context(|| format!("failed to write {}", path.display()))?;
                output::note(&format!("wrote {}", path.display()));
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                output::note(&format!(
                    "kept  {}, which was there already",
                    path.display()
                ));
            }
            Err(error) => {
                let context = format!("failed to write {}", path.display());
                return Err(anyhow::Error::new(error).context(context).into());
            }
        }
    }
    output::note(&format!(
        "Edit them, then see what they yield: freshen --manifests {} expand",
        folder.display()
    ));
    Ok(Exit::Fine)
}
