//! Whether what an edge serves shows that an invalidation took effect.
//!
//! Pure: a sight from before the call, one from after it and the times decide.
//! `Age` is believed before all else, since it alone tells a copy that was
//! fetched anew from one that another node of the edge has had all along.

use serde::{Deserialize, Serialize};

use crate::digest::{ItemKind, Key};

/// `Age` counts whole seconds, and caches round it either way.
const AGE_STEP_MS: i64 = 1_000;
/// From one look to the next, at first and at most.
const FIRST_WAIT_MS: i64 = 5_000;
const LONGEST_WAIT_MS: i64 = 60_000;

/// What an edge answered to one look. Kept as JSON in the state: fields are
/// added, and never change their meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Sight {
    /// When it was asked, in milliseconds since the epoch.
    pub asked_ms: i64,
    /// HTTP status.
    pub status: u16,
    /// `ETag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// `Content-Length`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// `Age`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
    /// What the edge says of its cache, such as `X-Cache`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// SHA-256 of the body, or of its beginning where it is long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl Sight {
    /// Whether the edge could answer for the URL at all.
    fn is_usable(&self) -> bool {
        self.status < 500 && self.status != 429
    }

    /// The latest moment at which this copy can have been fetched.
    fn born_ms(&self) -> Option<i64> {
        let age_ms = i64::try_from(self.age_s?.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Some(self.asked_ms.saturating_sub(age_ms))
    }

    /// Whether the edge says that it had no copy of its own to serve.
    fn is_fetched(&self) -> bool {
        let told = self.cache.as_deref().unwrap_or_default();
        let told = told.to_ascii_lowercase();
        let is_fetched = ["miss", "expired"].iter().any(|word| told.contains(word));
        is_fetched && !told.contains("hit")
    }

    /// Whether it is the same answer but for its headers.
    pub fn has_bytes_of(&self, other: &Self) -> bool {
        let lengths = self.length.zip(other.length);
        self.status == other.status
            && self.body.is_some()
            && self.body == other.body
            && lengths.is_none_or(|(one, other)| one == other)
    }

    /// Whether another validator, or other bytes, are served than in `other`.
    pub fn differs(&self, other: &Self) -> bool {
        let differ = |one: &Option<String>, other: &Option<String>| {
            one.as_ref()
                .zip(other.as_ref())
                .is_some_and(|(a, b)| a != b)
        };
        let lengths = self.length.zip(other.length);
        self.status != other.status
            || differ(&self.etag, &other.etag)
            || differ(&self.modified, &other.modified)
            || differ(&self.body, &other.body)
            || lengths.is_some_and(|(one, other)| one != other)
    }
}

/// How what an edge serves now stands to what its origin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The same bytes.
    Same,
    /// The same bytes, which are those from before the item was last sent.
    OriginNotUpdated,
    /// Other bytes.
    EdgeOlder,
    /// One of them is not known.
    Unknown,
}

impl Standing {
    /// Compares by bytes alone: validators of an origin are not always those
    /// of its edge.
    pub fn of(edge: Option<&Sight>, origin: Option<&Sight>, before: Option<&Sight>) -> Self {
        let Some((edge, origin)) = edge.zip(origin) else {
            return Self::Unknown;
        };
        if !edge.is_usable() || !origin.is_usable() {
            return Self::Unknown;
        }
        if !edge.has_bytes_of(origin) {
            return Self::EdgeOlder;
        }
        match before {
            Some(before) if edge.has_bytes_of(before) => Self::OriginNotUpdated,
            _ => Self::Same,
        }
    }
}

/// Which of `items` are looked at: those that are `doubtful` first, then any, but
/// always the same; what is sent `again` is looked at already.
pub fn sample<'i>(
    items: &'i [Box<str>],
    size: usize,
    again: &[Key],
    doubtful: &[Key],
) -> Vec<&'i str> {
    let known = items
        .iter()
        .map(|item| (Key::of(ItemKind::Url, item.as_bytes()), item));
    let mut all: Vec<(bool, Key, &str)> = known
        .filter(|(key, _)| !again.contains(key))
        .map(|(key, item)| (doubtful.binary_search(&key).is_err(), key, item.as_ref()))
        .collect();
    all.sort_unstable();
    all.truncate(size);
    all.into_iter().map(|(_, _, item)| item).collect()
}

/// What looking has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// Another validator or other bytes are served, or a copy that was fetched
    /// after the acceptance where nothing is known from before.
    Verified,
    /// It was fetched anew, and is the same as before.
    Unchanged,
    /// The copy from before the acceptance is still served.
    Stale,
    /// The edge tells too little, or could not be reached.
    Unknown,
}

impl Finding {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Verified, Self::Unchanged, Self::Stale, Self::Unknown];

    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
        }
    }

    /// The inverse of [`Finding::as_str`].
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|found| found.as_str() == name)
    }

    /// What to do about it, where anything is to be done.
    pub fn cure(self) -> Option<&'static str> {
        match self {
            Self::Verified => None,
            Self::Unchanged => Some(
                "the edge fetched them anew and got the same bytes: has the origin changed? \
                 `repeat` sends again for origins that publish late",
            ),
            Self::Stale => Some(
                "the edge still serves the copy from before, though it was told twice: \
                 `freshen explain URL --fetch` looks again, `freshen invalidate --url URL` sends again",
            ),
            Self::Unknown => Some(
                "the edge could not be reached, answered with an error such as 404, or tells \
                 neither `Age` nor `X-Cache`: whether it took effect is not known; `freshen \
                 explain URL --fetch` shows what it answers",
            ),
        }
    }
}

/// An accepted item that is looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// What the edge served before the call, where that is known.
    pub before: Option<Sight>,
    /// When the CDN accepted it, in milliseconds since the epoch.
    pub accepted_ms: i64,
    /// Looks end here, in milliseconds since the epoch.
    pub until_ms: i64,
    /// Looks so far.
    pub looks: u32,
    /// Whether it was sent once more already.
    pub is_again: bool,
}

/// What to do after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// That is what came of it.
    Done(Finding),
    /// Look again at this time.
    Look(i64),
    /// Send it once more, and look after that.
    SendAgain,
}

impl Watch {
    /// What follows from a look at `now_ms`; `None` where no answer came.
    pub fn next(&self, after: Option<&Sight>, now_ms: i64) -> Step {
        let found = after.map_or(Finding::Unknown, |after| self.judge(after));
        if matches!(found, Finding::Verified | Finding::Unchanged) {
            return Step::Done(found);
        }
        if now_ms < self.until_ms {
            let wait_ms = FIRST_WAIT_MS << self.looks.min(8);
            let next_ms = now_ms.saturating_add(wait_ms.min(LONGEST_WAIT_MS));
            return Step::Look(next_ms.min(self.until_ms));
        }
        match found {
            Finding::Stale if !self.is_again => Step::SendAgain,
            found => Step::Done(found),
        }
    }

    fn judge(&self, after: &Sight) -> Finding {
        let born_ms = after.born_ms();
        let margin_ms = born_ms.map(|born_ms| born_ms - self.accepted_ms);
        let is_newer = margin_ms.is_some_and(|margin_ms| margin_ms >= AGE_STEP_MS)
            || (born_ms.is_none() && after.is_fetched());
        if !after.is_usable() {
            return Finding::Unknown;
        }
        // Another node of the edge may have had another copy all along.
        if margin_ms.is_some_and(|margin_ms| margin_ms < -AGE_STEP_MS) {
            return Finding::Stale;
        }
        match self.before.as_ref().filter(|before| before.is_usable()) {
            Some(before) if after.differs(before) => Finding::Verified,
            Some(_) if is_newer => Finding::Unchanged,
            None if is_newer => Finding::Verified,
            // Fetched within a second of the acceptance: it may be the old one.
            _ if born_ms.is_some() => Finding::Stale,
            _ => Finding::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked at second 0; accepted at 1, looked at from 6 on, until 306.
    fn watch(before: Option<Sight>) -> Watch {
        Watch {
            before,
            accepted_ms: 1_000,
            until_ms: 306_000,
            looks: 0,
            is_again: false,
        }
    }

    /// `etag age cache`, each `-` where it is not told.
    fn sight(asked_s: i64, text: &str) -> Sight {
        let mut words = text
            .split(' ')
            .map(|word| (word != "-").then(|| word.to_owned()));
        let mut next = || words.next().flatten();
        Sight {
            asked_ms: asked_s * 1_000,
            status: 200,
            etag: next(),
            age_s: next().map(|age| age.parse().unwrap()),
            cache: next(),
            ..Sight::default()
        }
    }

    fn check(before: &str, after: &str, expected: Finding) {
        let watch = watch((before != "none").then(|| sight(0, before)));
        let found = watch.judge(&sight(10, after));
        assert_eq!(found, expected, "{before} -> {after}");
    }

    #[test]
    fn validators_and_age_decide_together() {
        for (before, after, expected) in [
            ("a 100 HIT", "b 0 MISS", Finding::Verified),
            ("a 100 HIT", "b 4 HIT", Finding::Verified),
            ("a - -", "b - -", Finding::Verified),
            ("a 100 HIT", "a 0 MISS", Finding::Unchanged),
            ("a 100 HIT", "a 7 HIT", Finding::Unchanged),
            ("a - HIT", "a - MISS", Finding::Unchanged),
            ("a 100 HIT", "a 110 HIT", Finding::Stale),
            // Another node's copy, which is older than the acceptance as well.
            ("a 100 HIT", "b 4000 HIT", Finding::Stale),
            // Fetched by our own look before the call, or just after it.
            ("a 0 MISS", "a 10 HIT", Finding::Stale),
            ("a 0 MISS", "a 9 HIT", Finding::Stale),
            ("a - HIT", "a - HIT", Finding::Unknown),
            ("a - -", "a - -", Finding::Unknown),
            // Several layers, one of which had it: what the other had is not told.
            ("a - HIT", "a - HIT,MISS", Finding::Unknown),
            ("none", "a 3 HIT", Finding::Verified),
            ("none", "a - MISS", Finding::Verified),
            ("none", "a 100 HIT", Finding::Stale),
            ("none", "a - -", Finding::Unknown),
            ("a 5 HIT", "b 18446744073709551615 HIT", Finding::Stale),
        ] {
            check(before, after, expected);
        }
    }

    #[test]
    fn a_sample_is_the_same_in_any_order_and_begins_with_what_is_in_doubt() {
        let items = |range: std::ops::Range<u32>| -> Vec<Box<str>> {
            range.map(|n| n.to_string().into_boxed_str()).collect()
        };
        let key = |item: &str| Key::of(ItemKind::Url, item.as_bytes());
        let forwards = items(0..100);
        let backwards: Vec<Box<str>> = forwards.iter().rev().cloned().collect();
        let chosen = sample(&forwards, 3, &[], &[]);
        assert_eq!(chosen.len(), 3);
        assert_eq!(sample(&backwards, 3, &[], &[]), chosen);

        let last = forwards.iter().max_by_key(|item| key(item)).unwrap();
        assert_eq!(sample(&forwards, 1, &[], &[key(last)]), [&**last]);
        assert_eq!(
            sample(&forwards, 3, &[key(chosen[0])], &[])[..2],
            chosen[1..]
        );
        assert_eq!(sample(&forwards[..2], 20, &[], &[]).len(), 2);
    }

    #[test]
    fn bytes_lengths_and_statuses_count_as_validators_do() {
        let before = Sight {
            length: Some(3),
            body: Some("x".to_owned()),
            ..sight(0, "- - -")
        };
        let changes: [fn(&mut Sight); 4] = [
            |after| after.length = Some(4),
            |after| after.body = Some("y".to_owned()),
            |after| after.status = 404,
            |after| after.modified = Some("later".to_owned()),
        ];
        let expected = [true, true, true, false];
        for (change, expected) in changes.into_iter().zip(expected) {
            let mut after = before.clone();
            change(&mut after);
            assert_eq!(after.differs(&before), expected, "{after:?}");
        }
    }

    #[test]
    fn an_edge_stands_to_its_origin_by_bytes() {
        let body = |body: &str| Sight {
            status: 200,
            body: Some(body.to_owned()),
            etag: Some(format!("{body}-{}", body.len())),
            ..Sight::default()
        };
        let (old, new) = (body("old"), body("new"));
        let other_etag = Sight {
            etag: Some("other".to_owned()),
            ..body("new")
        };
        let ill = Sight {
            status: 502,
            ..body("new")
        };
        for (edge, origin, before, expected) in [
            (Some(&new), Some(&other_etag), Some(&old), Standing::Same),
            (Some(&new), Some(&new), None, Standing::Same),
            (Some(&old), Some(&new), Some(&old), Standing::EdgeOlder),
            (
                Some(&old),
                Some(&old),
                Some(&old),
                Standing::OriginNotUpdated,
            ),
            (Some(&old), None, Some(&old), Standing::Unknown),
            (Some(&old), Some(&ill), None, Standing::Unknown),
            (None, Some(&new), None, Standing::Unknown),
        ] {
            assert_eq!(Standing::of(edge, origin, before), expected);
        }
    }

    #[test]
    fn an_edge_in_trouble_tells_nothing() {
        for status in [429, 500, 503] {
            let ill = Sight {
                status,
                ..sight(10, "b 0 MISS")
            };
            let watch = watch(Some(sight(0, "a 100 HIT")));
            assert_eq!(watch.judge(&ill), Finding::Unknown);
            let blind = Watch {
                before: Some(ill),
                ..watch
            };
            assert_eq!(blind.judge(&sight(10, "a 0 MISS")), Finding::Verified);
        }
    }

    #[test]
    fn what_is_stale_is_looked_at_until_the_time_is_up_then_sent_once_more() {
        let mut watch = watch(Some(sight(0, "a 100 HIT")));
        let mut now_ms = 6_000;
        let mut waits = Vec::new();
        let step = loop {
            let stale = sight(now_ms / 1_000, &format!("a {} HIT", 100 + now_ms / 1_000));
            match watch.next(Some(&stale), now_ms) {
                Step::Look(next_ms) => {
                    waits.push((next_ms - now_ms) / 1_000);
                    now_ms = next_ms;
                    watch.looks += 1;
                }
                step => break step,
            }
        };
        assert_eq!(step, Step::SendAgain);
        assert_eq!(waits, [5, 10, 20, 40, 60, 60, 60, 45]);
        assert_eq!(now_ms, watch.until_ms);
        watch.is_again = true;
        let stale = sight(306, "a 406 HIT");
        assert_eq!(watch.next(Some(&stale), now_ms), Step::Done(Finding::Stale));
    }

    #[test]
    fn what_is_known_is_not_looked_at_again() {
        let watch = watch(Some(sight(0, "a 100 HIT")));
        for (after, found) in [("b 0 -", Finding::Verified), ("a 0 -", Finding::Unchanged)] {
            assert_eq!(
                watch.next(Some(&sight(10, after)), 10_000),
                Step::Done(found)
            );
        }
        assert_eq!(watch.next(None, 10_000), Step::Look(15_000));
        assert_eq!(watch.next(None, 306_000), Step::Done(Finding::Unknown));
    }
}
