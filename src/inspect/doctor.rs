//! What a check-up finds on this machine: manifests and state.

use std::path::{Path, PathBuf};

use super::validate::validate;
use crate::declare::Declared;
use crate::provider::checkup::Finding;
use crate::report::number::counted;
use crate::state::{self, Room, StateError};

/// Kept free beside what a copy of the state takes.
const SPARE_BYTES: u64 = 256 << 20;

/// Whether all that the manifests declare can be used.
pub fn manifests(declared: &Declared) -> Finding {
    let subject = "manifests";
    if !declared.empty_roots.is_empty() {
        let roots = declared.empty_roots.join("`, `");
        let message = format!("`{roots}` is missing or holds no manifest");
        return Finding::failed(subject, message, "name the folder with `--manifests`");
    }
    let found = validate(declared).wire;
    let (errors, warnings) = (
        counted(found.errors, "error"),
        counted(found.warnings, "warning"),
    );
    let cure = "`freshen validate` shows each at its line";
    if found.errors > 0 {
        return Finding::failed(subject, format!("{errors}, {warnings}"), cure);
    }
    if found.partial > 0 {
        let sets = counted(found.partial, "set");
        return Finding::failed(subject, format!("rows of {sets} are left out"), cure);
    }
    if found.warnings > 0 {
        return Finding::doubtful(subject, warnings, cure);
    }
    let declared = format!(
        "valid: {}, {}, {}",
        counted(found.cdns, "Cdn"),
        counted(found.asset_sets, "set"),
        counted(found.declared, "URL"),
    );
    Finding::good(subject, declared)
}

/// Whether the state can be used; it is neither created, held nor written.
pub fn state(path: &Path, manifests: &[PathBuf]) -> Vec<Finding> {
    let (sound, is_there) = soundness(path);
    let holder = match state::holder(path) {
        Some(holder) => format!("held by {holder}"),
        None => "held by nobody".to_owned(),
    };
    let holder = is_there.then(|| Finding::good("state holder", holder));
    let findings = [Some(location(path, manifests)), Some(sound), holder];
    // Where it is not known, nothing is said.
    let room = state::room(path).ok().flatten().map(judge_room);
    findings.into_iter().flatten().chain(room).collect()
}

fn location(path: &Path, manifests: &[PathBuf]) -> Finding {
    let subject = "state location";
    match state::check_location(path, manifests) {
        Ok(()) => Finding::good(subject, format!("`{}`", path.display())),
        Err(error) => of_error(subject, error, path),
    }
}

/// Whether it reads and adds up; and whether there is any.
fn soundness(path: &Path) -> (Finding, bool) {
    let subject = "state";
    match state::check(path) {
        Ok(damage) if damage.is_empty() => (Finding::good(subject, "sound"), true),
        Ok(mut damage) => {
            let places = counted(damage.len() as u64, "place");
            let first = damage.swap_remove(0);
            let cure = "`freshen state check` lists all; `freshen state import` takes in an export";
            let cure = first.hint().unwrap_or_else(|| cure.to_owned());
            let message = format!("damaged in {places}: {first}");
            (Finding::failed(subject, message, cure), true)
        }
        Err(StateError::Absent { .. }) => match state::room(path) {
            Ok(_) => {
                let message = "there is none yet: the first run makes it";
                (Finding::good(subject, message), false)
            }
            Err(error) => (of_error(subject, error, path), false),
        },
        Err(error) => (of_error(subject, error, path), true),
    }
}

/// Whether the state can grow and be copied.
fn judge_room(room: Room) -> Finding {
    let subject = "disk space";
    let free = format!("{} MiB free for the state", room.free_bytes >> 20);
    if room.free_bytes < room.state_bytes.saturating_add(SPARE_BYTES) {
        let message = format!("{free}, which takes {} MiB now", room.state_bytes >> 20);
        let cure = "make room: a full disk stops everything, and an upgrade copies the state";
        return Finding::doubtful(subject, message, cure);
    }
    Finding::good(subject, free)
}

fn of_error(subject: &str, error: StateError, path: &Path) -> Finding {
    let error = error.at(path);
    let hint = error.hint();
    let cure = hint.unwrap_or_else(|| "name another file with `--state`".to_owned());
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |it| it.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    Finding::failed(subject, causes.join(": "), cure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::checkup::Grade;

    #[test]
    fn a_state_needs_room_for_a_copy_of_itself_and_some_more() {
        let grade = |state_mib: u64, free_mib: u64| {
            let room = Room {
                state_bytes: state_mib << 20,
                free_bytes: free_mib << 20,
            };
            judge_room(room).grade
        };
        assert_eq!(grade(0, 256), Grade::Good);
        assert_eq!(grade(0, 255), Grade::Doubtful);
        assert_eq!(grade(1000, 1256), Grade::Good);
        assert_eq!(grade(1000, 1255), Grade::Doubtful);
    }
}
