//! The edge: a small cache in front of the origin.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::origin::{Origin, Representation};

/// How long a copy is served: Adobe's default.
const TIME_TO_LIVE: Duration = Duration::from_hours(10);

/// What one invalidated URL clears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keyed {
    /// That URL, with its query.
    #[default]
    Url,
    /// All URLs with the same path.
    Path,
}

/// Copies by path and query. Hosts are ignored: any publish server named in a
/// manifest leads here.
#[derive(Debug)]
pub(super) struct Edge {
    keyed: Keyed,
    copies: HashMap<String, Copy>,
    /// Invalidations accepted and not yet in effect, in order.
    pending: Vec<(Instant, String)>,
}

#[derive(Debug)]
struct Copy {
    content: Representation,
    stored: Instant,
}

/// What a visitor gets.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) content: Representation,
    pub(super) age: Duration,
    pub(super) is_hit: bool,
}

impl Edge {
    pub(super) fn new(keyed: Keyed) -> Self {
        Self {
            keyed,
            copies: HashMap::new(),
            pending: Vec::new(),
        }
    }

    pub(super) fn get(&mut self, target: &str, origin: &Origin, now: Instant) -> Option<Served> {
        self.settle(now);
        let age = |copy: &Copy| now.saturating_duration_since(copy.stored);
        if let Some(copy) = self.copies.get(target)
            && age(copy) < TIME_TO_LIVE
        {
            return Some(Served {
                content: copy.content.clone(),
                age: age(copy),
                is_hit: true,
            });
        }
        let content = origin.get(target)?;
        let copy = Copy {
            content: content.clone(),
            stored: now,
        };
        self.copies.insert(target.to_owned(), copy);
        Some(Served {
            content,
            age: Duration::ZERO,
            is_hit: false,
        })
    }

    /// Drops the copies of `urls` once `effective` has come.
    pub(super) fn invalidate(&mut self, urls: &[String], effective: Instant) {
        let targets = urls.iter().filter_map(|url| target_of(url));
        self.pending
            .extend(targets.map(|target| (effective, target.to_owned())));
    }

    fn settle(&mut self, now: Instant) {
        let keyed = self.keyed;
        let copies = &mut self.copies;
        self.pending.retain(|(effective, target)| {
            let is_due = *effective <= now;
            if is_due {
                match keyed {
                    Keyed::Url => drop(copies.remove(target)),
                    Keyed::Path => copies.retain(|copy, _| path_of(copy) != path_of(target)),
                }
            }
            !is_due
        });
    }
}

/// Path and query of a URL.
pub(super) fn target_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.find('/').map(|start| &rest[start..])
}

fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}
