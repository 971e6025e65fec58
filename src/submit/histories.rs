//! Asks about the assets of a list one by one, as far as the budget goes at
//! once: whatever else is due comes in between, and what has been answered is
//! durable before anything more is asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::asker::{Asker, Trouble, Wait, budget, judge, missed};
use crate::batch::rate::Class;
use crate::batch::verdict::Verdict;
use crate::digest::Digest;
use crate::lookup::{Failure, Listed, Page, Pass, Publication, Query};
use crate::provider::{Heard, LookUp};
use crate::state::{Asking, StateError};

/// Assets in a row that give no answer, at most: then it is not them.
const MAX_SILENT: u32 = 3;

/// While much is left to be asked, what was learnt takes effect this often.
const RECORDED_EVERY_MS: i64 = 60 * 1000;

/// The lists that assets are being asked from, by target and query.
#[derive(Default)]
pub(super) struct Rounds(Mutex<BTreeMap<(String, Digest), Round>>);

/// A list that assets are being asked from.
struct Round {
    pass: Pass,
    /// Why the first asset gave no answer that gave none, and how many did not.
    silence: Option<(Trouble, u64)>,
    silent_in_a_row: u32,
    /// Whether a revision is another one than is recorded.
    is_changed: bool,
    recorded_ms: Option<i64>,
}

impl Rounds {
    fn with<T>(&self, look_up: &LookUp, work: impl FnOnce(&mut Round) -> T) -> Option<T> {
        self.lock().get_mut(&key(look_up)).map(work)
    }

    fn begin(&self, look_up: &LookUp, pass: Pass) {
        let round = Round {
            pass,
            silence: None,
            silent_in_a_row: 0,
            is_changed: false,
            recorded_ms: None,
        };
        self.lock().insert(key(look_up), round);
    }

    fn end(&self, look_up: &LookUp) {
        self.lock().remove(&key(look_up));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, Digest), Round>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(look_up: &LookUp) -> (String, Digest) {
    (look_up.provider.target().to_owned(), look_up.query.digest())
}

impl Round {
    /// Whom to ask next, and from which part of the budget.
    fn next(&self) -> Option<(&Listed, Class)> {
        let class = if self.pass.is_pressing() {
            Class::Forced
        } else {
            Class::Planned
        };
        Some((self.pass.next()?, class))
    }
}

impl Asker {
    /// Reads the list where that is too old, and asks about its assets.
    pub(super) async fn ask_histories(&self, look_up: &LookUp) -> Result<bool, StateError> {
        let now_ms = self.clock.now_ms();
        let is_good = |round: &mut Round| round.pass.is_good(now_ms);
        if self.rounds.with(look_up, is_good) != Some(true) {
            match self.gather(look_up).await? {
                Ok((list, calls)) => self.begin_round(look_up, &list, calls)?,
                Err(trouble) => {
                    self.rounds.end(look_up);
                    let now_ms = self.clock.now_ms();
                    return self.record(look_up, now_ms, (None, Some(trouble.into())));
                }
            }
        }
        let mut asking = self.look_ups.asking(look_up.provider.target())?;
        let trouble = self.go_on(look_up, &mut asking).await?;
        let is_over = self.rounds.with(look_up, |round| round.next().is_none()) != Some(false);
        match trouble {
            Some(trouble) => {
                let trouble = self.stand_down(look_up, asking, trouble)?;
                let is_news = self.record_round(look_up, Some(trouble))?;
                self.rounds.end(look_up);
                Ok(is_news)
            }
            None if is_over => {
                self.stand_up(look_up, asking)?;
                let is_news = self.record_round(look_up, None)?;
                self.rounds.end(look_up);
                Ok(is_news)
            }
            None if self.is_worth_recording(look_up) => self.record_round(look_up, None),
            None => Ok(false),
        }
    }

    /// When a list that assets are being asked from is to be gone on with.
    pub(super) fn round_due_ms(&self, look_up: &LookUp, asking: &Asking) -> Option<i64> {
        let now_ms = self.clock.now_ms();
        let due = |round: &mut Round| {
            let (_, class) = round.next()?;
            let at_ms = budget(look_up, asking, now_ms).earliest_ms(class, 0, now_ms);
            Some(round.pass.relist_ms().unwrap_or(at_ms).min(at_ms))
        };
        self.rounds.with(look_up, due).flatten()
    }

    /// Waits for the budget until all assets were asked about of which what is
    /// known may be wrong, or nobody is to be asked any more.
    pub(super) async fn finish_round(&self, look_up: &LookUp) -> Result<bool, StateError> {
        let mut is_news = false;
        let is_unfinished = |round: &mut Round| round.pass.is_unfinished();
        while self.rounds.with(look_up, is_unfinished) == Some(true) {
            let now_ms = self.clock.now_ms();
            if self.halted(&*look_up.provider, now_ms).is_some() {
                break;
            }
            let at_ms = self.due_ms(look_up)?;
            self.clock.sleep_until(at_ms, false).await;
            is_news |= self.ask_histories(look_up).await?;
        }
        Ok(is_news)
    }

    /// Takes down how far whatever was begun is, where nobody goes on with it.
    pub fn break_off(&self, look_ups: &[LookUp]) -> Result<(), StateError> {
        for look_up in look_ups {
            if self.rounds.with(look_up, |_| ()).is_some() {
                self.record_round(look_up, None)?;
                self.rounds.end(look_up);
            }
        }
        Ok(())
    }

    fn begin_round(&self, look_up: &LookUp, list: &[u8], calls: u64) -> Result<(), StateError> {
        let assets = Listed::read_all(list);
        let handles = assets.iter().map(|asset| asset.handle.as_str()).collect();
        let now_ms = self.clock.now_ms();
        let target = look_up.provider.target();
        let known = self.look_ups.publications(target, &handles, now_ms)?;
        let is_first = !self.has_table(look_up);
        let pass = Pass::new(assets, known, is_first, (now_ms, calls), look_up.poll_ms);
        self.rounds.begin(look_up, pass);
        Ok(())
    }

    fn has_table(&self, look_up: &LookUp) -> bool {
        let view = self.known.view();
        let recorded = view.find(look_up.provider.target(), look_up.query.digest());
        recorded.is_some_and(|recorded| recorded.good.is_some())
    }

    /// Asks until the budget would have to be waited for, or there is trouble.
    async fn go_on(
        &self,
        look_up: &LookUp,
        asking: &mut Asking,
    ) -> Result<Option<Trouble>, StateError> {
        loop {
            let next = self.rounds.with(look_up, |round| {
                round.next().map(|(asset, class)| (asset.clone(), class))
            });
            let Some((asset, class)) = next.flatten() else {
                let silence = self.rounds.with(look_up, |round| round.silence.take());
                return Ok(silence.flatten().map(|(trouble, all)| told(trouble, all)));
            };
            if self.is_told_elsewhere(look_up, &asset)? {
                continue;
            }
            if self.spend_at_once(look_up, asking, class)?.is_some() {
                return Ok(None);
            }
            let query = Query::History(asset.handle.clone());
            match self.hear(look_up, asking, (&query, 1)).await {
                Ok(Heard::Page(page)) => self.take_answer(look_up, &asset, latest(&page))?,
                Ok(Heard::Other(Verdict::Learned(facts))) if !facts.is_empty() => {
                    asking.facts.extend(facts);
                    self.look_ups.stand(look_up.provider.target(), asking)?;
                }
                Ok(Heard::Other(verdict)) => {
                    let trouble = judge(verdict);
                    if matches!(trouble.wait, Wait::Throttled(_) | Wait::Halt) {
                        return Ok(Some(trouble));
                    }
                    if let Some(trouble) = self.take_silence(look_up, &asset, trouble)? {
                        return Ok(Some(trouble));
                    }
                }
                Err(delivery) => return Ok(Some(missed(delivery))),
            }
        }
    }

    /// Whether another list that holds the next asset as well was told about it.
    fn is_told_elsewhere(&self, look_up: &LookUp, asset: &Listed) -> Result<bool, StateError> {
        let target = look_up.provider.target();
        let Some(known) = self.look_ups.publication(target, &asset.handle)? else {
            return Ok(false);
        };
        let is_told = self.rounds.with(look_up, |round| {
            let is_told = round.pass.is_settled_by(&known);
            if is_told {
                round.is_changed |= round.pass.take(known);
            }
            is_told
        });
        Ok(is_told == Some(true))
    }

    fn take_answer(
        &self,
        look_up: &LookUp,
        asset: &Listed,
        published: Option<Timestamp>,
    ) -> Result<(), StateError> {
        let now_ms = self.clock.now_ms();
        let known = self
            .rounds
            .with(look_up, |round| round.pass.answered(published, now_ms));
        self.take(look_up, asset, known.flatten())?;
        self.rounds.with(look_up, |round| round.silent_in_a_row = 0);
        Ok(())
    }

    /// Goes on to the next asset; the trouble comes back where it is not this
    /// one's alone. What is waits for the next poll: nothing else has to.
    fn take_silence(
        &self,
        look_up: &LookUp,
        asset: &Listed,
        trouble: Trouble,
    ) -> Result<Option<Trouble>, StateError> {
        let now_ms = self.clock.now_ms();
        let known = self
            .rounds
            .with(look_up, |round| round.pass.unanswered(now_ms));
        let was_silent = self
            .rounds
            .with(look_up, |round| round.pass.has_been_silent());
        self.take(look_up, asset, known.flatten())?;
        let trouble = Trouble {
            message: format!(
                "asset `{}` does not tell when it was last published: {}",
                asset.id, trouble.message
            ),
            ..trouble
        };
        let given_up = self.rounds.with(look_up, |round| {
            // Those that never answer stand together, and tell nothing of the account.
            round.silent_in_a_row += u32::from(was_silent != Some(true));
            if round.silent_in_a_row == MAX_SILENT {
                return Some(trouble);
            }
            let wait = Wait::Poll;
            let silence = round.silence.take();
            let (first, others) = silence.unwrap_or((Trouble { wait, ..trouble }, 0));
            round.silence = Some((first, others + 1));
            None
        });
        Ok(given_up.flatten())
    }

    /// Durable first: whoever goes on does not ask again.
    fn take(
        &self,
        look_up: &LookUp,
        asset: &Listed,
        known: Option<Publication>,
    ) -> Result<(), StateError> {
        let Some(known) = known else {
            return Ok(());
        };
        let target = look_up.provider.target();
        self.look_ups.take_down(target, &asset.handle, &known)?;
        self.rounds.with(look_up, |round| {
            round.is_changed |= round.pass.take(known);
        });
        Ok(())
    }

    fn is_worth_recording(&self, look_up: &LookUp) -> bool {
        let now_ms = self.clock.now_ms();
        let is_worth = self.rounds.with(look_up, |round| match round.recorded_ms {
            None => true,
            Some(at_ms) if round.pass.is_unfinished() => {
                !(0..RECORDED_EVERY_MS).contains(&(now_ms - at_ms))
            }
            Some(_) => round.is_changed,
        });
        is_worth == Some(true)
    }

    /// Takes down the table as far as it is known, and what is wrong with it. As
    /// long as there was none, it must be known to its end.
    fn record_round(&self, look_up: &LookUp, trouble: Option<Trouble>) -> Result<bool, StateError> {
        let has_table = self.has_table(look_up);
        let now_ms = self.clock.now_ms();
        let taken = self.rounds.with(look_up, |round| {
            round.is_changed = false;
            round.recorded_ms = Some(now_ms);
            let is_unfinished = round.pass.is_unfinished();
            let table = (has_table || !is_unfinished).then(|| round.pass.table());
            let table = table.filter(|table| !table.is_empty());
            let progress = is_unfinished.then(|| round.pass.progress());
            (round.pass.listed_ms(), table, progress)
        });
        let Some((listed_ms, table, progress)) = taken else {
            return Ok(false);
        };
        let failure = match (progress, trouble.map(Failure::from)) {
            (Some(progress), Some(failure)) => Some(Failure {
                message: format!("{progress}: {}", failure.message),
                ..failure
            }),
            (Some(message), None) => Some(Failure {
                message,
                may_pass: true,
            }),
            (None, failure) => failure,
        };
        self.record(look_up, listed_ms, (table, failure))
    }
}

fn latest(page: &Page) -> Option<Timestamp> {
    page.rows.first()?.cells.first()?.parse().ok()
}

/// The first of several troubles stands for all of them.
fn told(trouble: Trouble, all: u64) -> Trouble {
    let message = match all {
        1 => trouble.message,
        _ => format!("{}; nor do {} more", trouble.message, all - 1),
    };
    Trouble { message, ..trouble }
}
