//! Metrics as a file, for runs that end before anybody scrapes them (edge: file
//! system).
#![expect(
    clippy::disallowed_methods,
    reason = "writes the file that --metrics-file names"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file was not written; an older one is still there.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the metrics to `{}`", path.display())]
pub struct WriteError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl WriteError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "name a file in a folder that freshen may write to with `--metrics-file`"
    }
}

/// Writes `text` to `path`, so that whoever reads it sees the old text or the
/// new one, and nothing in between.
pub fn write_file(path: &Path, text: &str) -> Result<(), WriteError> {
    let mut draft = path.as_os_str().to_owned();
    // A collector of `*.prom` files must not take the draft for one.
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let written = write_draft(&draft, text).and_then(|()| fs::rename(&draft, path));
    written.map_err(|source| {
        drop(fs::remove_file(&draft));
        WriteError {
            path: path.to_owned(),
            source,
        }
    })
}

fn write_draft(draft: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("freshen.prom");
        fs::write(folder.path().join("freshen.prom.new"), "of a crash").unwrap();
        write_file(&path, "one\n").unwrap();
        let reader = File::open(&path).unwrap();
        write_file(&path, "two\n").unwrap();
        assert_eq!(io::read_to_string(reader).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_says_where_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        // A folder stands where the file is to be.
        let path = folder.path().join("freshen.prom");
        fs::create_dir_all(path.join("full")).unwrap();
        let error = write_file(&path, "one\n").unwrap_err();
        assert!(error.to_string().contains("freshen.prom"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
