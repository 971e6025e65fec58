//! What comes of a request that another process acts on: its answer, and with
//! `--wait` what it asks to have sent.
#![expect(clippy::disallowed_methods, reason = "waits for the holder")]

use std::time::{Duration, Instant};

use super::args::Global;
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::workspace::{self, failed_on_state};
use crate::reconcile::inbox;
use crate::report::answer::{self, Answer};
use crate::report::number::{counted, grouped};
use crate::state::{self, Advance, Records, Store};

/// A holder acts within a second; one that is busy planning takes longer, and
/// is not waited for unless that was asked for.
const HOLDER_ACTS: Duration = Duration::from_secs(3);

/// Between two looks at the state.
const QUICK_LOOK: Duration = Duration::from_millis(100);
const SLOW_LOOK: Duration = Duration::from_secs(1);

/// A holder that is restarted is back after this long.
const RESTARTS: Duration = Duration::from_secs(10);

/// Between two lines that say how far it is.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What waiting for the holder of the state comes to.
pub(super) enum Awaited {
    Answer(Answer),
    State(Box<Store>),
}

/// Until when `--wait` waits. A clock that is set back lengthens nothing.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// `None` where nothing but the answer is waited for.
    until: Option<Instant>,
    answer_by: Instant,
}

impl Patience {
    /// That of `--wait`, from now on.
    pub(super) fn new(wait_ms: Option<u64>) -> Self {
        let now = Instant::now();
        let until = wait_ms.map(|wait_ms| now + Duration::from_millis(wait_ms));
        let soon = now + HOLDER_ACTS;
        Self {
            until,
            answer_by: until.map_or(soon, |until| until.max(soon)),
        }
    }
}

/// Pauses between looks: short at first, since most is done at once.
struct Pauses(u32);

impl Pauses {
    fn pause(&mut self) {
        self.0 += 1;
        std::thread::sleep(if self.0 < 30 { QUICK_LOOK } else { SLOW_LOOK });
    }
}

/// Waits for the holder to act on request `id`, a moment or as long as asked.
/// One that ends without a look at it leaves the state, and with it the
/// request, to us.
pub(super) fn await_holder(
    global: &Global,
    (command, id): (&str, i64),
    patience: Patience,
) -> Result<Awaited, Failure> {
    let mut pauses = Pauses(0);
    while Instant::now() < patience.answer_by {
        let reader = workspace::recorded(global)?;
        if let Some(answer) = answer_to(&reader, id)? {
            return Ok(Awaited::Answer(answer));
        }
        drop(reader);
        if state::holder(&global.state).is_none() {
            match workspace::store(global, command) {
                Ok(store) => return Ok(Awaited::State(Box::new(store))),
                Err(failure) if failure.exit == Exit::Held => {}
                Err(failure) => return Err(failure),
            }
        }
        pauses.pause();
    }
    Ok(Awaited::Answer(Answer {
        request: Some(id),
        is_left: true,
        text: format!("left as request {id} with the process that holds the state"),
        ..Answer::default()
    }))
}

/// The answer to request `id`, where there is one.
pub(super) fn answer_to(records: &Records, id: i64) -> Result<Option<Answer>, Failure> {
    let Some(text) = records.outcome(id).map_err(failed_on_state)? else {
        return Ok(None);
    };
    if let Some(why) = text.strip_prefix(inbox::REFUSED) {
        return Err(Failure::nothing(anyhow::anyhow!("{why}")));
    }
    Ok(Some(Answer {
        request: Some(id),
        text,
        ..Answer::default()
    }))
}

/// Tells `answer`; with `--wait` not before what it asks to have sent has been
/// accepted or refused, if that can be had in time.
pub(super) fn tell(
    global: &Global,
    output: Output,
    mut answer: Answer,
    patience: Patience,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Fine;
    if let (Some(until), Some(id)) = (patience.until, answer.request) {
        if answer.is_left {
            exit = Exit::Failed;
        } else {
            let advance = follow(global, id, until)?;
            if advance.items > 0 {
                exit = conclude(global, &mut answer, advance);
            }
        }
    }
    output.report(&answer::report(answer), None)?;
    Ok(exit)
}

/// How far request `id` is once nothing of it is left, or it is too late, or
/// nobody is there to send it.
pub(super) fn follow(global: &Global, id: i64, until: Instant) -> Result<Advance, Failure> {
    let mut pauses = Pauses(0);
    let (mut told, mut held) = (Instant::now(), Instant::now());
    loop {
        let reader = workspace::recorded(global)?;
        let advance = reader.advance(id).map_err(failed_on_state)?;
        drop(reader);
        let now = Instant::now();
        if state::holder(&global.state).is_some() {
            held = now;
        }
        let is_held = now - held < RESTARTS;
        if advance.left == 0 || now >= until || !is_held {
            return Ok(advance);
        }
        if now - told >= HEARTBEAT {
            told = now;
            let done = grouped(advance.items.saturating_sub(advance.left));
            let all = counted(advance.items, "URL");
            output::note(&format!("still waiting: {done} of {all} done"));
        }
        pauses.pause();
    }
}

/// Adds what came of its items to `answer`.
fn conclude(global: &Global, answer: &mut Answer, advance: Advance) -> Exit {
    let dropped = advance.dropped();
    let said = std::mem::take(&mut answer.text);
    answer.progress = Some(advance.into());
    answer.text = format!(
        "{} of {} accepted",
        grouped(advance.accepted),
        counted(advance.items, "item")
    );
    let mut told = |count: u64, what: &str| {
        if count > 0 {
            answer
                .remaining
                .push(format!("{} {what}", counted(count, "item")));
        }
    };
    told(advance.refused, "refused: `freshen status` names them");
    told(dropped, "not wanted any more: nothing was sent for them");
    let is_held = state::holder(&global.state).is_some();
    told(
        advance.left,
        if is_held {
            "still to be sent: `freshen status` says what they wait for"
        } else {
            "still to be sent, and nobody holds the state: `freshen reconcile` sends them"
        },
    );
    if advance.accepted < advance.items {
        answer.remaining.push(said);
    }
    Exit::first([(advance.accepted < advance.items, Exit::Failed)])
}
