//! Answers to requests that hold things back, let them go on or take them
//! back, and what an invalidation is told where something holds it back.

use std::collections::BTreeMap;

use super::asks::{ADHOC, Ask};
use super::{Error, planning};
use crate::declare::{Cdn, Declared};
use crate::plan::Hold;
use crate::state::{Scope, StateError, Store, Suspension};

/// Holds `scope` back, and what a Cdn points at under whichever name.
pub(super) fn suspend(
    declared: &Declared,
    store: &mut Store,
    scope: &Scope,
    now_ms: i64,
) -> Result<(), Error> {
    store.suspend(scope, now_ms)?;
    if let Some(target) = target_of(declared, scope) {
        store.suspend_target(target, now_ms)?;
    }
    Ok(())
}

/// What a Cdn points at: that is held back with it, under whichever name.
fn target_of<'a>(declared: &'a Declared, scope: &Scope) -> Option<&'a str> {
    let Scope::Cdn(name) = scope else {
        return None;
    };
    declared.cdns.get(name).map(|cdn| cdn.provider.target())
}

/// Lets `scope` go on, also where it was suspended under another name.
pub(super) fn resume(declared: &Declared, store: &mut Store, scope: &Scope) -> Result<bool, Error> {
    let mut resumed = store.resume(scope)?;
    if let Some(target) = target_of(declared, scope) {
        resumed |= store.resume_target(target)?;
    }
    let is_former = |other: &Scope| match (scope, other) {
        (Scope::Set(name), Scope::Set(other)) => {
            let set = declared.sets.get(name);
            set.is_some_and(|set| set.formerly.contains(other))
                && !declared.sets.contains_key(other)
        }
        // What such a Cdn pointed at is held back by a record of its own.
        (Scope::Cdn(_), Scope::Cdn(other)) => !declared.cdns.contains_key(other),
        _ => false,
    };
    for suspension in store.suspensions()? {
        if is_former(&suspension.scope) {
            resumed |= store.resume(&suspension.scope)?;
        }
    }
    Ok(resumed)
}

/// Drops the undeclared URLs that are still to be sent, and what is recorded
/// of those that were.
pub(super) fn take_back(store: &mut Store, now_ms: i64) -> Result<String, Error> {
    let mut taken = 0;
    for request in store.requests(true)? {
        if let Ok(Ask::Adhoc { urls, .. }) = Ask::of(&request) {
            taken += urls.len();
            store.answer(request.id, "taken back", now_ms)?;
        }
    }
    if store.sets()?.iter().any(|set| set.name == ADHOC) {
        store.forget(ADHOC, now_ms)?;
    }
    Ok(match taken {
        1 => "took back 1 URL that was still to be sent".to_owned(),
        _ => format!("took back {taken} URLs that were still to be sent"),
    })
}

/// How much of what is asked for can go, and what the rest waits for.
pub(super) struct Waits<'a> {
    declared: &'a Declared,
    suspensions: Vec<Suspension>,
    now_ms: i64,
    going: usize,
    held: BTreeMap<String, usize>,
}

impl<'a> Waits<'a> {
    pub(super) fn new(
        declared: &'a Declared,
        store: &Store,
        now_ms: i64,
    ) -> Result<Self, StateError> {
        Ok(Self {
            declared,
            suspensions: planning::suspensions(declared, store)?,
            now_ms,
            going: 0,
            held: BTreeMap::new(),
        })
    }

    pub(super) fn add(&mut self, (set, cdn): (&str, &Cdn), items: usize) {
        let at = (set, cdn.name.as_str());
        let what = match planning::hold(self.declared, &self.suspensions, at, self.now_ms) {
            None => {
                self.going += items;
                return;
            }
            Some(Hold::Suspended) => format!("`{set}` at `{}` is suspended", cdn.name),
            Some(Hold::NotBefore(at_ms)) => {
                let at = jiff::Timestamp::from_second(at_ms.div_euclid(1000));
                let at = at.map_or_else(|_| format!("{at_ms} ms"), |at| at.to_string());
                format!("`{set}` is held until {at} (`notBefore`)")
            }
        };
        *self.held.entry(what).or_default() += items;
    }

    pub(super) fn told(&self) -> String {
        let going = (self.going > 0).then(|| match self.going {
            1 => "1 URL is sent again".to_owned(),
            going => format!("{going} URLs are sent again"),
        });
        let held = self.held.iter().map(|(why, items)| match items {
            1 => format!("1 URL waits: {why}"),
            items => format!("{items} URLs wait: {why}"),
        });
        let told: Vec<String> = going.into_iter().chain(held).collect();
        told.join("; ")
    }
}
