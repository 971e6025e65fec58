//! Where a URL or an asset is declared.

use std::collections::BTreeMap;

use crate::declare::{Cdn, Declared, DeclaredSet};
use crate::expand::Expansion;
use crate::manifest::nearest;
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

/// What somebody pasted, the way a manifest has it: a browser leaves out the
/// scheme, adds a fragment, and does not mind the case of a host or its port.
pub(super) fn written(subject: &str) -> String {
    let text = subject.trim().split('#').next().unwrap_or_default();
    let Some((scheme, rest)) = text.split_once("://") else {
        let host = text.split_once('/').map_or("", |(host, _)| host);
        return if host.contains('.') {
            written(&format!("https://{text}"))
        } else {
            text.to_owned()
        };
    };
    let scheme = scheme.to_ascii_lowercase();
    let (host, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = host.to_ascii_lowercase();
    let port = if scheme == "https" { ":443" } else { ":80" };
    let host = host.strip_suffix(port).unwrap_or(&host);
    format!("{scheme}://{host}{rest}")
}

/// The id that `subject` is nearly, where it may be one.
pub(super) fn near(expanded: &Expanded<'_>, subject: &str) -> Option<String> {
    if subject.contains('/') {
        return None;
    }
    let ids = expanded.iter().flat_map(|(_, expansion)| expansion.ids());
    nearest(subject, ids).map(str::to_owned)
}

/// The URLs that `subject` means, by the first way of finding any.
pub(super) fn search(
    declared: &Declared,
    expanded: &Expanded<'_>,
    subject: &str,
) -> (Option<Found>, Matches) {
    let wanted = Wanted::new(subject);
    let (mut exact, mut same_item) = (Matches::new(), Matches::new());
    let (mut same_path, mut elsewhere) = (Matches::new(), Matches::new());
    let mut of_asset = Matches::new();
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
            } else if without_query(url) == wanted.place {
                add(&mut same_path, at, url);
                if is_one(url) {
                    add(&mut same_item, at, url);
                }
            } else if !wanted.path.is_empty() && path_of(url) == wanted.path {
                add(&mut elsewhere, at, url);
            }
        });
        expansion.for_each_of(subject, |url, _| add(&mut of_asset, at, url));
    }
    let in_order = [
        (Found::Url, exact),
        (Found::Item, same_item),
        (Found::Path, same_path),
        (Found::Path, elsewhere),
        (Found::Asset, of_asset),
    ];
    let first = in_order.into_iter().find(|(_, found)| !found.is_empty());
    first.map_or((None, Matches::new()), |(found_as, found)| {
        (Some(found_as), found)
    })
}

/// What of a subject is compared.
struct Wanted<'a> {
    /// All but the query.
    place: &'a str,
    /// The path alone: as one publish server has it, so has another.
    path: &'a str,
}

impl<'a> Wanted<'a> {
    fn new(subject: &'a str) -> Self {
        Self {
            place: without_query(subject),
            path: path_of(subject),
        }
    }
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// The path without a slash at its end; empty where `url` has none.
fn path_of(url: &str) -> &str {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None if url.starts_with('/') => url,
        None => "",
    };
    without_query(rest).trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_shows_is_found_as_manifests_have_it() {
        let check = |pasted: &str, expected: &str| assert_eq!(written(pasted), expected);
        check(" https://a.com/b?c ", "https://a.com/b?c");
        check("a.com/B?C", "https://a.com/B?C");
        check("HTTPS://A.com:443/B#top", "https://a.com/B");
        check("http://a.com:80", "http://a.com");
        check("https://a.com:8443/", "https://a.com:8443/");
        check("/is/image/a.b", "/is/image/a.b");
        check("tent.v2", "tent.v2");
    }
}
