//! What accounts list: asked before a reconcile, told with its age.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::args::Global;
use super::exit::Failure;
use super::output;
use super::workspace::{self, failed_on_state};
use crate::declare::Declared;
use crate::lookup::{Known, Recorded};
use crate::report::number::{counted, duration};
use crate::state::LookUps;
use crate::submit::asker::{Asker, ask_due};
use crate::submit::clock::{Clock, SystemClock};
use crate::submit::courier::Courier;
use crate::submit::origin::Origin;
use crate::submit::transport::{Patience, Transport};

/// How long accounts are asked, at most: what is to be sent does not wait for
/// a budget that is used up.
const LONGEST: Duration = Duration::from_mins(5);

/// Asks accounts what is older than it may be, for `max_time` milliseconds at
/// most; whether anything they say is new. The state must be there.
pub(super) fn ask(
    declared: &Declared,
    known: &Arc<Known>,
    global: &Global,
    (allowed, max_time): (&[Origin], u64),
) -> Result<bool, Failure> {
    if declared.look_ups.is_empty() {
        return Ok(false);
    }
    let transport = Transport::new(Patience::default()).context("failed to set up TLS")?;
    let courier = Arc::new(Courier::new(transport, allowed.to_vec()));
    let asker = asker(&global.state, courier, known, Arc::new(SystemClock));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let answered = runtime.block_on(async {
        let all = ask_due(&asker, &declared.look_ups);
        tokio::time::timeout(Duration::from_millis(max_time).min(LONGEST), all).await
    });
    // What was had before the time was up counts.
    let answered = answered.unwrap_or_else(|_| {
        let broken_off = asker.break_off(&declared.look_ups);
        broken_off.map(|()| true)
    });
    answered.map_err(failed_on_state)
}

/// An asker that writes into the state at `path`.
pub(super) fn asker(
    path: &Path,
    courier: Arc<Courier>,
    known: &Arc<Known>,
    clock: Arc<dyn Clock>,
) -> Arc<Asker> {
    let answers = (LookUps::new(path), Arc::clone(known));
    Arc::new(Asker::new(courier, clock, answers))
}

/// Says how old the answers are that sets rest on.
pub(super) fn tell(declared: &Declared, known: &Known) {
    let view = known.view();
    let now_ms = workspace::now_ms();
    for look_up in &declared.look_ups {
        let recorded = view.find(look_up.provider.target(), look_up.query.digest());
        let about = look_up.query.about();
        let age = age(recorded, now_ms);
        output::note(&format!("{}: {about}: {age}", look_up.cdn));
    }
}

fn age(recorded: Option<&Recorded>, now_ms: i64) -> String {
    match recorded.and_then(|recorded| recorded.good.as_ref()) {
        None => "not retrieved yet".to_owned(),
        Some(good) => {
            let age = now_ms.saturating_sub(good.answered_ms).max(0) / 1000;
            let age = duration(age.unsigned_abs());
            format!("{}, retrieved {age} ago", counted(good.rows, "row"))
        }
    }
}
