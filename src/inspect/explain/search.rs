//! Where a URL or an asset is declared.

use std::collections::BTreeMap;

use crate::declare::{Cdn, Declared, DeclaredSet};
use crate::expand::Expansion;
use crate::report::explain::Found;

/// Every set that can be expanded.
pub(super) type Expanded<'a> = Vec<(&'a DeclaredSet, Expansion)>;

/// URLs by position of their set.
type Matches = BTreeMap<usize, Vec<String>>;

/// The sets with their expansions, and the names of those that have none.
pub(super) fn expanded(declared: &Declared) -> (Expanded<'_>, Vec<&str>) {
    let mut expanded = Vec::new();
    let mut failed = Vec::new();
    for set in declared.sets.values() {
        match set.expand().expansion {
            Some(expansion) => expanded.push((set, expansion)),
            None => failed.push(set.name.as_str()),
        }
    }
    (expanded, failed)
}

/// The Cdns of a set, inner tier first.
pub(super) fn cdns<'a>(declared: &'a Declared, set: &DeclaredSet) -> Vec<&'a Cdn> {
    let names = set.tiers.iter().flatten();
    names.filter_map(|name| declared.cdns.get(name)).collect()
}

/// The URLs that `subject` means, by the first way of finding any.
pub(super) fn search(
    declared: &Declared,
    expanded: &Expanded<'_>,
    subject: &str,
) -> (Option<Found>, Matches) {
    let wanted = without_query(subject);
    let (mut exact, mut same_path) = (Matches::new(), Matches::new());
    let (mut same_item, mut of_asset) = (Matches::new(), Matches::new());
    let add = |found: &mut Matches, at: usize, url: &str| {
        found.entry(at).or_default().push(url.to_owned());
    };
    for (at, (set, expansion)) in expanded.iter().enumerate() {
        let cdns = cdns(declared, set);
        let is_one = |url: &str| {
            let item =
                |cdn: &Cdn| cdn.wire.item(url.as_bytes()) == cdn.wire.item(subject.as_bytes());
            cdns.iter().any(|cdn| item(cdn))
        };
        expansion.for_each(|url, _| {
            if url == subject {
                add(&mut exact, at, url);
            } else if without_query(url) == wanted {
                add(&mut same_path, at, url);
                if is_one(url) {
                    add(&mut same_item, at, url);
                }
            }
        });
        expansion.for_each_of(subject, |url, _| add(&mut of_asset, at, url));
    }
    let in_order = [
        (Found::Url, exact),
        (Found::Item, same_item),
        (Found::Path, same_path),
        (Found::Asset, of_asset),
    ];
    let first = in_order.into_iter().find(|(_, found)| !found.is_empty());
    first.map_or((None, Matches::new()), |(found_as, found)| {
        (Some(found_as), found)
    })
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
