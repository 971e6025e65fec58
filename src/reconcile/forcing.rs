//! What an `invalidate` means: which declared items it names, and which URLs
//! nobody declares.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::asks::{ADHOC, ADHOC_LIMIT};
use crate::declare::{Cdn, Declared, DeclaredSet};
use crate::digest::{Entry, ItemKind, Key};
use crate::expand::Expansion;
use crate::manifest::OnCreate;
use crate::plan::policy::Limit;
use crate::plan::recorded::RecordedSet;
use crate::resolve::glob;

/// What is to be sent again, as somebody asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Only of this set.
    pub set: Option<String>,
    /// Only URLs of this asset.
    pub asset: Option<String>,
    /// Only URLs that this glob matches; only `*` is special.
    pub pattern: Option<String>,
    /// Exactly these URLs, declared or not. None at all are no URLs, which is
    /// not the same as no such restriction.
    pub urls: Option<Vec<String>>,
    /// Only at this Cdn.
    pub cdn: Option<String>,
    /// Why, for the history.
    pub reason: Option<String>,
}

/// Items of one set at one Cdn.
#[derive(Debug)]
pub struct Selected<'a> {
    /// The set.
    pub set: &'a DeclaredSet,
    /// The Cdn.
    pub cdn: &'a Cdn,
    /// Sorted.
    pub keys: Vec<Key>,
    /// All that the set desires there, where a first sight of it is adopted;
    /// else empty, since nobody needs it.
    pub desired: Vec<Entry>,
}

/// An `invalidate` that is over a limit. It is judged by itself, when it is
/// asked for: what passed is sent whatever else is asked for later, and what
/// did not pass is not recorded, so that it holds up nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{items} URLs of `{set}` at `{cdn}` are more than {limit}; nothing was recorded, and nothing sent"
)]
pub struct TooMany {
    set: String,
    cdn: String,
    items: u64,
    limit: Limit,
}

impl TooMany {
    /// What to do instead.
    pub fn cure(&self) -> &'static str {
        if self.set == ADHOC {
            return "ask for at most 10000 at a time, or declare them in a set";
        }
        "ask for fewer, raise `limits` in the set's manifest, or change its `revision`: \
         that plan can be let through with `freshen approve`"
    }
}

/// Refuses what is over the limit of a set at one of its Cdns.
pub fn check_limits(
    selected: &[Selected<'_>],
    adhoc: &[(&Cdn, Vec<String>)],
    recorded: &[RecordedSet],
) -> Result<(), TooMany> {
    for Selected { set, cdn, keys, .. } in selected {
        let ledgers = recorded.iter().find(|other| other.name == set.name);
        let ledger = ledgers.and_then(|set| set.ledger(cdn.provider.target()));
        let count = ledger.map_or(0, |ledger| ledger.count);
        let items = keys.len() as u64;
        if let Some(limit) = Limit::exceeded(set.limits, items, count) {
            let (set, cdn) = (set.name.clone(), cdn.name.clone());
            return Err(TooMany {
                set,
                cdn,
                items,
                limit,
            });
        }
    }
    for (cdn, urls) in adhoc {
        let items = urls.len() as u64;
        if items > ADHOC_LIMIT {
            let (set, cdn) = (ADHOC.to_owned(), cdn.name.clone());
            let limit = Limit::MaxUrls(ADHOC_LIMIT);
            return Err(TooMany {
                set,
                cdn,
                items,
                limit,
            });
        }
    }
    Ok(())
}

/// Which of the URLs that no set declares go to which Cdn.
pub fn adhoc<'a>(
    declared: &'a Declared,
    selection: &Selection,
    undeclared: &[String],
) -> Vec<(&'a Cdn, Vec<String>)> {
    let is_meant = |cdn: &&Cdn| selection.cdn.as_ref().is_none_or(|name| *name == cdn.name);
    let covered = declared.cdns.values().filter(is_meant).map(|cdn| {
        let urls = undeclared.iter().filter(|url| cdn.covers(url));
        (cdn, urls.cloned().collect::<Vec<_>>())
    });
    covered.filter(|(_, urls)| !urls.is_empty()).collect()
}

/// Everything that `selection` names, and the URLs of it that no set declares.
pub fn select<'a>(
    declared: &'a Declared,
    selection: &Selection,
) -> (Vec<Selected<'a>>, Vec<String>) {
    let urls: BTreeSet<&str> = selection
        .urls
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut selected = Vec::new();
    let sets = declared.sets.values();
    for set in sets.filter(|set| selection.set.as_ref().is_none_or(|name| *name == set.name)) {
        let Some(expansion) = set.expand().expansion else {
            continue;
        };
        let names = set.tiers.iter().flatten();
        let meant = names.filter(|name| selection.cdn.as_ref().is_none_or(|cdn| cdn == *name));
        let cdns: Vec<&Cdn> = meant.filter_map(|name| declared.cdns.get(name)).collect();
        let mut keys: Vec<Vec<Key>> = vec![Vec::new(); cdns.len()];
        for_each_match(&expansion, selection, &urls, |url| {
            known.extend(urls.get(url));
            for (cdn, keys) in cdns.iter().zip(&mut keys) {
                keys.push(Key::of(ItemKind::Url, cdn.wire.item(url.as_bytes())));
            }
        });
        for (cdn, mut keys) in cdns.into_iter().zip(keys) {
            if keys.is_empty() {
                continue;
            }
            keys.sort_unstable();
            keys.dedup();
            let desired = match set.on_create {
                OnCreate::Adopt => expansion.entries(&cdn.wire),
                OnCreate::Invalidate => Vec::new(),
            };
            selected.push(Selected {
                set,
                cdn,
                keys,
                desired,
            });
        }
    }
    let undeclared = urls.difference(&known).map(|url| (*url).to_owned());
    (selected, undeclared.collect())
}

/// Calls `take` with each URL that `selection` names, `urls` being those that
/// it lists; there may be ten million of them, so none is kept.
fn for_each_match(
    expansion: &Expansion,
    selection: &Selection,
    urls: &BTreeSet<&str>,
    mut take: impl FnMut(&str),
) {
    let mut offer = |url: &str| {
        let is_named = selection.urls.is_none() || urls.contains(url);
        let is_matched = selection
            .pattern
            .as_ref()
            .is_none_or(|pattern| glob::is_match(pattern.as_bytes(), url.as_bytes()));
        if is_named && is_matched {
            take(url);
        }
    };
    match &selection.asset {
        Some(asset) => expansion.for_each_of(asset, |url, _| offer(url)),
        None => expansion.for_each(|url, _| offer(url)),
    }
}
