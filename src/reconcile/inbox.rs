//! What other processes have asked for, and what a run before us left open.

use std::collections::BTreeSet;

use super::asks::{ADHOC, Ask};
use super::forcing::{self, Selected, Selection};
use super::lanes::begin_of;
use super::{Error, Events, planning};
use crate::batch::journal::{Close, OpenBatch, Outcome};
use crate::declare::Declared;
use crate::digest::Digest;
use crate::manifest::OnCreate;
use crate::plan::Plan;
use crate::plan::recorded::{LedgerId, TargetId};
use crate::state::{Begin, Request, Scope, StateError, Step, Store};
use crate::submit::observer::{CallEnd, Observer, Progress};

/// A batch of unknown outcome is sent this often in all.
const SENDS: u32 = 2;

/// Does what was asked for and not done yet; how many requests there were.
pub fn answer_requests(
    declared: &Declared,
    store: &mut Store,
    now_ms: i64,
) -> Result<usize, Error> {
    let mut answered = 0;
    for request in store.requests(true)? {
        let outcome = match Ask::of(&request) {
            Err(error) => format!("not understood: {error}"),
            // Answered once its URLs have been sent.
            Ok(Ask::Adhoc { .. }) => continue,
            Ok(Ask::Suspend(scope)) => {
                store.suspend(&scope, now_ms)?;
                "suspended".to_owned()
            }
            Ok(Ask::Resume(scope)) => {
                store.resume(&scope)?;
                "resumed".to_owned()
            }
            Ok(Ask::Approve { plan }) => approve(declared, store, &plan, now_ms)?,
            Ok(Ask::Invalidate(selection)) => {
                invalidate(declared, store, &selection, &request, now_ms)?
            }
        };
        store.answer(request.id, &outcome, now_ms)?;
        answered += 1;
    }
    Ok(answered)
}

fn approve(
    declared: &Declared,
    store: &mut Store,
    plan: &str,
    now_ms: i64,
) -> Result<String, Error> {
    let options = planning::Options {
        approve: vec![plan.to_owned()],
        now_ms,
        ..planning::Options::default()
    };
    let mut planned = planning::plan(declared, Some(store), &options)?;
    let mut begins = Vec::new();
    let mut items = 0;
    for set in &mut planned.plan.sets {
        for target in set
            .targets
            .iter_mut()
            .filter(|target| !target.approve.is_empty())
        {
            items += target.approve.len();
            let row = store.target(&target.target)?.id;
            let begin = begin_of(&set.set, set.id, target, row, now_ms);
            begins.push(Begin {
                owe: Vec::new(),
                record: Vec::new(),
                departed: Vec::new(),
                ..begin
            });
        }
    }
    if begins.is_empty() {
        return Ok(format!("no set has a plan {plan} that waits for approval"));
    }
    store.begin(&begins, now_ms)?;
    Ok(format!("{items} items approved"))
}

fn invalidate(
    declared: &Declared,
    store: &mut Store,
    selection: &Selection,
    request: &Request,
    now_ms: i64,
) -> Result<String, Error> {
    let (selected, undeclared) = forcing::select(declared, selection);
    let mut items = 0;
    for selected in selected {
        let target = store.target(selected.cdn.provider.target())?.id;
        let ledger = ledger(store, &selected, target, now_ms)?;
        store.force(ledger, &selected.keys)?;
        items += selected.keys.len();
    }
    if !undeclared.is_empty() {
        let cdns = declared.cdns.keys();
        let meant = cdns.filter(|name| selection.cdn.as_ref().is_none_or(|cdn| cdn == *name));
        for cdn in meant {
            let ask = Ask::Adhoc {
                cdn: cdn.clone(),
                urls: undeclared.clone(),
            };
            store.ask(&ask.row(&request.asked.by), now_ms)?;
        }
        items += undeclared.len();
    }
    Ok(format!("{items} items are sent again"))
}

/// Answers the requests whose undeclared URLs have all been accepted or refused.
pub fn finish_adhoc(
    declared: &Declared,
    store: &mut Store,
    left: &Plan,
    now_ms: i64,
) -> Result<(), Error> {
    let open: BTreeSet<&str> = left
        .sets
        .iter()
        .filter(|set| set.set == ADHOC)
        .flat_map(|set| &set.targets)
        .filter(|target| !target.is_fresh())
        .map(|target| target.cdn.as_str())
        .collect();
    for request in store.requests(true)? {
        if let Ok(Ask::Adhoc { cdn, urls }) = Ask::of(&request)
            && declared.cdns.contains_key(&cdn)
            && !open.contains(cdn.as_str())
        {
            let outcome = format!("{} URLs accepted or refused", urls.len());
            store.answer(request.id, &outcome, now_ms)?;
        }
    }
    Ok(())
}

/// The ledger of a set at a target, made where there is none yet.
fn ledger(
    store: &mut Store,
    selected: &Selected<'_>,
    target: TargetId,
    now_ms: i64,
) -> Result<LedgerId, Error> {
    let find = |store: &Store| -> Result<Option<LedgerId>, Error> {
        let sets = store.sets()?;
        let set = sets.iter().find(|set| set.name == selected.set.name);
        Ok(set
            .and_then(|set| set.ledgers.get(selected.cdn.provider.target()))
            .map(|ledger| ledger.id))
    };
    if let Some(ledger) = find(store)? {
        return Ok(ledger);
    }
    let record = match selected.set.on_create {
        OnCreate::Adopt => selected.desired.clone(),
        OnCreate::Invalidate => Vec::new(),
    };
    let begin = Begin {
        set: selected.set.name.clone(),
        target,
        wire: selected.cdn.wire.digest(),
        desired: Digest::of_entries(&selected.desired),
        owe: Vec::new(),
        record,
        departed: Vec::new(),
        forget: Vec::new(),
        approve: None,
    };
    store.begin(&[begin], now_ms)?;
    Ok(find(store)?.expect("a ledger is there once its plan has begun"))
}

/// Batches to be sent once more, and the closing of all others that are open
/// and that nobody here knows.
pub fn sort_open(
    declared: &Declared,
    store: &mut Store,
    is_known: impl Fn(&OpenBatch) -> bool,
) -> Result<(Vec<OpenBatch>, Step), Error> {
    let mut replays = Vec::new();
    let mut step = Step::default();
    let open = store.open_batches()?.into_iter();
    for open in open.filter(|open| !is_known(open)) {
        match why_abandon(declared, store, &open)? {
            None => replays.push(open),
            Some(why) => step.close.push(Close {
                no: open.no,
                outcome: Outcome::Abandoned {
                    message: why.to_owned(),
                },
                refusals: Vec::new(),
                gate_ms: None,
            }),
        }
    }
    Ok((replays, step))
}

fn why_abandon(
    declared: &Declared,
    store: &Store,
    open: &OpenBatch,
) -> Result<Option<&'static str>, Error> {
    if !open.is_sent {
        return Ok(Some("it was never sent"));
    }
    if open.attempts >= SENDS {
        return Ok(Some("its outcome stayed unknown"));
    }
    let targets = store.targets()?;
    let identity = targets
        .iter()
        .find(|target| target.id == open.batch.target)
        .map(|target| &target.identity);
    let cdn = declared
        .cdns
        .values()
        .find(|cdn| identity.is_some_and(|identity| identity == cdn.provider.target()));
    let Some(cdn) = cdn else {
        return Ok(Some("its target is no longer declared"));
    };
    let suspensions = store.suspensions()?;
    let is_suspended = |scope: &Scope| {
        let mut scopes = suspensions.iter().map(|suspension| &suspension.scope);
        scopes.any(|other| *other == Scope::All || other == scope)
    };
    if cdn.suspend || is_suspended(&Scope::Cdn(cdn.name.clone())) {
        return Ok(Some("its target is suspended"));
    }
    let claims = |ledger| open.batch.claims.iter().any(|claim| claim.ledger == ledger);
    let mut is_wanted = false;
    for set in store.sets()? {
        let Some(ledger) = set.ledgers.values().find(|ledger| claims(ledger.id)) else {
            continue;
        };
        if set.name != ADHOC && ledger.wire != cdn.wire.digest() {
            return Ok(Some("its wire form has changed"));
        }
        let declared = declared.sets.get(&set.name);
        is_wanted |= !declared.is_some_and(|set| set.suspend)
            && !is_suspended(&Scope::Set(set.name.clone()));
    }
    Ok((!is_wanted).then_some("its sets are suspended"))
}

/// Whether something has been asked for that calls for a new plan.
pub fn is_plan_outdated(store: &Store) -> Result<bool, StateError> {
    let is_new = |request: &Request| !matches!(Ask::of(request), Ok(Ask::Adhoc { .. }));
    Ok(store.requests(true)?.iter().any(is_new))
}

/// Tells the submitter when to make way for a new plan, and others how far it is.
pub struct Inbox<'a> {
    events: &'a mut dyn Events,
}

impl<'a> Inbox<'a> {
    /// An inbox that passes on what happens.
    pub fn new(events: &'a mut dyn Events) -> Self {
        Self { events }
    }
}

impl Observer for Inbox<'_> {
    fn is_plan_outdated(&mut self, store: &mut Store) -> Result<bool, StateError> {
        is_plan_outdated(store)
    }

    fn progress(&mut self, progress: Progress) {
        self.events.progress(progress);
    }

    fn ended(&mut self, call: &CallEnd<'_>) {
        self.events.ended(call);
    }
}
