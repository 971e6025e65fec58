//! What waits to be sent: the newest hundred, in order.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::report::alert::AlertDocument;

/// Notifications that wait, at most.
const CAPACITY: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    documents: VecDeque<AlertDocument>,
    is_under_way: bool,
    is_closed: bool,
}

impl Queue {
    /// Adds one; whether the oldest had to make way for it.
    pub(super) fn push(&self, document: AlertDocument) -> bool {
        let mut waiting = self.waiting();
        let is_full = waiting.documents.len() == CAPACITY;
        if is_full {
            waiting.documents.pop_front();
        }
        waiting.documents.push_back(document);
        self.changed.notify_one();
        is_full
    }

    /// The oldest, once there is one; `None` once it is closed and empty.
    pub(super) async fn first(&self) -> Option<AlertDocument> {
        loop {
            {
                let mut waiting = self.waiting();
                if let Some(document) = waiting.documents.pop_front() {
                    waiting.is_under_way = true;
                    return Some(document);
                }
                if waiting.is_closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Whatever came of it, the one taken last is dealt with.
    pub(super) fn done(&self) {
        self.waiting().is_under_way = false;
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
        self.changed.notify_one();
    }

    /// How many are not dealt with.
    pub(super) fn left(&self) -> u64 {
        let waiting = self.waiting();
        waiting.documents.len() as u64 + u64::from(waiting.is_under_way)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::alert::Alert;
    use crate::report::alert::AlertKind;

    fn document(number: usize) -> AlertDocument {
        let alert = Alert {
            kind: AlertKind::Failed,
            was: None,
            cdn: None,
            reason: number.to_string(),
            sets: Vec::new(),
            since_ms: 0,
            at_ms: 0,
        };
        alert.document()
    }

    #[tokio::test]
    async fn the_oldest_makes_way_and_the_rest_stays_in_order() {
        let queue = Queue::default();
        for number in 0..150 {
            assert_eq!(queue.push(document(number)), number >= CAPACITY);
        }
        assert_eq!(queue.left(), CAPACITY as u64);
        queue.close();
        for number in 50..150 {
            assert_eq!(queue.first().await, Some(document(number)));
        }
        assert_eq!(queue.first().await, None);
    }
}
