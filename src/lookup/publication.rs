//! When an asset was last published: what is known of it, and whether it is to
//! be asked about. Time is an argument.

use jiff::Timestamp;

use super::table::{self, Cells};

/// The longest pause between two questions about an asset that is not
/// published: more of them than a day has room for never eat the budget up.
const LONGEST_PAUSE_MS: u64 = 24 * 60 * 60 * 1000;

/// An asset as a list holds it whose revisions are asked for one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// As it stands in URLs.
    pub id: String,
    /// Such as `Image`.
    pub kind: String,
    /// Moves at the upload; whether publishing moves it as well is not known.
    pub modified: Timestamp,
    /// Whether it is marked for publish.
    pub is_ready: bool,
    /// What the account calls it.
    pub handle: String,
}

impl Listed {
    /// The row of such a list.
    pub fn to_cells(&self) -> Cells {
        let is_ready = if self.is_ready { "ready" } else { "" };
        vec![
            self.id.clone(),
            self.kind.clone(),
            self.modified.to_string(),
            is_ready.to_owned(),
            self.handle.clone(),
        ]
    }

    /// The assets of such a list; what is no row is left out.
    pub fn read_all(table: &[u8]) -> Vec<Self> {
        let read = |cells: Cells| {
            let [id, kind, modified, is_ready, handle] = <[String; 5]>::try_from(cells).ok()?;
            Some(Self {
                id,
                kind,
                modified: modified.parse().ok()?,
                is_ready: !is_ready.is_empty(),
                handle,
            })
        };
        table::rows(table).filter_map(read).collect()
    }
}

/// What is known of an asset, since it was last asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// When it had last been modified then; `None` where it never answered.
    pub modified: Option<Timestamp>,
    /// The latest publication in its history; `None` where there was none.
    pub published: Option<Timestamp>,
    /// Whether it was marked for publish.
    pub is_ready: bool,
    /// Since when it is as it was then: when that was seen, or, for what was
    /// there before anybody asked, when it was modified. Milliseconds since the
    /// epoch, as all that follows.
    pub since_ms: i64,
    /// When it was asked about.
    pub asked_ms: i64,
}

/// An asset's place among those to be asked about: the least comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// From one question to the next; 0 where the asset is another one since.
    pause_ms: u64,
    asked_ms: i64,
}

impl Turn {
    /// Whether the asset is another one since it was asked about, so that what
    /// is known of it may be wrong; the others are merely not published yet.
    pub(super) fn is_urgent(self) -> bool {
        self.pause_ms == 0
    }

    /// Whether `asset` is to be asked about now, where its list is read every
    /// `poll_ms`.
    pub(super) fn of(
        asset: &Listed,
        known: Option<&Publication>,
        (poll_ms, now_ms): (u64, i64),
    ) -> Option<Self> {
        let known = known.cloned().unwrap_or_default();
        let has_moved = known.modified != Some(asset.modified);
        if has_moved || asset.is_ready && !known.is_ready {
            return Some(Self {
                pause_ms: 0,
                asked_ms: known.asked_ms,
            });
        }
        let is_published = known.published.is_some_and(|at| at >= asset.modified);
        if is_published || !asset.is_ready {
            return None;
        }
        let age_ms = now_ms.saturating_sub(known.since_ms).max(0).unsigned_abs();
        let pause_ms = pause_ms(age_ms, poll_ms);
        // A clock that was set back makes nothing wait for longer.
        let asked_ms = known.asked_ms.min(now_ms);
        // Of two polls the nearer one is meant, not the first that is later.
        let due_ms = asked_ms.saturating_add_unsigned(pause_ms.saturating_sub(poll_ms / 2));
        (due_ms <= now_ms).then_some(Self { pause_ms, asked_ms })
    }
}

/// How long an asset is left alone that has waited for its publication for
/// `age_ms`: about an eighth of that. Pauses double, so that assets of about
/// one age take turns.
fn pause_ms(age_ms: u64, poll_ms: u64) -> u64 {
    let most_ms = (age_ms / 8).min(LONGEST_PAUSE_MS);
    let mut pause_ms = poll_ms.max(1);
    while pause_ms.saturating_mul(2) <= most_ms {
        pause_ms *= 2;
    }
    pause_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL_MS: u64 = 300_000;
    const HOUR_MS: i64 = 3_600_000;
    const NOW_MS: i64 = 1_800_000_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    /// An asset that was modified an hour ago.
    fn asset() -> Listed {
        Listed {
            id: "a".to_owned(),
            kind: "Image".to_owned(),
            modified: at(NOW_MS - HOUR_MS),
            is_ready: true,
            handle: "a|1".to_owned(),
        }
    }

    /// Which was asked about five minutes ago, and is not published.
    fn known() -> Publication {
        Publication {
            modified: Some(asset().modified),
            published: Some(at(NOW_MS - 2 * HOUR_MS)),
            is_ready: true,
            since_ms: NOW_MS - HOUR_MS,
            asked_ms: NOW_MS - 300_000,
        }
    }

    fn turn(asset: &Listed, known: Option<&Publication>) -> Option<(u64, i64)> {
        let turn = Turn::of(asset, known, (POLL_MS, NOW_MS));
        turn.map(|turn| (turn.pause_ms, turn.asked_ms))
    }

    #[test]
    fn what_is_new_or_another_one_since_is_asked_about_at_once() {
        assert_eq!(turn(&asset(), None), Some((0, 0)));
        let moved = Publication {
            modified: Some(at(NOW_MS)),
            ..known()
        };
        assert_eq!(turn(&asset(), Some(&moved)), Some((0, moved.asked_ms)));
        let marked = Publication {
            is_ready: false,
            ..known()
        };
        assert_eq!(turn(&asset(), Some(&marked)), Some((0, marked.asked_ms)));
        let silent = Publication {
            modified: None,
            ..known()
        };
        assert_eq!(turn(&asset(), Some(&silent)), Some((0, silent.asked_ms)));
    }

    #[test]
    fn what_is_published_or_not_ready_is_left_alone() {
        for published in [asset().modified, at(NOW_MS)] {
            let published = Publication {
                published: Some(published),
                ..known()
            };
            assert_eq!(turn(&asset(), Some(&published)), None);
        }
        let unready = Listed {
            is_ready: false,
            ..asset()
        };
        assert_eq!(turn(&unready, Some(&known())), None);
    }

    #[test]
    fn what_waits_to_be_published_is_asked_about_less_often_as_it_ages() {
        let due = |age_ms: i64, asked_ms: i64| {
            let known = Publication {
                since_ms: NOW_MS - age_ms,
                asked_ms,
                ..known()
            };
            turn(&asset(), Some(&known)).is_some()
        };
        assert!(due(HOUR_MS, NOW_MS - 300_000));
        assert!(due(HOUR_MS, NOW_MS - 299_000), "the nearer poll is meant");
        assert!(!due(HOUR_MS, NOW_MS - 100_000));
        assert!(!due(8 * HOUR_MS, NOW_MS - 300_000));
        assert!(due(8 * HOUR_MS, NOW_MS - HOUR_MS));
        assert!(due(HOUR_MS, NOW_MS + 9 * HOUR_MS) == due(HOUR_MS, NOW_MS));
        let never = Publication {
            published: None,
            ..known()
        };
        assert!(turn(&asset(), Some(&never)).is_some());
    }

    #[test]
    fn pauses_double_from_the_poll_to_a_day() {
        let day_ms = 24 * HOUR_MS.unsigned_abs();
        let check = |age_ms: u64, expected_ms: u64| {
            assert_eq!(pause_ms(age_ms, POLL_MS), expected_ms, "{age_ms}");
        };
        check(0, POLL_MS);
        check(16 * POLL_MS - 1, POLL_MS);
        check(16 * POLL_MS, 2 * POLL_MS);
        check(64 * POLL_MS, 8 * POLL_MS);
        check(u64::MAX, 256 * POLL_MS);
        assert!((256 * POLL_MS..512 * POLL_MS).contains(&day_ms));
        assert_eq!(
            pause_ms(u64::MAX, 3 * day_ms),
            3 * day_ms,
            "no poll is hurried"
        );
    }

    #[test]
    fn a_list_comes_back_as_it_was_written() {
        let unready = Listed {
            id: "b".to_owned(),
            is_ready: false,
            ..asset()
        };
        let all = vec![asset(), unready];
        let table = table::write(all.iter().map(Listed::to_cells).collect());
        assert_eq!(Listed::read_all(&table), all);
    }
}
