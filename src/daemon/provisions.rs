//! Whether a daemon could watch these folders.
#![expect(
    clippy::disallowed_methods,
    reason = "reads the kernel's limit of watches"
)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use super::watch::Watch;
use crate::load::Visited;
use crate::provider::checkup::Finding;

/// What each user may have, here and in his namespace.
const LIMITS: [&str; 2] = [
    "/proc/sys/fs/inotify/max_user_watches",
    "/proc/sys/user/max_inotify_watches",
];

const CURE: &str = "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances with \
                    sysctl, or scan more often with `run --scan-interval`";

/// Watches one folder for a moment, and counts those that a daemon would. It
/// does not watch them all: a daemon beside it may need what is left.
pub fn watcher(manifests: &[PathBuf], visited: &Visited) -> Finding {
    let absolute = |root: &PathBuf| std::path::absolute(root).unwrap_or_else(|_| root.clone());
    let roots = manifests.iter().map(absolute).collect();
    let tried = Watch::start(roots, &Arc::default()).and_then(|mut watch| watch.sample(visited));
    let limits = LIMITS.iter().filter_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        text.trim().parse::<u64>().ok()
    });
    judge(tried.map_err(|error| error.to_string()), limits.min())
}

fn judge(needed: Result<usize, String>, limit: Option<u64>) -> Finding {
    let subject = "watcher";
    let needed = match needed {
        Ok(needed) => needed as u64,
        Err(error) => {
            let message = format!(
                "folders cannot be watched, so `run` would notice changes only when it scans: {error}"
            );
            return Finding::doubtful(subject, message, CURE);
        }
    };
    match limit {
        Some(limit) if needed > limit => {
            let message = format!("{needed} folders to watch, and a user may watch {limit}");
            Finding::doubtful(subject, message, CURE)
        }
        Some(limit) => {
            let message = format!("{needed} folders to watch, of the {limit} that a user may");
            Finding::good(subject, message)
        }
        None => Finding::good(subject, format!("{needed} folders to watch")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::checkup::Grade;

    #[test]
    fn more_folders_than_watches_are_told_before_a_daemon_finds_out() {
        let grade = |needed, limit| judge(Ok(needed), limit).grade;
        assert_eq!(grade(8192, Some(8192)), Grade::Good);
        assert_eq!(grade(8193, Some(8192)), Grade::Doubtful);
        assert_eq!(grade(8193, None), Grade::Good);
        let blind = judge(Err("no".to_owned()), Some(8192));
        assert_eq!(blind.grade, Grade::Doubtful);
        assert!(blind.cure.unwrap().contains("fs.inotify.max_user_watches"));
    }
}
