//! What other processes have asked for, and what a run before us left open.

use std::collections::{BTreeMap, BTreeSet};

use super::adopting;
use super::asks::{ADHOC, Ask};
use super::forcing::{self, Selected, Selection};
use super::holding::{self, Waits};
use super::lanes::APPROVAL_MS;
use super::planning::{self, Planned};
use super::{Error, Events};
use crate::batch::journal::{Close, OpenBatch, Outcome};
use crate::declare::{Cdn, Declared};
use crate::digest::{Digest, ItemKind, Key};
use crate::manifest::OnCreate;
use crate::plan::Plan;
use crate::plan::recorded::{LedgerId, RecordedSet};
use crate::state::{Approval, Begin, Leave, Request, Scope, StateError, Step, Store};
use crate::submit::observer::{CallEnd, Observer, Progress};

/// A batch of unknown outcome is sent this often in all.
const SENDS: u32 = 2;

/// Begins the answer to what cannot be done.
pub const REFUSED: &str = "refused: ";

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
            Ok(ask) => match answer(declared, store, &ask, &request, now_ms) {
                // What is asked for cannot be done; that is its answer.
                Err(Error::State(
                    error @ (StateError::Unknown { .. } | StateError::Refused { .. }),
                )) => format!("{REFUSED}{error}"),
                other => other?,
            },
        };
        store.answer(request.id, &outcome, now_ms)?;
        answered += 1;
    }
    Ok(answered)
}

fn answer(
    declared: &Declared,
    store: &mut Store,
    ask: &Ask,
    request: &Request,
    now_ms: i64,
) -> Result<String, Error> {
    Ok(match ask {
        Ask::Adhoc { .. } => String::new(),
        Ask::Suspend(scope) => {
            holding::suspend(declared, store, scope, now_ms)?;
            "suspended".to_owned()
        }
        Ask::Resume(scope) => if holding::resume(declared, store, scope)? {
            "resumed"
        } else {
            "nothing of that name was suspended"
        }
        .to_owned(),
        Ask::Approve { plan } => approve(declared, store, (request.id, plan), now_ms)?,
        Ask::Invalidate(selection) => invalidate(declared, store, selection, request, now_ms)?,
        Ask::Adopt { set } => adopting::adopt(declared, store, set, now_ms)?,
        Ask::Forget { set } if set == ADHOC => holding::take_back(store, now_ms)?,
        Ask::Forget { set } => {
            store.forget(set, now_ms)?;
            format!("forgot `{set}`: what it declares is sent anew")
        }
        Ask::Rename { from, to } => {
            store.rename(from, to, now_ms)?;
            format!("`{from}` is recorded as `{to}` from now on")
        }
    })
}

fn approve(
    declared: &Declared,
    store: &mut Store,
    (request, plan): (i64, &str),
    now_ms: i64,
) -> Result<String, Error> {
    let options = planning::Options {
        approve: vec![plan.to_owned()],
        now_ms,
        ..planning::Options::default()
    };
    let planned = planning::plan(declared, Some(store), &options)?;
    let mut leaves = Vec::new();
    let mut items = 0;
    for set in planned.plan.sets {
        for target in set.targets {
            if target.approve.is_empty() {
                continue;
            }
            items += target.approve.len();
            leaves.push(Leave {
                set: set.set.clone(),
                target: store.target(&target.target)?.id,
                wire: target.wire,
                approval: Approval {
                    plan: set.id,
                    request,
                    entries: target.approve,
                    expires_ms: now_ms.saturating_add(APPROVAL_MS),
                },
            });
        }
    }
    if leaves.is_empty() {
        return Ok(format!("no set has a plan {plan} that waits for approval"));
    }
    store.approve(request, &leaves, now_ms)?;
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
    let adhoc = forcing::adhoc(declared, selection, &undeclared);
    let recorded = store.sets()?;
    forcing::check_limits(&selected, &adhoc, &recorded).map_err(|error| {
        let (what, cure) = (error.to_string(), error.cure());
        StateError::Refused { what, cure }
    })?;
    let mut waits = Waits::new(declared, store, now_ms)?;
    let mut forced = Vec::new();
    let ledgers = ledgers(store, &selected, now_ms)?;
    for (selected, ledger) in selected.into_iter().zip(ledgers) {
        waits.add((&selected.set.name, selected.cdn), selected.keys.len());
        forced.push((ledger, selected.keys));
    }
    store.force(request.id, &forced)?;
    for (cdn, urls) in adhoc {
        waits.add((ADHOC, cdn), urls.len());
        let cdn = cdn.name.clone();
        let part = (request.id, urls.len() as u64);
        let ask = Ask::Adhoc { cdn, urls };
        store.ask_part(&ask.row(&request.asked.by), part, now_ms)?;
    }
    Ok(waits.told())
}

/// Answers the requests whose undeclared URLs have all been accepted or refused, and
/// settles their ledgers: no later plan has them.
pub fn finish_adhoc(
    declared: &Declared,
    store: &mut Store,
    left: &Plan,
    now_ms: i64,
) -> Result<(), Error> {
    let sets = left.sets.iter().filter(|set| set.set == ADHOC);
    let (done, open): (Vec<_>, Vec<_>) = sets
        .flat_map(|set| &set.targets)
        .partition(|target| target.is_fresh());
    let done: Vec<LedgerId> = done.iter().filter_map(|target| target.ledger).collect();
    if !done.is_empty() {
        store.settle(&done)?;
    }
    let open: BTreeSet<&str> = open.iter().map(|target| target.cdn.as_str()).collect();
    for request in store.requests(true)? {
        if let Ok(Ask::Adhoc { cdn, urls }) = Ask::of(&request)
            && let Some(cdn) = declared.cdns.get(&cdn)
            && !open.contains(cdn.name.as_str())
        {
            let refused = refused(store, cdn, &urls)?;
            let accepted = urls.len() as u64 - refused;
            let outcome = format!("{accepted} URLs accepted, {refused} refused");
            store.finish(request.id, (accepted, refused), (&outcome, now_ms))?;
        }
    }
    Ok(())
}

/// How many of `urls` the Cdn has refused, and nothing has lifted since.
fn refused(store: &mut Store, cdn: &Cdn, urls: &[String]) -> Result<u64, Error> {
    let target = store.target(cdn.provider.target())?.id;
    let refusals = store.refusals(target)?.into_iter();
    let refused: BTreeSet<Key> = refusals.map(|refusal| refusal.entry.key()).collect();
    let key = |url: &String| Key::of(ItemKind::Url, cdn.wire.item(url.as_bytes()));
    let refused = urls.iter().filter(|url| refused.contains(&key(url)));
    Ok(refused.count() as u64)
}

/// The ledgers of these sets at their targets, made where there are none yet.
fn ledgers(
    store: &mut Store,
    selected: &[Selected<'_>],
    now_ms: i64,
) -> Result<Vec<LedgerId>, Error> {
    let recorded: BTreeMap<String, RecordedSet> = store
        .sets()?
        .into_iter()
        .map(|set| (set.name.clone(), set))
        .collect();
    let known = |selected: &Selected<'_>| {
        let ledgers = &recorded.get(&selected.set.name)?.ledgers;
        Some(ledgers.get(selected.cdn.provider.target())?.id)
    };
    let known: Vec<Option<LedgerId>> = selected.iter().map(known).collect();
    let mut begins = Vec::new();
    for (selected, known) in selected.iter().zip(&known) {
        if known.is_some() {
            continue;
        }
        begins.push(Begin {
            set: selected.set.name.clone(),
            target: store.target(selected.cdn.provider.target())?.id,
            wire: selected.cdn.wire.digest(),
            desired: Digest::of_entries(&selected.desired),
            owe: Vec::new(),
            record: match selected.set.on_create {
                OnCreate::Adopt => selected.desired.clone(),
                OnCreate::Invalidate => Vec::new(),
            },
            departed: Vec::new(),
            forget: Vec::new(),
            approve: None,
        });
    }
    let mut made = store.begin(&begins, now_ms)?.into_iter();
    let all = known.into_iter().map(|known| known.or_else(|| made.next()));
    Ok(all
        .map(|ledger| ledger.expect("every ledger is known or was just made"))
        .collect())
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
    let suspensions = planning::suspensions(declared, store)?;
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
    /// Told once the first calls are on their way: telling takes longer than
    /// they should wait.
    planned: Option<&'a Planned>,
}

impl<'a> Inbox<'a> {
    /// An inbox that passes on what happens while `planned` is sent.
    pub fn new(events: &'a mut dyn Events, planned: &'a Planned) -> Self {
        let planned = Some(planned);
        Self { events, planned }
    }
}

impl Observer for Inbox<'_> {
    fn is_plan_outdated(&mut self, store: &mut Store) -> Result<bool, StateError> {
        is_plan_outdated(store)
    }

    fn progress(&mut self, progress: Progress, store: &Store) {
        if let Some(planned) = self.planned.take() {
            self.events.planned(planned, store);
        }
        self.events.progress(progress, store);
    }

    fn ended(&mut self, call: &CallEnd<'_>) {
        self.events.ended(call);
    }
}
