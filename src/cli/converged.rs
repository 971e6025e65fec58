//! The short way: as long as nothing that a run has looked at looks otherwise,
//! what that run left in order is in order.

use super::args::Global;
use super::output;
use crate::declare::Declared;
use crate::digest::Digest;
use crate::load::Footprint;
use crate::plan::TargetPlan;
use crate::reconcile::Outcome;
use crate::state::{Converged, Records, Store};

/// What the last run left in order, if nothing has changed since. Where that
/// cannot be read, somebody else will say why.
pub(super) fn still(global: &Global, records: &Records) -> Option<Converged> {
    let converged = records.converged().ok().flatten()?;
    let is_mine = converged.judge == judge(global);
    (is_mine && converged.footprint.is_still(&global.manifests)).then_some(converged)
}

/// Takes down that `outcome` has left nothing to do, where it has. Nothing but
/// time is lost where that fails.
pub(super) fn note(
    global: &Global,
    (declared, footprint): (&Declared, Option<Footprint>),
    store: &mut Store,
    outcome: &Outcome,
) {
    let Some(footprint) = footprint.filter(|_| is_converged(declared, outcome)) else {
        return;
    };
    let converged = Converged {
        judge: judge(global),
        footprint,
        sets: declared.sets.len() as u64,
        cdns: outcome.targets.keys().cloned().collect(),
    };
    if store
        .converged()
        .is_ok_and(|known| known.as_ref() == Some(&converged))
    {
        return;
    }
    if let Err(error) = store.converge(&converged) {
        let error = anyhow::Error::from(error);
        output::warning(&format!(
            "that nothing is left to do was not recorded, so the next run looks into all of it again: {error:#}"
        ));
    }
}

/// Whether there is nothing to say but that every set is as it should be, and
/// nobody else has a say in that.
fn is_converged(declared: &Declared, outcome: &Outcome) -> bool {
    let is_whole = declared.problems.is_empty()
        && declared.broken.is_empty()
        && declared.left_out.is_empty()
        && declared.look_ups.is_empty()
        && !declared.is_frozen();
    let left = &outcome.left;
    let is_declared = |set: &str| declared.sets.contains_key(set);
    is_whole
        && outcome.problems.is_empty()
        && outcome.partial.is_empty()
        && outcome.failed.is_empty()
        && !outcome.is_cut_short
        && outcome.due_ms.is_none()
        && left.bootstrap.is_none()
        && left.sets.len() == declared.sets.len()
        && left.sets.iter().all(|set| is_declared(&set.set))
        && left.targets().all(TargetPlan::is_silent)
}

/// What else a judgement depends on: how manifests are read, and how far.
fn judge(global: &Global) -> Digest {
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let numbers = [global.max_expansion, global.manifests.len() as u64];
    let [expansion, roots] = numbers.map(u64::to_be_bytes);
    Digest::of_parts([version, &expansion[..], &roots[..]])
}
