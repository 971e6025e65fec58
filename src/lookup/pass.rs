//! One way through a list of assets whose revisions are asked for one by one.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::publication::{Listed, Publication, Turn};
use super::table::{self, Cells};

/// Assets that are asked about for each call that it took to read the list,
/// before it is read again, however old it is: else reading could use up all
/// that the budget has. The first number is for the urgent, and is a tenth of
/// the calls for the list; the other for those merely waited for.
const ASKED_FOR_A_CALL: [u64; 2] = [9, 1];

/// The assets of a list, and those of them that are to be asked about.
#[derive(Debug)]
pub struct Pass {
    assets: Vec<Listed>,
    known: BTreeMap<String, Publication>,
    /// Positions among the assets, the next one first.
    agenda: VecDeque<(Turn, usize)>,
    /// How many of the agenda, from its front, are urgent.
    urgent: usize,
    /// Nobody has asked about this list before.
    is_first: bool,
    listed_ms: i64,
    poll_ms: u64,
    /// Calls that reading the list took.
    calls: u64,
    /// Assets that were asked about.
    asked: u64,
}

impl Pass {
    /// A way through `assets`, whose list was read at `listed_ms`, milliseconds
    /// since the epoch, by so many calls, and is to be read every `poll_ms`.
    pub fn new(
        assets: Vec<Listed>,
        known: BTreeMap<String, Publication>,
        is_first: bool,
        (listed_ms, calls): (i64, u64),
        poll_ms: u64,
    ) -> Self {
        let times = (poll_ms, listed_ms);
        let turn = |asset: &Listed| Turn::of(asset, known.get(&asset.handle), times);
        let turns = assets.iter().enumerate();
        let mut agenda: Vec<(Turn, usize)> = turns
            .filter_map(|(index, asset)| Some((turn(asset)?, index)))
            .collect();
        agenda.sort_unstable();
        Self {
            urgent: agenda.partition_point(|(turn, _)| turn.is_urgent()),
            agenda: agenda.into(),
            assets,
            known,
            is_first,
            listed_ms,
            poll_ms,
            calls,
            asked: 0,
        }
    }

    /// When the list was read, milliseconds since the epoch.
    pub fn listed_ms(&self) -> i64 {
        self.listed_ms
    }

    /// When the list is to be read again, milliseconds since the epoch; `None`
    /// as long as others come first.
    pub fn relist_ms(&self) -> Option<i64> {
        let at_ms = self.listed_ms.saturating_add_unsigned(self.poll_ms);
        (!self.comes_before_list()).then_some(at_ms)
    }

    /// Whether the list need not be read again yet; not so where a clock was
    /// set back since.
    pub fn is_good(&self, now_ms: i64) -> bool {
        let relist_ms = self.relist_ms();
        relist_ms.is_none_or(|at_ms| (self.listed_ms..at_ms).contains(&now_ms))
    }

    /// Whether the next asset may use up what is left of the budget: what is
    /// merely waited for leaves something to everything else.
    pub fn is_pressing(&self) -> bool {
        self.is_unfinished() || self.comes_before_list()
    }

    fn comes_before_list(&self) -> bool {
        let [urgent, waiting] = ASKED_FOR_A_CALL;
        let for_a_call = if self.is_unfinished() {
            urgent
        } else {
            waiting
        };
        self.next().is_some() && self.asked < self.calls.saturating_mul(for_a_call)
    }

    /// The asset that is to be asked about next.
    pub fn next(&self) -> Option<&Listed> {
        let (_, index) = self.agenda.front()?;
        self.assets.get(*index)
    }

    /// Whether there are assets left of which what is known may be wrong.
    pub fn is_unfinished(&self) -> bool {
        self.urgent > 0
    }

    /// How far it is, for people.
    pub fn progress(&self) -> String {
        let all = self.assets.len();
        format!(
            "{} of {all} assets asked when they were last published",
            all - self.urgent
        )
    }

    /// What is known of the next one once it has answered.
    pub fn answered(&self, published: Option<Timestamp>, asked_ms: i64) -> Option<Publication> {
        let asset = self.next()?;
        let known = self.known.get(&asset.handle);
        let is_another = self.agenda.front()?.0.is_urgent();
        let since_ms = match known {
            Some(known) if !is_another => known.since_ms,
            None if self.is_first => asset.modified.as_millisecond(),
            _ => self.listed_ms,
        };
        Some(Publication {
            modified: Some(asset.modified),
            published,
            is_ready: asset.is_ready,
            since_ms,
            asked_ms,
        })
    }

    /// What is known of the next one where it gives no answer: what was known,
    /// and when it was asked, so that it comes after all others the next time.
    pub fn unanswered(&self, asked_ms: i64) -> Option<Publication> {
        let known = self.known.get(&self.next()?.handle).cloned();
        Some(Publication {
            asked_ms,
            ..known.unwrap_or_default()
        })
    }

    /// Whether the next one was asked before, and has never answered.
    pub fn has_been_silent(&self) -> bool {
        let known = self.next().and_then(|next| self.known.get(&next.handle));
        known.is_some_and(|known| known.modified.is_none() && known.asked_ms > 0)
    }

    /// Whether `known`, of the next one, was answered since the list was read:
    /// lists may share assets.
    pub fn is_settled_by(&self, known: &Publication) -> bool {
        let is_as_listed = self
            .next()
            .is_some_and(|it| known.modified == Some(it.modified));
        is_as_listed && known.asked_ms >= self.listed_ms
    }

    /// Takes what is known of the next one, and goes on to the one after it;
    /// whether its revision is another now.
    pub fn take(&mut self, known: Publication) -> bool {
        let Some((_, index)) = self.agenda.pop_front() else {
            return false;
        };
        self.urgent = self.urgent.saturating_sub(1);
        self.asked += 1;
        let published = known.published;
        let before = self.known.insert(self.assets[index].handle.clone(), known);
        before.is_none_or(|before| before.published != published)
    }

    /// The assets with their revisions, as far as they are known: what never
    /// answered is not among them.
    pub fn table(&self) -> Vec<u8> {
        let row = |asset: &Listed| -> Option<Cells> {
            let known = self.known.get(&asset.handle)?;
            known.modified?;
            let mut cells = vec![asset.id.clone(), asset.kind.clone()];
            cells.extend(known.published.map(|published| published.to_string()));
            Some(cells)
        };
        table::write(self.assets.iter().filter_map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL_MS: u64 = 300_000;
    const NOW_MS: i64 = 1_800_000_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    /// Assets of these ids, modified that long ago.
    fn assets(all: &[(&str, i64)]) -> Vec<Listed> {
        let listed = all.iter().map(|(id, ago_ms)| Listed {
            id: (*id).to_owned(),
            kind: "Image".to_owned(),
            modified: at(NOW_MS - ago_ms),
            is_ready: true,
            handle: format!("a|{id}"),
        });
        listed.collect()
    }

    fn pass(all: &[(&str, i64)], known: &[(&str, Publication)], is_first: bool) -> Pass {
        let known = known
            .iter()
            .map(|(id, known)| (format!("a|{id}"), known.clone()));
        let listed = (NOW_MS, 1);
        Pass::new(assets(all), known.collect(), is_first, listed, POLL_MS)
    }

    /// Known as it is listed, not published, and asked about that long ago.
    fn waiting(modified_ago_ms: i64, asked_ago_ms: i64) -> Publication {
        Publication {
            modified: Some(at(NOW_MS - modified_ago_ms)),
            published: None,
            is_ready: true,
            since_ms: NOW_MS - modified_ago_ms,
            asked_ms: NOW_MS - asked_ago_ms,
        }
    }

    /// The ids in the order in which they are asked about.
    fn order(mut pass: Pass) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some(next) = pass.next() {
            ids.push(next.id.clone());
            let known = pass.answered(None, NOW_MS).unwrap();
            pass.take(known);
        }
        ids
    }

    #[test]
    fn what_moved_comes_first_and_then_the_young_and_the_long_unasked() {
        let hour_ms = 3_600_000;
        let all = [
            ("old", 100 * hour_ms),
            ("young", 1),
            ("younger", 0),
            ("moved", 1),
            ("new", 1),
        ];
        let known = [
            ("old", waiting(100 * hour_ms, 50 * hour_ms)),
            ("young", waiting(1, 10 * hour_ms)),
            ("younger", waiting(0, 9 * hour_ms)),
            ("moved", waiting(2, 1)),
        ];
        let pass = pass(&all, &known, false);
        assert!(pass.is_unfinished());
        assert_eq!(
            pass.progress(),
            "3 of 5 assets asked when they were last published"
        );
        assert_eq!(order(pass), ["new", "moved", "young", "younger", "old"]);
    }

    #[test]
    fn ages_count_from_the_modification_only_for_what_was_there_before() {
        let since_ms = |is_first: bool| {
            let pass = pass(&[("a", 1_000)], &[], is_first);
            pass.answered(None, NOW_MS).unwrap().since_ms
        };
        assert_eq!(since_ms(true), NOW_MS - 1_000);
        assert_eq!(since_ms(false), NOW_MS);
        let known = Publication {
            since_ms: 7,
            ..waiting(1_000, NOW_MS)
        };
        let pass = pass(&[("a", 1_000)], &[("a", known)], false);
        assert_eq!(pass.answered(None, NOW_MS).unwrap().since_ms, 7);
    }

    #[test]
    fn an_asset_that_never_answered_is_in_no_table_and_one_without_publication_is() {
        let mut pass = pass(&[("a", 1), ("b", 1), ("c", 1)], &[], true);
        let silent = pass.unanswered(NOW_MS).unwrap();
        pass.take(silent);
        let never = pass.answered(None, NOW_MS).unwrap();
        pass.take(never);
        let once = pass.answered(Some(at(0)), NOW_MS).unwrap();
        pass.take(once);
        assert!(!pass.is_unfinished());
        let rows: Vec<Cells> = table::rows(&pass.table()).collect();
        let expected = [
            vec!["b", "Image"],
            vec!["c", "Image", "1970-01-01T00:00:00Z"],
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn an_asset_that_does_not_answer_keeps_what_was_known_and_comes_last() {
        let known = Publication {
            published: Some(at(0)),
            ..waiting(9, 9)
        };
        let pass_of = |known: &Publication| {
            let known = [("a", known.clone()), ("b", waiting(9, 8))];
            pass(&[("a", 1), ("b", 1)], &known, false)
        };
        let mut first = pass_of(&known);
        assert_eq!(first.next().unwrap().id, "a");
        let silent = first.unanswered(NOW_MS).unwrap();
        first.take(silent.clone());
        let table = String::from_utf8(first.table()).unwrap();
        assert!(table.contains("1970-01-01"), "{table}");
        assert_eq!(pass_of(&silent).next().unwrap().id, "b");
    }

    #[test]
    fn a_list_is_read_after_its_poll_and_never_all_that_is_asked() {
        let day_ms = 86_400_000;
        let ids: Vec<String> = (0..20).map(|n| format!("n{n:02}")).collect();
        let all: Vec<(&str, i64)> = ids.iter().map(|id| (&**id, day_ms)).collect();
        let known = all[10..]
            .iter()
            .map(|(id, _)| (*id, waiting(day_ms, day_ms)));
        let mut pass = pass(&all, &known.collect::<Vec<_>>(), false);
        let mut good_for = Vec::new();
        while pass.next().is_some() {
            let is_good = [0, 300_000, -1].map(|ms| pass.is_good(NOW_MS + ms));
            good_for.push((is_good, pass.is_pressing()));
            let known = pass.answered(None, NOW_MS).unwrap();
            pass.take(known);
        }
        assert!(good_for[..9].iter().all(|it| *it == ([true; 3], true)));
        assert_eq!(good_for[9], ([true, false, false], true), "the last urgent");
        let rest = ([true, false, false], false);
        assert!(good_for[10..].iter().all(|it| *it == rest), "{good_for:?}");
        assert_eq!(pass.relist_ms(), Some(NOW_MS + 300_000));
    }
}
