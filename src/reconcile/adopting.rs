//! Recording a set as already fresh, where somebody knows that it is.

use super::{Error, planning};
use crate::declare::{Declared, DeclaredSet};
use crate::digest::Digest;
use crate::state::{Begin, StateError, Store};

/// Records that every CDN of a set has all that it declares.
pub(super) fn adopt(
    declared: &Declared,
    store: &mut Store,
    name: &str,
    now_ms: i64,
) -> Result<String, Error> {
    let unknown = || {
        let (kind, name) = ("valid set", name.to_owned());
        Error::State(StateError::Unknown { kind, name })
    };
    let set = declared.sets.get(name).ok_or_else(unknown)?;
    let expansion = set.expand().expansion.ok_or_else(unknown)?;
    let mut begins = Vec::new();
    let recorded = store.sets()?.into_iter().find(|set| set.name == name);
    let cdns = set.tiers.iter().flatten();
    for cdn in cdns.filter_map(|name| declared.cdns.get(name)) {
        let entries = expansion.entries(&cdn.wire);
        let target = cdn.provider.target();
        let ledger = recorded.as_ref().and_then(|set| set.ledger(target));
        let mut departed = match ledger {
            Some(ledger) => store.contents(ledger.id, now_ms)?.departed,
            None => Vec::new(),
        };
        departed.retain(|key| {
            let at = entries.binary_search_by_key(key, |entry| entry.key());
            at.is_err()
        });
        begins.push(Begin {
            set: name.to_owned(),
            target: store.target(target)?.id,
            wire: cdn.wire.digest(),
            desired: Digest::of_entries(&entries),
            owe: Vec::new(),
            record: entries,
            departed,
            forget: Vec::new(),
            approve: None,
        });
    }
    let keep = planning::keep_all(declared, set, &expansion);
    store.adopt(&begins, Some(&keep), now_ms)?;
    if is_all_recorded(declared, store)? {
        store.let_through()?;
    }
    Ok(format!("recorded `{name}` as fresh; nothing was sent"))
}

/// Whether something is recorded of every set at each of its CDNs, so that
/// nobody has to say what a state without a past means.
fn is_all_recorded(declared: &Declared, store: &Store) -> Result<bool, StateError> {
    let recorded = store.sets()?;
    let is_recorded = |set: &DeclaredSet| {
        let recorded = recorded.iter().find(|recorded| recorded.name == set.name);
        let mut cdns = set.tiers.iter().flatten();
        recorded.is_some_and(|recorded| {
            cdns.all(|name| {
                let cdn = declared.cdns.get(name);
                cdn.is_some_and(|cdn| recorded.ledgers.contains_key(cdn.provider.target()))
            })
        })
    };
    Ok(!declared.is_frozen() && declared.sets.values().all(is_recorded))
}
