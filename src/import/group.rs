//! Grouping: the same form of URL for many ids is a pattern, and ids with the
//! same patterns belong together.

use std::cmp::Reverse;
use std::collections::HashMap;

use rayon::prelude::*;

use super::account::{Address, Owned, Service, owners};
use super::cut::{Cut, cuts_of};
use super::name::Names;

/// Patterns of one account that become templates, at most; what only follows
/// rarer ones stays a URL of its own.
const MAX_PATTERNS: usize = 1000;

/// Groups by what all of their ids have in common, at most; the other ids are
/// grouped pattern by pattern.
const MAX_COMMON: usize = 100;

/// What was found of one root, or of no root.
#[derive(Debug, PartialEq, Eq)]
pub struct Account<'u> {
    /// For its Cdn.
    pub name: String,
    /// What its URLs lie under; `None` for those that lie under none.
    pub root: Option<&'u str>,
    /// Scheme and host of each of its servers, as far as a Cdn can name them.
    pub servers: Vec<&'u str>,
    /// Most used first.
    pub patterns: Vec<Pattern>,
    /// Largest first.
    pub groups: Vec<AssetGroup<'u>>,
    /// What follows no pattern.
    pub urls: Vec<String>,
    /// For the sets of those.
    pub urls_name: String,
}

/// A form of URL that several ids have.
#[derive(Debug, PartialEq, Eq)]
pub struct Pattern {
    /// For its Template.
    pub name: String,
    /// As a Template has it.
    pub line: String,
}

/// Ids that have the same patterns.
#[derive(Debug, PartialEq, Eq)]
pub struct AssetGroup<'u> {
    /// For its set.
    pub name: String,
    /// Positions among the patterns of the account.
    pub patterns: Vec<usize>,
    /// Sorted, each once.
    pub ids: Vec<&'u str>,
}

/// Groups `urls`, which are sorted and each once: every one of them comes from
/// exactly one id and pattern, or stands by itself.
pub fn group(urls: &[Box<str>]) -> Vec<Account<'_>> {
    let mut namer = Namer::default();
    owners(urls)
        .into_iter()
        .map(|owned| account(&owned, &mut namer))
        .collect()
}

/// The names given so far, of each kind.
#[derive(Default)]
struct Namer {
    cdns: Names,
    templates: Names,
    sets: Names,
}

fn account<'u>(owned: &Owned<'u>, namer: &mut Namer) -> Account<'u> {
    let name = namer.cdns.give(owned.root.unwrap_or("other"));
    let mut sorted = Sorted::default();
    sorted.sort(owned);
    sorted.keep_most_used();
    let Sorted {
        patterns,
        mut pairs,
        mut singles,
    } = sorted;
    pairs.par_sort_unstable_by_key(|pair| (pair.id, pair.pattern));
    let grouped = groups_of(&pairs, &mut singles);
    singles.sort_unstable();
    let groups = grouped.into_iter().map(|(patterns, ids)| AssetGroup {
        name: namer.sets.give(&format!("{name} assets")),
        patterns,
        ids,
    });
    Account {
        root: owned.root,
        servers: owned.servers.clone(),
        patterns: patterns
            .into_iter()
            .map(|found| Pattern {
                name: namer.templates.give(&format!("{name} {}", found.words)),
                line: found.line,
            })
            .collect(),
        groups: groups.collect(),
        urls: on_all_servers(owned, &singles),
        urls_name: namer.sets.give(&format!("{name} urls")),
        name,
    }
}

/// A pattern as it was found.
struct Found {
    line: String,
    /// What tells it from others.
    words: String,
    uses: u64,
}

/// A URL as id and pattern.
#[derive(Clone, Copy)]
struct Pair<'u> {
    id: &'u str,
    pattern: u32,
    url: &'u str,
}

/// URLs with a pattern, and those without.
#[derive(Default)]
struct Sorted<'u> {
    patterns: Vec<Found>,
    pairs: Vec<Pair<'u>>,
    singles: Vec<&'u str>,
}

impl<'u> Sorted<'u> {
    /// Cuts each URL so that as many others as possible are cut alike.
    fn sort(&mut self, owned: &Owned<'u>) {
        let uses = uses_of(owned);
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut cuts = Vec::new();
        for url in &owned.urls {
            let address = address_in(owned, url);
            cuts_of(url, address.as_ref(), &mut cuts);
            let uses_of = |cut: &Cut<'_>| uses.get(&cut.hash()).copied().unwrap_or(0);
            // Of two ways that are as good, the shorter id says more.
            let best = cuts
                .iter()
                .map(|cut| (uses_of(cut), cut))
                .filter(|(uses, _)| *uses > 1)
                .max_by_key(|(uses, cut)| (*uses, Reverse(cut.id.len())));
            let Some((_, cut)) = best else {
                self.singles.push(url);
                continue;
            };
            let line = line_of(cut, address.as_ref(), owned.is_shared);
            let next = self.patterns.len() as u32;
            let number = *numbers.entry(line).or_insert_with_key(|line| {
                self.patterns.push(Found {
                    line: line.clone(),
                    words: words_of(cut, url, address.as_ref()),
                    uses: 0,
                });
                next
            });
            self.patterns[number as usize].uses += 1;
            self.pairs.push(Pair {
                id: cut.id,
                pattern: number,
                url,
            });
        }
    }

    /// Leaves the patterns that several URLs follow, most used first.
    fn keep_most_used(&mut self) {
        let patterns = std::mem::take(&mut self.patterns);
        let mut order: Vec<(usize, Found)> = patterns.into_iter().enumerate().collect();
        let all = order.len();
        order.retain(|(_, found)| found.uses > 1);
        order.sort_unstable_by(|(_, one), (_, other)| {
            (other.uses, &one.line).cmp(&(one.uses, &other.line))
        });
        order.truncate(MAX_PATTERNS);
        let mut renumbered: Vec<Option<u32>> = vec![None; all];
        for (now, (before, found)) in order.into_iter().enumerate() {
            renumbered[before] = Some(now as u32);
            self.patterns.push(found);
        }
        let singles = &mut self.singles;
        self.pairs.retain_mut(|pair| {
            let now = renumbered[pair.pattern as usize];
            match now {
                Some(now) => pair.pattern = now,
                None => singles.push(pair.url),
            }
            now.is_some()
        });
    }
}

fn address_in<'u>(owned: &Owned<'u>, url: &'u str) -> Option<Address<'u>> {
    owned.root.and_then(|_| Address::of(url))
}

/// By hash of a cut: how many URLs can be cut like that. As URLs differ, that
/// is how many ids have the pattern.
fn uses_of(owned: &Owned<'_>) -> HashMap<u64, u32> {
    let mut uses: HashMap<u64, u32> = HashMap::new();
    let mut cuts = Vec::new();
    for url in &owned.urls {
        cuts_of(url, address_in(owned, url).as_ref(), &mut cuts);
        for cut in &cuts {
            *uses.entry(cut.hash()).or_default() += 1;
        }
    }
    uses
}

/// With tokens where all servers of the root serve the same, else in full.
fn line_of(cut: &Cut<'_>, address: Option<&Address<'_>>, is_shared: bool) -> String {
    match address {
        Some(address) if is_shared => match address.service {
            // What starts with <ID> is completed to just that.
            Service::Image => cut.line(address.id_start),
            Service::Content => [
                "<SERVER>/is/content/<COMPANY>/",
                &cut.line(address.id_start),
            ]
            .concat(),
        },
        _ => cut.line(0),
    }
}

/// What a person would call the pattern.
fn words_of(cut: &Cut<'_>, url: &str, address: Option<&Address<'_>>) -> String {
    let (service, from) = match address {
        Some(address) => match address.service {
            Service::Image => ("", address.id_start),
            Service::Content => ("content ", address.id_start),
        },
        None => ("", url.find("://").map_or(0, |at| at + 3)),
    };
    let rest = cut.line(from).replace("<ID>", " ");
    if service.is_empty() && !rest.contains(|c: char| c.is_ascii_alphanumeric()) {
        return "image".to_owned();
    }
    [service, &rest].concat()
}

type Grouped<'u> = (Vec<usize>, Vec<&'u str>);

/// Groups by common patterns first, then pattern by pattern; what is left of a
/// pattern joins `singles`. `pairs` are sorted by id.
fn groups_of<'u>(pairs: &[Pair<'u>], singles: &mut Vec<&'u str>) -> Vec<Grouped<'u>> {
    let of_one_id = |one: &Pair<'_>, other: &Pair<'_>| one.id == other.id;
    let mut by_patterns: HashMap<Vec<u32>, Vec<&[Pair<'u>]>> = HashMap::new();
    let mut patterns = Vec::new();
    for pairs in pairs.chunk_by(of_one_id) {
        patterns.clear();
        patterns.extend(pairs.iter().map(|pair| pair.pattern));
        match by_patterns.get_mut(&patterns) {
            Some(ids) => ids.push(pairs),
            None => {
                by_patterns.insert(patterns.clone(), vec![pairs]);
            }
        }
    }
    let mut common: Vec<(Vec<u32>, Vec<&[Pair<'u>]>)> = by_patterns.into_iter().collect();
    common.sort_unstable_by(|(patterns, ids), (other_patterns, other_ids)| {
        let size = |ids: &[_], patterns: &[u32]| (ids.len(), patterns.len());
        let larger = size(other_ids, other_patterns).cmp(&size(ids, patterns));
        larger.then_with(|| patterns.cmp(other_patterns))
    });
    let kept = common.partition_point(|(_, ids)| ids.len() > 1);
    let rare = common.split_off(kept.min(MAX_COMMON));
    let mut groups: Vec<Grouped<'u>> = common
        .into_iter()
        .map(|(patterns, ids)| {
            let patterns = patterns.into_iter().map(|pattern| pattern as usize);
            (
                patterns.collect(),
                ids.iter().map(|of_id| of_id[0].id).collect(),
            )
        })
        .collect();
    let rare = rare.into_iter().flat_map(|(_, ids)| ids).flatten();
    let mut rare: Vec<&Pair<'u>> = rare.collect();
    rare.sort_unstable_by_key(|pair| (pair.pattern, pair.id));
    for pairs in rare.chunk_by(|one, other| one.pattern == other.pattern) {
        match pairs {
            [only] => singles.push(only.url),
            _ => groups.push((
                vec![pairs[0].pattern as usize],
                pairs.iter().map(|pair| pair.id).collect(),
            )),
        }
    }
    groups
}

/// URLs of the first server as those of all of them, where they share them.
fn on_all_servers(owned: &Owned<'_>, urls: &[&str]) -> Vec<String> {
    if !owned.is_shared {
        return urls.iter().map(ToString::to_string).collect();
    }
    let first = owned.servers.first().map_or(0, |server| server.len());
    owned
        .servers
        .iter()
        .flat_map(|server| urls.iter().map(|url| [server, &url[first..]].concat()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accounts in lines: patterns, then groups as patterns and ids, then URLs.
    fn check(urls: &[&str], expected: &str) {
        let mut urls: Vec<Box<str>> = urls.iter().map(|url| Box::from(*url)).collect();
        urls.sort_unstable();
        let mut text = String::new();
        for account in group(&urls) {
            let mut put = |line: String| text.extend([&line, "\n"]);
            put(account.name.clone());
            for pattern in &account.patterns {
                put(format!("  {}: {}", pattern.name, pattern.line));
            }
            for group in &account.groups {
                put(format!("  {:?} {}", group.patterns, group.ids.join(" ")));
            }
            for url in &account.urls {
                put(format!("  - {url}"));
            }
        }
        assert_eq!(text, expected);
    }

    const IMAGES: &str = "https://s/is/image/Acme";

    fn image(rest: &str) -> String {
        format!("{IMAGES}/{rest}")
    }

    fn check_images(rests: &[&str], expected: &str) {
        let urls: Vec<String> = rests.iter().map(|rest| image(rest)).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        check(&urls, expected);
    }

    #[test]
    fn one_form_for_many_ids_is_a_pattern_and_the_same_patterns_make_a_group() {
        check_images(
            &["a", "a?$p$", "b", "b?$p$", "c", "d", "e?$q$", "f:Crop"],
            "acme\n  acme-image: <ID>\n  acme-p: <ID>?$p$\n  \
             [0, 1] a b\n  [0] c d\n  \
             - https://s/is/image/Acme/e?$q$\n  - https://s/is/image/Acme/f:Crop\n",
        );
    }

    #[test]
    fn ids_that_are_alone_with_their_patterns_are_grouped_by_pattern() {
        check_images(
            &["a", "b", "b?$p$", "b?$q$", "c?$p$", "c?$q$:x", "d?$q$"],
            "acme\n  acme-image: <ID>\n  acme-p: <ID>?$p$\n  acme-q: <ID>?$q$\n  \
             [0] a b\n  [1] b c\n  [2] b d\n  - https://s/is/image/Acme/c?$q$:x\n",
        );
    }

    #[test]
    fn the_cut_that_most_share_is_taken() {
        // Of `640?wid=640` the id is the path's alone, of the others all of it.
        check_images(
            &[
                "640?wid=640",
                "641?wid=640",
                "642?wid=640",
                "a?l=is{a}",
                "b?l=is{b}",
            ],
            "acme\n  acme-wid-640: <ID>?wid=640\n  acme-l-is: <ID>?l=is{<ID>}\n  \
             [0] 640 641 642\n  [1] a b\n",
        );
    }

    #[test]
    fn servers_stand_in_the_lines_unless_they_all_serve_the_same() {
        check(
            &[
                "https://s/is/content/Acme/a",
                "https://s/is/content/Acme/b",
                "https://s/is/image/Acme/x?y",
                "https://t/is/content/Acme/a",
                "https://t/is/content/Acme/b",
                "https://t/is/image/Acme/x?y",
            ],
            "acme\n  acme-content: <SERVER>/is/content/<COMPANY>/<ID>\n  [0] a b\n  \
             - https://s/is/image/Acme/x?y\n  - https://t/is/image/Acme/x?y\n",
        );
        check(
            &[
                "https://s/is/content/Acme/a",
                "https://s/is/content/Acme/b",
                "https://t/is/image/Acme/a",
                "https://t/is/image/Acme/b",
            ],
            "acme\n  acme-content: https://s/is/content/Acme/<ID>\n  \
             acme-image: https://t/is/image/Acme/<ID>\n  [0, 1] a b\n",
        );
    }

    #[test]
    fn pages_are_grouped_by_the_part_in_which_most_of_them_differ() {
        check(
            &[
                "https://w/de/p/a.html",
                "https://w/de/p/b.html",
                "https://w/de/p/c.html",
                "https://w/en/p/a.html",
                "https://w/en/p/b.html",
                "https://w/en/p/c.html",
                "https://w/imprint",
            ],
            "other\n  other-w-de-p-html: https://w/de/p/<ID>.html\n  \
             other-w-en-p-html: https://w/en/p/<ID>.html\n  \
             [0, 1] a b c\n  - https://w/imprint\n",
        );
    }
}
