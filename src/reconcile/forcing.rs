//! What an `invalidate` means: which declared items it names, and which URLs
//! nobody declares.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::declare::{Cdn, Declared, DeclaredSet};
use crate::digest::{Entry, ItemKind, Key};
use crate::expand::Expansion;
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
    /// Exactly these URLs, declared or not; empty means no such restriction.
    pub urls: Vec<String>,
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
    /// All that the set desires there.
    pub desired: Vec<Entry>,
}

/// Everything that `selection` names, and the URLs of it that no set declares.
pub fn select<'a>(
    declared: &'a Declared,
    selection: &Selection,
) -> (Vec<Selected<'a>>, Vec<String>) {
    let urls: BTreeSet<&str> = selection.urls.iter().map(String::as_str).collect();
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut selected = Vec::new();
    let sets = declared.sets.values();
    for set in sets.filter(|set| selection.set.as_ref().is_none_or(|name| *name == set.name)) {
        let Some(expansion) = set.expand().expansion else {
            continue;
        };
        let matched = matching(&expansion, selection, &urls);
        known.extend(
            matched
                .iter()
                .filter(|url| urls.contains(url.as_str()))
                .cloned(),
        );
        for name in set.tiers.iter().flatten() {
            let is_meant = selection.cdn.as_ref().is_none_or(|cdn| cdn == name);
            let Some(cdn) = declared
                .cdns
                .get(name)
                .filter(|_| is_meant && !matched.is_empty())
            else {
                continue;
            };
            let key = |url: &String| Key::of(ItemKind::Url, cdn.wire.item(url.as_bytes()));
            let mut keys: Vec<Key> = matched.iter().map(key).collect();
            keys.sort_unstable();
            keys.dedup();
            let desired = expansion.entries(&cdn.wire);
            selected.push(Selected {
                set,
                cdn,
                keys,
                desired,
            });
        }
    }
    let undeclared = urls
        .iter()
        .filter(|url| !known.contains(**url))
        .map(|url| (*url).to_owned());
    (selected, undeclared.collect())
}

fn matching(expansion: &Expansion, selection: &Selection, urls: &BTreeSet<&str>) -> Vec<String> {
    let mut matched = Vec::new();
    let mut take = |url: &str| {
        let is_named = urls.is_empty() || urls.contains(url);
        let is_matched = selection
            .pattern
            .as_ref()
            .is_none_or(|pattern| glob::is_match(pattern.as_bytes(), url.as_bytes()));
        if is_named && is_matched {
            matched.push(url.to_owned());
        }
    };
    match &selection.asset {
        Some(asset) => expansion.for_each_of(asset, |url, _| take(url)),
        None => expansion.for_each(|url, _| take(url)),
    }
    matched
}
