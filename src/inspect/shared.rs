//! URLs that several sets declare for one Cdn: each goes once, and rarely is
//! that what somebody had in mind.

use std::collections::{BTreeMap, BTreeSet};

use crate::declare::{Declared, DeclaredSet};
use crate::digest::{Entry, Key};
use crate::expand::Expansion;
use crate::manifest::{Fold, Granularity, Problem};
use crate::report::number::counted;
use crate::report::place;
use crate::wire::Wire;

/// Entries compared at once, 16 bytes each; more URLs take several passes.
const AT_ONCE: u64 = 16 << 20;

/// URLs of two sets, by their positions.
type Pairs = BTreeMap<(usize, usize), Shared>;

/// What two sets have in common.
#[derive(Clone, Copy, Debug)]
struct Shared {
    first: Key,
    count: u64,
}

/// A warning for each pair of sets that have URLs in common.
pub(super) fn urls(declared: &Declared, sets: &[(&DeclaredSet, Expansion)]) -> Vec<Problem> {
    let identities: Vec<BTreeSet<&str>> =
        sets.iter().map(|(set, _)| targets(declared, set)).collect();
    let wire = as_declared();
    let count: u64 = sets.iter().map(|(_, expansion)| expansion.count()).sum();
    let bits = count.div_ceil(AT_ONCE).next_power_of_two().trailing_zeros();
    let mut pairs = Pairs::new();
    for part in 0..1_u32 << bits {
        let mut entries = Vec::new();
        for (at, (_, expansion)) in sets.iter().enumerate() {
            let own = expansion.entries(&wire).into_iter();
            let own = own.filter(|entry| entry.key().bucket(bits) == part);
            entries.extend(own.map(|entry| numbered(entry.key(), at)));
        }
        entries.sort_unstable();
        for same in entries
            .chunk_by(|a, b| a.key() == b.key())
            .filter(|same| same.len() > 1)
        {
            pair(same, &identities, &mut pairs);
        }
    }
    warnings(sets, &wire, &pairs)
}

/// URLs as they are declared, whatever a Cdn makes of them.
fn as_declared() -> Wire {
    Wire::new(&Granularity {
        default: Fold::Url,
        path_hosts: Vec::new(),
        url_hosts: Vec::new(),
    })
}

/// Where a set's URLs go.
fn targets<'a>(declared: &'a Declared, set: &DeclaredSet) -> BTreeSet<&'a str> {
    let cdns = set.tiers.iter().flatten();
    let cdns = cdns.filter_map(|name| declared.cdns.get(name));
    cdns.map(|cdn| cdn.provider.target()).collect()
}

/// An entry whose mark is the position of a set.
fn numbered(key: Key, at: usize) -> Entry {
    let mut bytes = [0; Entry::SIZE];
    bytes[..10].copy_from_slice(&key.to_bytes());
    bytes[12..].copy_from_slice(&(at as u32).to_be_bytes());
    Entry::from_bytes(bytes)
}

fn position(entry: Entry) -> usize {
    let bytes = entry.to_bytes();
    u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) as usize
}

/// Notes that these sets have a URL in common: each with the first of those
/// before it that sends it to the same place.
fn pair(same: &[Entry], targets: &[BTreeSet<&str>], pairs: &mut Pairs) {
    for (rank, entry) in same.iter().enumerate() {
        let at = position(*entry);
        let mut before = same[..rank].iter().map(|other| position(*other));
        if let Some(other) = before.find(|other| !targets[*other].is_disjoint(&targets[at])) {
            let first = entry.key();
            let shared = pairs
                .entry((other, at))
                .or_insert(Shared { first, count: 0 });
            shared.count += 1;
        }
    }
}

fn warnings(sets: &[(&DeclaredSet, Expansion)], wire: &Wire, pairs: &Pairs) -> Vec<Problem> {
    let mut wanted: BTreeMap<usize, BTreeSet<Key>> = BTreeMap::new();
    for ((_, at), shared) in pairs {
        wanted.entry(*at).or_default().insert(shared.first);
    }
    let mut urls: BTreeMap<(usize, Key), String> = BTreeMap::new();
    for (at, keys) in &wanted {
        let found = spelt(&sets[*at].1, wire, keys).into_iter();
        urls.extend(found.map(|(key, url)| ((*at, key), url)));
    }
    let warning = |(&(other, at), shared): (&(usize, usize), &Shared)| {
        let ((first, _), (second, _)) = (&sets[other], &sets[at]);
        let url = urls.get(&(at, shared.first)).map_or("", String::as_str);
        let more = match shared.count - 1 {
            0 => String::new(),
            more => format!(" and {} more", counted(more, "URL")),
        };
        let message = format!(
            "the set `{}` declares `{url}`{more}, as the set `{}` does at {}",
            second.name,
            first.name,
            place(&first.place),
        );
        Problem::warning("shared-url", Some(second.place.clone()), message)
            .hint("it goes once, whichever of them changes; declare it in one of them, unless both are meant")
    };
    pairs.iter().map(warning).collect()
}

/// The URLs of these keys.
fn spelt(expansion: &Expansion, wire: &Wire, keys: &BTreeSet<Key>) -> BTreeMap<Key, String> {
    let wanted = |key| keys.contains(&key).then_some(key);
    let mut urls = BTreeMap::new();
    let mut from = Some(0);
    while let Some(cursor) = from.filter(|_| urls.len() < keys.len()) {
        let found = expansion.find(wire, cursor, &wanted, keys.len());
        urls.extend(
            found
                .items
                .into_iter()
                .map(|(key, url)| (key, url.into_string())),
        );
        from = found.next;
    }
    urls
}
