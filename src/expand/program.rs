//! A compiled set, and the ways to run through its URLs.

use std::ops::Range;

use rayon::prelude::*;

use crate::digest::{Entry, ItemKind, Key, Mark};
use crate::resolve::table::AssetTable;
use crate::resolve::{glob, id};
use crate::wire::Wire;

use super::compile::{OfAsset, mark_of};
use super::line::Revisions;
use super::sieve::Sieve;
use super::template::Pattern;

/// URLs that one task of a parallel run is about.
const CHUNK: u64 = 16 * 1024;

/// Items that [`Expansion::find`] gives back although fewer were asked for: what
/// was found is not looked for again.
const KEPT: usize = 4 * CHUNK as usize;

/// Chunks for which [`Expansion::find`] looks ahead at most, per core.
const MAX_LOOK_AHEAD: usize = 64;

/// A set, compiled: all its URLs, without holding them.
#[derive(Debug)]
pub struct Expansion {
    pub(super) set_revision: Option<String>,
    pub(super) exclude: Vec<String>,
    pub(super) wholes: Vec<Whole>,
    pub(super) table: AssetTable,
    /// By group of the table.
    pub(super) classes: Vec<Class>,
    pub(super) bounds: Vec<Bound>,
    pub(super) rules: Vec<Revisions>,
    /// Before exclusion.
    pub(super) count: u64,
}

/// A URL that no asset goes into.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) url: Box<str>,
    pub(super) mark: Mark,
}

/// A pattern that assets go into.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) pattern: Pattern,
    /// The line it comes from.
    pub(super) line: usize,
    /// Its revisions, in [`Expansion::rules`].
    pub(super) rule: usize,
    /// Whether crops go in as well.
    pub(super) uses_crop: bool,
}

/// What assets of one group get.
#[derive(Debug)]
pub(super) struct Class {
    /// In [`Expansion::bounds`].
    pub(super) bounds: Vec<u32>,
    pub(super) crops: Vec<String>,
    pub(super) uses_crops: bool,
    /// URLs of each asset.
    pub(super) urls: u64,
}

/// What [`Expansion::find`] found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<W> {
    /// What they are wanted as and the items, in the order of the expansion.
    pub items: Vec<(W, Box<str>)>,
    /// Where to go on; `None` at the end.
    pub next: Option<u64>,
}

impl Expansion {
    /// How many URLs there are, before exclusion and with repetitions.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The entries of all items: sorted, one for each key. An item that is
    /// declared at several marks gets their combination.
    pub fn entries(&self, wire: &Wire) -> Vec<Entry> {
        let mut entries = vec![Entry::from_bytes([0; Entry::SIZE]); self.count as usize];
        let mut tasks = Vec::new();
        let mut rest = &mut entries[..];
        for (rows, urls) in self.chunks(0..self.rows()) {
            let (slots, after) = rest.split_at_mut(urls as usize);
            tasks.push((rows, slots));
            rest = after;
        }
        tasks
            .into_par_iter()
            .for_each(|(rows, slots)| self.fill(rows, wire, slots));
        entries.par_sort_unstable();
        combine(&mut entries);
        entries
    }

    /// Calls `f` with each declared URL and its mark, in the order of the
    /// expansion, with repetitions.
    pub fn for_each(&self, f: impl FnMut(&str, Mark)) {
        self.visit(0..self.rows(), f);
    }

    /// The same, for the URLs that the asset declared as `id` goes into.
    pub fn for_each_of(&self, id: &str, mut f: impl FnMut(&str, Mark)) {
        let Ok(id) = id::escape(id) else { return };
        let wholes = self.wholes.len();
        for asset in (0..self.table.len()).filter(|asset| self.table.get(*asset).id == id) {
            self.visit(wholes + asset..wholes + asset + 1, &mut f);
        }
    }

    /// The ids of all assets.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        (0..self.table.len()).map(|asset| self.table.get(asset).id)
    }

    /// Looks from `from` (0, or what the call before gave as `next`) for items
    /// that are `wanted` as something, until there are `at_most`; up to some ten
    /// thousand more are found at a time.
    /// An item that is declared repeatedly may be found repeatedly.
    pub fn find<W: Send>(
        &self,
        wire: &Wire,
        from: u64,
        wanted: &(dyn Fn(Key) -> Option<W> + Sync),
        at_most: usize,
    ) -> Found<W> {
        let mut items = Vec::new();
        let mut chunks = self.chunks(from as usize..self.rows()).peekable();
        let mut look_ahead = 1;
        while items.len() < at_most
            && let Some((next, _)) = chunks.peek()
        {
            let start = next.start;
            let group: Vec<Range<usize>> = chunks
                .by_ref()
                .take(look_ahead * rayon::current_num_threads())
                .map(|(rows, _)| rows)
                .collect();
            let found: Vec<_> = group
                .into_par_iter()
                .map(|rows| (rows.end, self.find_in(rows, wire, wanted)))
                .collect();
            let mut end = start;
            for (chunk_end, hits) in found {
                if items.len() >= at_most.max(KEPT) {
                    break;
                }
                items.extend(hits);
                end = chunk_end;
            }
            if items.len() >= at_most {
                let next = (end < self.rows()).then_some(end as u64);
                return Found { items, next };
            }
            look_ahead = (look_ahead * 2).min(MAX_LOOK_AHEAD);
        }
        let next = chunks.peek().map(|(rows, _)| rows.start as u64);
        Found { items, next }
    }

    /// The keys of all items that are `wanted`, sorted and each once.
    pub fn keys(&self, wire: &Wire, wanted: &(dyn Fn(Key) -> bool + Sync)) -> Vec<Key> {
        self.distinct(|url| {
            let key = Key::of(ItemKind::Url, wire.item(url));
            wanted(key).then_some(key)
        })
    }

    /// How many different URLs become the items that are `wanted`.
    pub fn count_behind(&self, wire: &Wire, wanted: &(dyn Fn(Key) -> bool + Sync)) -> u64 {
        let urls = self.distinct(|url| {
            let is_wanted = wanted(Key::of(ItemKind::Url, wire.item(url)));
            is_wanted.then(|| Key::of(ItemKind::Url, url))
        });
        urls.len() as u64
    }

    /// What `key_of` gives for all URLs, sorted and each once.
    fn distinct(&self, key_of: impl Fn(&[u8]) -> Option<Key> + Sync) -> Vec<Key> {
        let chunks: Vec<_> = self.chunks(0..self.rows()).collect();
        let in_chunk = |(rows, _)| {
            let mut keys = Vec::new();
            self.visit(rows, |url, _| keys.extend(key_of(url.as_bytes())));
            keys
        };
        let mut keys: Vec<Key> = chunks.into_par_iter().flat_map_iter(in_chunk).collect();
        keys.par_sort_unstable();
        keys.dedup();
        keys
    }

    /// Whether there are URLs, and `exclude` takes out every one.
    pub(super) fn is_all_excluded(&self) -> bool {
        let has_left = |(rows, _): (Range<usize>, u64)| {
            let mut left = false;
            self.visit(rows, |_, _| left = true);
            left
        };
        self.count > 0 && !self.exclude.is_empty() && !self.chunks(0..self.rows()).any(has_left)
    }

    /// Which of `exclude` match no URL, by position.
    pub(super) fn unused_exclusions(&self) -> Vec<usize> {
        let mut unused: Vec<usize> = (0..self.exclude.len()).collect();
        for (rows, _) in self.chunks(0..self.rows()) {
            if unused.is_empty() {
                break;
            }
            self.visit_all(rows, |url, _| {
                unused.retain(|at| !glob::is_match(self.exclude[*at].as_bytes(), url.as_bytes()));
            });
        }
        unused
    }

    /// A row is a whole URL or an asset.
    fn rows(&self) -> usize {
        self.wholes.len() + self.table.len()
    }

    /// Cuts `rows` into pieces of about [`CHUNK`] URLs; with how many they have.
    fn chunks(&self, rows: Range<usize>) -> impl Iterator<Item = (Range<usize>, u64)> {
        let mut start = rows.start;
        std::iter::from_fn(move || {
            let mut urls = 0;
            let mut end = start;
            while end < rows.end && urls < CHUNK {
                urls += self.urls_of(end);
                end += 1;
            }
            let chunk = start..end;
            start = end;
            (!chunk.is_empty()).then_some((chunk, urls))
        })
    }

    fn urls_of(&self, row: usize) -> u64 {
        match row.checked_sub(self.wholes.len()) {
            None => 1,
            Some(asset) => self.classes[self.table.group_of(asset).index()].urls,
        }
    }

    /// Writes the entries of `rows` into `slots`. Excluded URLs leave blank
    /// ones at the end: a zero mark, which no declared URL has.
    fn fill(&self, rows: Range<usize>, wire: &Wire, slots: &mut [Entry]) {
        let mut slots = slots.iter_mut();
        self.visit(rows, |url, mark| {
            let key = Key::of(ItemKind::Url, wire.item(url.as_bytes()));
            let slot = slots.next().expect("a chunk has as many slots as URLs");
            *slot = Entry::new(key, mark);
        });
    }

    fn find_in<W>(
        &self,
        rows: Range<usize>,
        wire: &Wire,
        wanted: &(dyn Fn(Key) -> Option<W> + Sync),
    ) -> Vec<(W, Box<str>)> {
        let mut sieve = Sieve::new(wanted);
        self.visit(rows, |url, _| {
            let item = wire.item(url.as_bytes());
            sieve.push(Key::of(ItemKind::Url, item), &url[..item.len()]);
        });
        sieve.finish()
    }

    /// Runs through the URLs of `rows` in one buffer, without the excluded.
    fn visit(&self, rows: Range<usize>, mut f: impl FnMut(&str, Mark)) {
        self.visit_all(rows, |url, mark| {
            if !glob::matches_any(&self.exclude, url) {
                f(url, mark);
            }
        });
    }

    /// The same, with the excluded.
    fn visit_all(&self, rows: Range<usize>, mut emit: impl FnMut(&str, Mark)) {
        let wholes = self.wholes.len();
        for whole in &self.wholes[rows.start.min(wholes)..rows.end.min(wholes)] {
            emit(&whole.url, whole.mark);
        }
        let mut url = String::new();
        let mut marks = Marks::new(self);
        for index in rows.start.max(wholes)..rows.end {
            let asset = self.table.get(index - wholes);
            let class = &self.classes[asset.group.index()];
            let file = self.table.groups()[asset.group.index()].revision.as_deref();
            marks.turn_to(OfAsset {
                asset: asset.revision,
                file,
                content: self.table.content(index - wholes),
            });
            for bound in class
                .bounds
                .iter()
                .map(|bound| &self.bounds[*bound as usize])
            {
                let mark = marks.of(bound.rule);
                if !bound.uses_crop {
                    bound.pattern.write(&mut url, asset.id, "");
                    emit(&url, mark);
                    continue;
                }
                for crop in &class.crops {
                    bound.pattern.write(&mut url, asset.id, crop);
                    emit(&url, mark);
                }
            }
        }
    }
}

/// The marks of one asset under each rule; assets in a row mostly share them.
struct Marks<'a> {
    expansion: &'a Expansion,
    own: OfAsset<'a>,
    by_rule: Vec<Option<Mark>>,
}

impl<'a> Marks<'a> {
    fn new(expansion: &'a Expansion) -> Self {
        Self {
            expansion,
            own: OfAsset::default(),
            by_rule: vec![None; expansion.rules.len()],
        }
    }

    fn turn_to(&mut self, own: OfAsset<'a>) {
        if self.own != own {
            self.own = own;
            self.by_rule.fill(None);
        }
    }

    fn of(&mut self, rule: usize) -> Mark {
        *self.by_rule[rule].get_or_insert_with(|| {
            let set = self.expansion.set_revision.as_deref();
            mark_of(set, &self.expansion.rules[rule], self.own)
        })
    }
}

/// Leaves one entry for each key, and no blank ones, in sorted `entries`.
fn combine(entries: &mut Vec<Entry>) {
    let mut marks = Vec::new();
    let mut kept = 0;
    let mut at = entries.partition_point(|entry| entry.mark().is_owed());
    while at < entries.len() {
        let first = entries[at];
        let same = entries[at..]
            .iter()
            .take_while(|entry| entry.key() == first.key())
            .count();
        entries[kept] = if same == 1 {
            first
        } else {
            marks.clear();
            marks.extend(entries[at..at + same].iter().map(|entry| entry.mark()));
            Entry::new(first.key(), Mark::combined(&mut marks))
        };
        kept += 1;
        at += same;
    }
    entries.truncate(kept);
}
