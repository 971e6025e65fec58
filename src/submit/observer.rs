//! What happens while the submitter runs, seen from outside.

use super::courier::Delivery;
use crate::state::{StateError, Store};

/// Told what happens; asked whether it still matters.
pub trait Observer {
    /// Whether other processes have asked for something that calls for a new
    /// plan.
    fn is_plan_outdated(&mut self, store: &mut Store) -> Result<bool, StateError>;

    /// A turn has been journalled.
    fn progress(&mut self, progress: Progress, store: &Store);

    /// A call has ended.
    fn ended(&mut self, call: &CallEnd<'_>);
}

/// How far the submitter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Items accepted or refused.
    pub done: u64,
    /// Items not yet.
    pub left: u64,
    /// When something can be sent again, if all lanes wait.
    pub waits_until_ms: Option<i64>,
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub struct CallEnd<'a> {
    /// The Cdn's name.
    pub cdn: &'a str,
    /// What came back; `None` where a defect of ours ended it.
    pub delivery: Option<&'a Delivery>,
    /// Items it carried; none for a look-up.
    pub items: usize,
    /// Milliseconds from the journal's entry to the answer.
    pub took_ms: u64,
}
