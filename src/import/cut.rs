//! Cutting: where in a URL the id of an asset may stand.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher as _};

use crate::resolve::id::{IdFault, escape, refuse_file_ending};

use super::account::Address;

/// Places looked at in a URL of an unknown form; real ones have fewer.
const MAX_PLACES: usize = 12;

/// Letters and digits of a file ending, at most.
const MAX_ENDING: usize = 5;

/// A URL with one of its parts taken for an id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut<'u> {
    url: &'u str,
    at: usize,
    pub(super) id: &'u str,
    /// Whether the id is one wherever it occurs again, not only `at`.
    is_repeated: bool,
}

impl<'u> Cut<'u> {
    /// The same for two cuts of different URLs exactly where their texts around
    /// the ids are, but for collisions.
    pub(super) fn hash(self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.for_each_text(0, |text| {
            hasher.write(text.as_bytes());
            hasher.write_u8(0xff);
        });
        hasher.finish()
    }

    /// The URL from byte `from` on, as a line of a template.
    pub(super) fn line(self, from: usize) -> String {
        let mut texts = Vec::new();
        self.for_each_text(from, |text| texts.push(text));
        texts.join("<ID>")
    }

    fn for_each_text(self, from: usize, mut take: impl FnMut(&'u str)) {
        let mut start = from;
        let mut gap = Some(self.at);
        while let Some(at) = gap {
            take(&self.url[start..at]);
            start = at + self.id.len();
            gap = if self.is_repeated {
                next_whole(self.url, self.id, start)
            } else {
                None
            };
        }
        take(&self.url[start..]);
    }
}

/// Puts every way to cut `url` into `cuts`. In a URL of Dynamic Media the id
/// follows the root; in any other it may be whatever stands between two marks.
pub(super) fn cuts_of<'u>(url: &'u str, address: Option<&Address<'u>>, cuts: &mut Vec<Cut<'u>>) {
    cuts.clear();
    if let Some(address) = address {
        let rest = &url[address.id_start..];
        let end = rest.find([':', '?']).unwrap_or(rest.len());
        let id = without_endings(rest[..end].trim_end_matches('/'));
        add(url, address.id_start, id, cuts);
        return;
    }
    for (at, token) in tokens(url).take(MAX_PLACES) {
        let stem = without_endings(token);
        add(url, at, stem, cuts);
        if let Some(shorter) = without_ending(stem) {
            add(url, at, shorter, cuts);
        }
    }
}

fn add<'u>(url: &'u str, at: usize, id: &'u str, cuts: &mut Vec<Cut<'u>>) {
    if !matches!(escape(id), Ok(Cow::Borrowed(_))) {
        return;
    }
    let cut = Cut {
        url,
        at,
        id,
        is_repeated: false,
    };
    cuts.push(cut);
    if next_whole(url, id, at + id.len()).is_some() {
        cuts.push(Cut {
            is_repeated: true,
            ..cut
        });
    }
}

/// What stands between marks in path and query, but for names of parameters.
fn tokens(url: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_mark = |c: char| matches!(c, '/' | '?' | '&' | '=' | ';');
    let authority = url.find("://").map_or(url.len(), |at| at + 3);
    let start = url[authority..]
        .find(['/', '?'])
        .map_or(url.len(), |at| authority + at);
    let mut at = start;
    url[start..]
        .split_inclusive(is_mark)
        .filter_map(move |part| {
            let token = part.trim_end_matches(is_mark);
            let here = (at, token);
            at += part.len();
            (!token.is_empty() && !part.ends_with('=')).then_some(here)
        })
}

/// An id without the endings that no id of Dynamic Media may have.
fn without_endings(mut id: &str) -> &str {
    while let Err(IdFault::FileEnding { ending, .. }) = refuse_file_ending(id) {
        id = &id[..id.len() - ending.len()];
    }
    id
}

/// A name without `.html` and the like.
fn without_ending(name: &str) -> Option<&str> {
    let (stem, ending) = name.rsplit_once('.')?;
    let is_ending = ending.len() <= MAX_ENDING
        && ending.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && ending.starts_with(|first: char| first.is_ascii_alphabetic());
    (is_ending && !stem.is_empty()).then_some(stem)
}

/// Where `id` occurs next, from byte `from` on, as a whole word.
fn next_whole(url: &str, id: &str, from: usize) -> Option<usize> {
    let bytes = url.as_bytes();
    let is_inner = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    url[from..]
        .match_indices(id)
        .map(|(at, _)| from + at)
        .find(|at| !is_inner(at - 1) && !is_inner(at + id.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &[(&str, &str)]) {
        let mut cuts = Vec::new();
        cuts_of(url, Address::of(url).as_ref(), &mut cuts);
        let found: Vec<(&str, String)> = cuts.iter().map(|cut| (cut.id, cut.line(0))).collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(id, line)| (*id, &line[..])).collect();
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn the_id_of_dynamic_media_follows_the_root() {
        check(
            "https://a/is/image/Acme/x.y:Banner?$p$",
            &[("x.y", "https://a/is/image/Acme/<ID>:Banner?$p$")],
        );
        check(
            "https://a/is/content/Acme/f/x/?",
            &[("f/x", "https://a/is/content/Acme/<ID>/?")],
        );
        check("https://a/is/image/Acme/?req=x", &[]);
        check("https://a/is/image/Acme/a^b", &[]);
        check("https://a/is/image/Acme/a%zz", &[]);
    }

    #[test]
    fn what_is_no_part_of_an_id_stays_in_the_line() {
        check(
            "https://a/is/image/Acme/x.tif?wid=300",
            &[("x", "https://a/is/image/Acme/<ID>.tif?wid=300")],
        );
        check(
            "https://a/is/image/Acme/x.jpg.PNG",
            &[("x", "https://a/is/image/Acme/<ID>.jpg.PNG")],
        );
    }

    #[test]
    fn an_id_may_be_meant_wherever_it_occurs_as_a_word() {
        check(
            "https://a/is/image/Acme/x?l=is{Acme/x}&m=xx",
            &[
                ("x", "https://a/is/image/Acme/<ID>?l=is{Acme/x}&m=xx"),
                ("x", "https://a/is/image/Acme/<ID>?l=is{Acme/<ID>}&m=xx"),
            ],
        );
    }

    #[test]
    fn elsewhere_it_may_be_any_part_but_a_name() {
        check(
            "https://a/p/x.html?b=c",
            &[
                ("p", "https://a/<ID>/x.html?b=c"),
                ("x.html", "https://a/p/<ID>?b=c"),
                ("x", "https://a/p/<ID>.html?b=c"),
                ("c", "https://a/p/x.html?b=<ID>"),
            ],
        );
        check("https://a", &[]);
    }
}
