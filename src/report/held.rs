//! What is to be sent and has to wait, in words.

use super::condition::waits_for_origin;
use super::number::{counted, instant};
use crate::plan::{Hold, Plan, TargetPlan};

/// What is to be sent and has to wait.
pub(super) fn held(plan: &Plan) -> impl Iterator<Item = String> {
    let targets = plan
        .sets
        .iter()
        .flat_map(|set| set.targets.iter().map(move |target| (set, target)));
    targets.filter_map(|(set, target)| {
        let hold = target.hold.as_ref().filter(|_| target.items() > 0);
        let hold = hold.map(|hold| (target.items(), self::hold(hold)));
        let waits = || Some((target.waiting.entries.len() as u64, waits(target)?));
        let (items, why) = hold.or_else(waits)?;
        Some(format!(
            "! HELD: {} of {} at {}, {why}.",
            counted(items, "URL"),
            set.set,
            target.cdn,
        ))
    })
}

/// Why nothing goes, whatever it is.
pub fn hold(hold: &Hold) -> String {
    match hold {
        Hold::Suspended => "suspended".to_owned(),
        Hold::NotBefore(ms) => format!("not before {}", instant(*ms)),
    }
}

/// What of a target waits for its origin.
pub(super) fn waits(target: &TargetPlan) -> Option<String> {
    let waiting = &target.waiting;
    let until = instant(waiting.until_ms?);
    let items = waiting.entries.len() as u64;
    (items > 0).then(|| waits_for_origin(items, &until, waiting.told.as_deref()))
}
