//! Where a state file must not be.
#![expect(
    clippy::disallowed_methods,
    reason = "looks at where the state file is, and asks git"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Result, StateError, store};

/// Refuses a state at `path` that lies inside one of the manifest `roots`, is
/// tracked by git, or is on a file system whose locks cannot be relied on.
pub fn check_location(path: &Path, roots: &[PathBuf]) -> Result<()> {
    let resolved = store::resolved(path);
    let misplaced = |what: String, cure| {
        Err(StateError::Misplaced {
            path: path.to_owned(),
            what,
            cure,
        })
    };
    for root in roots {
        let is_inside = fs::canonicalize(root).is_ok_and(|root| resolved.starts_with(root));
        if is_inside {
            return misplaced(
                format!("lies inside the manifest root `{}`", root.display()),
                "name a place outside of it with `--state`",
            );
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if let Some(kind) = file_system(&mounts, &resolved).filter(|kind| is_remote(kind)) {
        return misplaced(
            format!("is on a {kind} file system, where locks cannot be relied on"),
            "name a place on a local disk with `--state`",
        );
    }
    if is_tracked(&resolved) {
        return misplaced(
            "is tracked by git".to_owned(),
            "`git rm --cached` it and add it to `.gitignore`; a checkout would turn it back",
        );
    }
    Ok(())
}

/// The type of the file system that `path` is on, by the mounts the kernel
/// lists; the last one mounted on the longest prefix counts.
fn file_system<'m>(mounts: &'m str, path: &Path) -> Option<&'m str> {
    let mounts = mounts.lines().filter_map(|line| {
        let point = line.split(' ').nth(4)?;
        let kind = line.split_once(" - ")?.1.split(' ').next()?;
        Some((PathBuf::from(unescaped(point)), kind))
    });
    mounts
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.components().count())
        .map(|(_, kind)| kind)
}

fn is_remote(kind: &str) -> bool {
    matches!(
        kind,
        "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "fuse" | "fuseblk"
    ) || kind.starts_with("fuse.")
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescaped(text: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let replaced = |text: String, (code, plain): &(&str, &str)| text.replace(code, plain);
    escapes.iter().fold(text.to_owned(), replaced)
}

/// Best effort: without git there is nothing that tracks.
fn is_tracked(path: &Path) -> bool {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return false;
    };
    Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["ls-files", "--error-unmatch", "--"])
        .arg(name)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:5 / /mnt/my\\040share rw - cifs //nas/share rw
23 21 0:6 / /home rw shared:2 - nfs4 nas:/home rw
24 23 0:7 / /home/ci/disk rw - xfs /dev/sdb1 rw
25 21 0:8 / /work rw - fuse.sshfs host:/ rw
";

    fn check(path: &str, kind: &str, is_refused: bool) {
        assert_eq!(file_system(MOUNTS, Path::new(path)), Some(kind), "{path}");
        assert_eq!(is_remote(kind), is_refused, "{path}");
    }

    #[test]
    fn a_file_is_on_the_file_system_mounted_nearest_to_it() {
        check("/var/freshen.db", "ext4", false);
        check("/mnt/my share/freshen.db", "cifs", true);
        check("/home/me/freshen.db", "nfs4", true);
        check("/home/ci/disk/freshen.db", "xfs", false);
        check("/homely/freshen.db", "ext4", false);
        check("/work/freshen.db", "fuse.sshfs", true);
    }
}
