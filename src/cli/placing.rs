//! Putting manifests into a folder, once they are proven.
#![expect(
    clippy::disallowed_methods,
    reason = "writes the files it is asked for"
)]

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::exit::{Exit, Failure};
use super::paper;
use crate::declare::{Declared, Options, declare};
use crate::import::{File, SCHEMA, Unproven};
use crate::load;
use crate::report::excerpt;

/// Writes `files`, and the schema that they name, into `folder`, which may hold
/// no manifest yet. They are first read back from a place that nobody looks at,
/// and are moved only if `prove` agrees.
pub(super) fn place(
    folder: &Path,
    files: &[File],
    max_expansion: u64,
    prove: impl FnOnce(&Declared) -> Result<(), Unproven>,
) -> Result<(), Failure> {
    let shown = folder.display();
    let schema = File {
        path: SCHEMA.to_owned(),
        text: paper::manifest_schema(),
    };
    check_vacant(folder, files)?;
    let staging = Staging::new(folder)?;
    for file in files {
        staging.write(file)?;
    }
    let options = Options {
        manifests: vec![staging.path.clone()],
        max_expansion,
        known: std::sync::Arc::default(),
    };
    let proven = load::scan(&options.manifests, |tree| declare(tree, &options))
        .context("failed to read back what was written")
        .map(|declared| prove(&declared))?;
    proven.map_err(unproven)?;
    if std::fs::symlink_metadata(folder.join(SCHEMA)).is_err() {
        staging.write(&schema)?;
        staging.take_over(folder, &schema)?;
    }
    files
        .iter()
        .try_for_each(|file| staging.take_over(folder, file))
        .map_err(|failure| {
            failure.hint(format!(
                "{shown} holds a part of the manifests: remove them"
            ))
        })
}

/// Manifests below `inside` but those of `ours`, sorted.
pub(super) fn others(folder: &Path, inside: &Path, ours: &[&str]) -> Result<Vec<String>, Failure> {
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
        let ending = name.extension().and_then(OsStr::to_str);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(others(folder, &name, ours)?);
        } else if matches!(ending, Some("yaml" | "yml")) && !ours.contains(&&*shown) {
            found.push(shown);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Refuses a folder that holds manifests: a second Cdn, say, would break sets
/// that name none.
pub(super) fn check_no_others(folder: &Path, ours: &[&str]) -> Result<(), Failure> {
    let others = others(folder, Path::new(""), ours)?;
    if others.is_empty() {
        return Ok(());
    }
    let error = anyhow::anyhow!(
        "{} holds manifests already: {}; nothing was written",
        folder.display(),
        others.join(", ")
    );
    let hint = "name a new folder, and take from it what you need";
    Err(Failure::nothing(error).hint(hint))
}

fn check_vacant(folder: &Path, files: &[File]) -> Result<(), Failure> {
    check_no_others(folder, &[])?;
    let paths = files.iter().map(|file| file.path.as_str());
    let taken: Vec<&str> = paths
        .filter(|path| std::fs::symlink_metadata(folder.join(path)).is_ok())
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    let error = anyhow::anyhow!(
        "{} holds files of these names already: {}; nothing was written",
        folder.display(),
        taken.join(", ")
    );
    Err(Failure::nothing(error).hint("name a new folder"))
}

fn unproven(unproven: Unproven) -> Failure {
    let hint = if let Unproven::Invalid(problems) = &unproven {
        super::output::problems(&excerpt::render(problems, false));
        None
    } else {
        Some("this is a defect of freshen: please report it, with what you gave it".to_owned())
    };
    let error = anyhow::Error::new(unproven).context("nothing was written");
    Failure {
        exit: Exit::Failed,
        error,
        hint,
    }
}

/// A folder inside the one that is written to, so that what is in it can be
/// moved. Removed in the end, with the outer one where that is new and empty.
struct Staging {
    path: PathBuf,
    new: Option<PathBuf>,
}

impl Staging {
    fn new(folder: &Path) -> Result<Self, Failure> {
        let is_new = !folder.exists();
        // What begins with a dot is read by nobody else, and what another import
        // has left is not read by this one.
        let mut random = [0; 8];
        getrandom::fill(&mut random).context("failed to draw a random number")?;
        let path = folder.join(format!(".freshen-{:016x}", u64::from_be_bytes(random)));
        let context = || format!("failed to create {}", path.display());
        std::fs::create_dir_all(folder).with_context(context)?;
        std::fs::create_dir(&path).with_context(context)?;
        let new = is_new.then(|| folder.to_owned());
        Ok(Self { path, new })
    }

    fn write(&self, file: &File) -> Result<(), Failure> {
        let path = self.path.join(&file.path);
        let context = || format!("failed to write {}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(context)?;
        }
        std::fs::write(&path, &file.text).with_context(context)?;
        Ok(())
    }

    fn take_over(&self, folder: &Path, file: &File) -> Result<(), Failure> {
        let path = folder.join(&file.path);
        let context = || format!("failed to write {}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(context)?;
        }
        std::fs::rename(self.path.join(&file.path), &path).with_context(context)?;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way.
        drop(std::fs::remove_dir_all(&self.path));
        if let Some(folder) = &self.new {
            drop(std::fs::remove_dir(folder));
        }
    }
}
