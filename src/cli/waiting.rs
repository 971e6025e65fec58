//! What comes of a request that another process acts on: its answer, and with
//! `--wait` what it asks to have sent.
#![expect(clippy::disallowed_methods, reason = "waits for the holder")]

use std::time::Duration;

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
const HOLDER_ACTS_MS: u64 = 3_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// A holder that is restarted is back after this long.
const RESTARTS_MS: i64 = 10_000;

/// Between two lines that say how far it is.
const HEARTBEAT_MS: i64 = 10_000;

/// What waiting for the holder of the state comes to.
pub(super) enum Awaited {
    Answer(Answer),
    State(Box<Store>),
}

/// Waits for the holder to act on request `id`, a moment or as long as asked.
/// One that ends without a look at it leaves the state, and with it the
/// request, to us.
pub(super) fn await_holder(
    global: &Global,
    (command, id): (&str, i64),
    wait_ms: Option<u64>,
) -> Result<Awaited, Failure> {
    let until_ms = deadline(wait_ms.unwrap_or(0).max(HOLDER_ACTS_MS));
    while workspace::now_ms() < until_ms {
        let reader = workspace::recorded(global)?;
        if let Some(answer) = answer_to(&reader, id)? {
            return Ok(Awaited::Answer(answer));
        }
        drop(reader);
        match workspace::store(global, command) {
            Ok(store) => return Ok(Awaited::State(Box::new(store))),
            Err(failure) if failure.exit == Exit::Held => {}
            Err(failure) => return Err(failure),
        }
        std::thread::sleep(BETWEEN_LOOKS);
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
    let requests = records.requests(false).map_err(failed_on_state)?;
    let answered = requests.into_iter().find(|request| request.id == id);
    let Some(text) = answered.and_then(|request| request.outcome) else {
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
    wait_ms: Option<u64>,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Fine;
    if let (Some(wait_ms), Some(id)) = (wait_ms, answer.request) {
        let advance = follow(global, id, deadline(wait_ms))?;
        if answer.is_left {
            exit = Exit::Failed;
        } else if advance.items > 0 {
            exit = conclude(global, &mut answer, advance);
        }
    }
    output.report(&answer::report(answer), None)?;
    Ok(exit)
}

fn deadline(wait_ms: u64) -> i64 {
    workspace::now_ms().saturating_add_unsigned(wait_ms)
}

/// How far request `id` is once nothing of it is left, or it is too late, or
/// nobody is there to send it.
fn follow(global: &Global, id: i64, until_ms: i64) -> Result<Advance, Failure> {
    let mut told_ms = workspace::now_ms();
    let mut held_ms = i64::MIN;
    loop {
        let reader = workspace::recorded(global)?;
        let advance = reader.advance(id).map_err(failed_on_state)?;
        drop(reader);
        let now_ms = workspace::now_ms();
        if state::holder(&global.state).is_some() {
            held_ms = now_ms;
        }
        let is_held = now_ms.saturating_sub(held_ms) < RESTARTS_MS;
        if advance.left == 0 || now_ms >= until_ms || !is_held {
            return Ok(advance);
        }
        if now_ms - told_ms >= HEARTBEAT_MS {
            told_ms = now_ms;
            let done = grouped(advance.items - advance.left);
            let all = counted(advance.items, "URL");
            output::note(&format!("still waiting: {done} of {all} done"));
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// Adds what came of its items to `answer`.
fn conclude(global: &Global, answer: &mut Answer, advance: Advance) -> Exit {
    let dropped = advance.dropped();
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
    Exit::first([(advance.accepted < advance.items, Exit::Failed)])
}
