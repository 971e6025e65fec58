//! Whether an origin shows new bytes, so that a purge of them is worth sending.
//!
//! Pure. An origin is compared with itself wherever something is known of it: what
//! it showed when a URL was last sent, or else when its hold began. Only where
//! nothing is known from before does the edge's copy count, and only if it is
//! another one: the same bytes may as well have been fetched a moment ago.

use serde::{Deserialize, Serialize};

use super::verify::Sight;
use crate::digest::Key;

/// URLs of a hold that are looked at, where no `verify` says how many.
pub const SAMPLE: usize = 20;

/// From one look to the next; the last goes on.
const WAITS_MS: [i64; 6] = [1_000, 2_000, 5_000, 10_000, 20_000, 30_000];

/// Where the origin of a Cdn is looked at, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtOrigin {
    /// Scheme, host and port.
    pub server: String,
    /// URLs of a hold, or of a batch, that are looked at.
    pub sample: usize,
}

/// The same path and query, byte for byte, at another server.
pub fn at(server: &str, url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.find(['/', '?']).map_or("/", |start| &rest[start..]);
    Some(format!("{}{path}", server.trim_end_matches('/')))
}

/// When to look next, after so many looks.
pub fn next_look_ms(looks: u32, now_ms: i64) -> i64 {
    let last = WAITS_MS.len() - 1;
    let at = usize::try_from(looks).map_or(last, |looks| looks.min(last));
    now_ms.saturating_add(WAITS_MS[at])
}

/// A clock that was set back makes nobody wait for longer than this.
pub fn latest_look_ms(now_ms: i64) -> i64 {
    next_look_ms(u32::MAX, now_ms)
}

/// Which of `keys` are looked at: those that are `known` from before first, then
/// any, but always the same. `known` is sorted.
pub fn choose(keys: impl Iterator<Item = Key>, size: usize, known: &[Key]) -> Vec<Key> {
    let mut all: Vec<(bool, Key)> = keys
        .map(|key| (known.binary_search(&key).is_err(), key))
        .collect();
    all.sort_unstable();
    all.truncate(size);
    all.into_iter().map(|(_, key)| key).collect()
}

/// A URL of a hold that is looked at. Kept as JSON in the state: fields are
/// added, and never change their meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sampled {
    /// As it is sent.
    pub item: String,
    /// What the origin showed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Sight>,
    /// Whether that was when the URL was last sent, and not when its hold began.
    #[serde(default)]
    pub is_from_last_purge: bool,
}

/// What was seen of a URL.
#[derive(Clone, Debug)]
pub struct Seen {
    /// At the origin.
    pub origin: Result<Sight, String>,
    /// Through the edge, where somebody looked.
    pub edge: Option<Result<Sight, String>>,
}

/// What one look at a URL tells.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    New,
    Same,
    Unknown(String),
}

impl Sampled {
    /// Whether the edge is looked at as well, for want of something better.
    pub fn needs_edge(&self) -> bool {
        !self.is_from_last_purge
    }

    fn judge(&mut self, seen: &Seen) -> Shown {
        let origin = match &seen.origin {
            Ok(sight) if shows_bytes(sight) => sight,
            Ok(sight) => return Shown::Unknown(format!("it answers with status {}", sight.status)),
            Err(why) => return Shown::Unknown(why.clone()),
        };
        let edge = seen.edge.as_ref().and_then(|edge| edge.as_ref().ok());
        let is_new = match &self.before {
            Some(before) if !before.has_bytes_of(origin) => true,
            _ => {
                let is_other = |edge: &Sight| has_answer(edge) && !edge.has_bytes_of(origin);
                self.needs_edge() && edge.is_some_and(is_other)
            }
        };
        self.before.get_or_insert_with(|| origin.clone());
        if is_new { Shown::New } else { Shown::Same }
    }
}

/// Takes in what was `seen` of `sample`, URL by URL; what is still in the way.
///
/// All of the sample must show new bytes: one that does not is known to be too
/// early to send.
pub fn still_waits(sample: &mut [Sampled], seen: &[Seen]) -> Option<String> {
    let all = sample.len();
    let (mut same, mut unknown) = (Vec::new(), None);
    for (sampled, seen) in sample.iter_mut().zip(seen) {
        match sampled.judge(seen) {
            Shown::New => {}
            Shown::Same => same.push(sampled.item.as_str()),
            Shown::Unknown(why) => unknown = unknown.or(Some((sampled.item.as_str(), why))),
        }
    }
    match (&same[..], unknown) {
        (_, Some((item, why))) => Some(format!("the origin does not show {item}: {why}")),
        ([first, ..], None) => Some(format!(
            "the origin shows the same bytes as before at {} of {all} looked at, such as {first}",
            same.len()
        )),
        ([], None) if all == 0 => Some("nothing could be looked at".to_owned()),
        ([], None) => None,
    }
}

/// Whether this is what an edge would fetch and keep: no error, and no absence,
/// which a purge would only put in the place of the old copy.
fn shows_bytes(origin: &Sight) -> bool {
    (200..400).contains(&origin.status)
}

/// Whether an edge that answers like this has told what it has.
fn has_answer(edge: &Sight) -> bool {
    shows_bytes(edge) || matches!(edge.status, 404 | 410)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::ItemKind;

    fn sight(text: &str) -> Sight {
        let (status, body) = text.split_once(' ').unwrap_or((text, ""));
        Sight {
            status: status.parse().unwrap(),
            body: Some(body.to_owned()),
            ..Sight::default()
        }
    }

    fn sampled(purge: Option<&str>) -> Sampled {
        Sampled {
            item: "url".to_owned(),
            before: purge.map(sight),
            is_from_last_purge: purge.is_some(),
        }
    }

    /// Looks several times, each `origin` and `edge`; whether the last look shows
    /// new bytes, and none before it.
    fn check(purge: Option<&str>, looks: &[(&str, &str)], expected: bool) {
        let mut sample = [sampled(purge)];
        for (at, (origin, edge)) in looks.iter().enumerate() {
            let look = |text: &str| match text {
                "-" => Err("no answer".to_owned()),
                text => Ok(sight(text)),
            };
            let seen = Seen {
                origin: look(origin),
                edge: sample[0].needs_edge().then(|| look(edge)),
            };
            let is_new = still_waits(&mut sample, &[seen]).is_none();
            let is_last = at + 1 == looks.len();
            assert_eq!(is_new, expected && is_last, "{purge:?} {looks:?}");
        }
    }

    #[test]
    fn what_the_origin_showed_at_the_last_purge_decides_alone() {
        check(Some("200 old"), &[("200 new", "-")], true);
        check(Some("200 old"), &[("200 old", "200 other")], false);
        check(Some("404"), &[("200 new", "-")], true);
        for gone in ["404", "403", "500", "-"] {
            check(Some("200 old"), &[(gone, "200 old")], false);
        }
    }

    #[test]
    fn without_that_another_copy_at_the_edge_or_a_change_meanwhile_tells() {
        check(None, &[("200 new", "200 old")], true);
        check(None, &[("200 new", "404")], true);
        check(
            None,
            &[("200 old", "200 old"), ("200 new", "200 new")],
            true,
        );
        check(
            None,
            &[("200 old", "-"), ("200 old", "-"), ("200 new", "-")],
            true,
        );
        // The same bytes may be old ones, or fetched by this very look.
        check(
            None,
            &[("200 new", "200 new"), ("200 new", "200 new")],
            false,
        );
        check(None, &[("404", "200 old")], false);
        for mute in ["-", "503", "403"] {
            check(None, &[("200 new", mute)], false);
        }
    }

    #[test]
    fn all_that_is_looked_at_must_have_new_bytes() {
        let seen = |text: &str| Seen {
            origin: Ok(sight(text)),
            edge: None,
        };
        let mut sample = [sampled(Some("200 old")), sampled(Some("200 old"))];
        let waits = still_waits(&mut sample, &[seen("200 new"), seen("200 old")]);
        assert!(waits.unwrap().contains("at 1 of 2"));
        let waits = still_waits(&mut sample, &[seen("200 new"), seen("502")]);
        assert!(waits.unwrap().contains("status 502"));
        assert_eq!(
            still_waits(&mut sample, &[seen("200 new"), seen("200 b")]),
            None
        );
        assert!(still_waits(&mut [], &[]).is_some());
    }

    #[test]
    fn looks_grow_rarer_and_never_stop() {
        let waits: Vec<i64> = (0..8).map(|looks| next_look_ms(looks, 0) / 1_000).collect();
        assert_eq!(waits, [1, 2, 5, 10, 20, 30, 30, 30]);
        assert_eq!(latest_look_ms(5_000), 35_000);
    }

    #[test]
    fn what_is_known_from_before_is_looked_at_first() {
        let key = |n: u32| Key::of(ItemKind::Url, &n.to_be_bytes());
        let mut keys: Vec<Key> = (0..50).map(key).collect();
        keys.sort_unstable();
        let known = [keys[40], keys[45]];
        let chosen = choose(keys.iter().copied(), 3, &known);
        assert_eq!(chosen, [keys[40], keys[45], keys[0]]);
    }

    #[test]
    fn a_url_is_asked_of_another_server_byte_for_byte() {
        let check = |url: &str, expected: &str| {
            assert_eq!(at("https://o.example/", url).as_deref(), Some(expected));
        };
        check("http://e.example/a?$b$", "https://o.example/a?$b$");
        check("http://e.example?x", "https://o.example?x");
        check("http://e.example", "https://o.example/");
    }
}
