//! What lets a blocked plan through.

use super::number::{counted, grouped};
use crate::plan::policy::Limit;
use crate::plan::{Bootstrap, Plan, SetPlan, TargetPlan};

/// How what is blocked is let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cure {
    /// By what the state records.
    #[default]
    Approve,
    /// Against this commit no state remembers an approval: it is given with
    /// the run itself.
    Since(String),
}

impl Cure {
    /// The command that lets `plan` through.
    pub fn command(&self, plan: &str) -> String {
        match self {
            Self::Approve => format!("freshen approve {plan}"),
            Self::Since(reference) => {
                format!("freshen reconcile --since {reference} --approve {plan}")
            }
        }
    }

    /// What can be done about what is blocked: send it, or record it as fresh.
    pub(super) fn choices(&self, plan: &Plan) -> Option<String> {
        let is_blocked = |set: &&SetPlan| set.targets.iter().any(|target| target.block.is_some());
        let blocked: Vec<&SetPlan> = plan.sets.iter().filter(is_blocked).collect();
        let approve = match blocked[..] {
            [] => None,
            [set] => Some(format!("`{}`", self.command(&set.id.short()))),
            _ => Some(format!(
                "`{}` for each plan named above",
                self.command("PLAN")
            )),
        };
        if let Some(bootstrap) = plan.bootstrap {
            let mut targets = blocked.iter().flat_map(|set| &set.targets);
            let all = targets
                .all(is_over_first_run_only)
                .then(|| "`freshen reconcile --bootstrap invalidate`".to_owned());
            // A first run that is to fail is blocked there alone: nothing waits here.
            let approve = approve.filter(|_| bootstrap.limit > 0 || all.is_none());
            let send: Vec<String> = all.into_iter().chain(approve).collect();
            return Some(bootstrap_choices(bootstrap, &send.join(" or ")));
        }
        if *self != Self::Approve {
            return approve.map(|approve| format!("! BLOCKED. To send: {approve}."));
        }
        let blocks = blocked.iter().flat_map(|set| &set.targets);
        let mut blocks = blocks.filter_map(|target| target.block);
        if blocks.all(|block| block.removed == block.items) {
            return approve.map(|approve| {
                format!(
                    "! BLOCKED. To send: {approve}. If it has left by mistake: put it back, \
                     and nothing is sent."
                )
            });
        }
        let adopt = match blocked[..] {
            [set] => set.set.as_str(),
            _ => "SET",
        };
        approve.map(|approve| {
            format!(
                "! BLOCKED. To send: {approve}. If the CDN has it all already: `freshen state adopt {adopt}`."
            )
        })
    }
}

/// Whether `--bootstrap invalidate` is enough to let it through.
fn is_over_first_run_only(target: &TargetPlan) -> bool {
    let limit = target.block.map(|block| block.limit);
    limit.is_none_or(|limit| matches!(limit, Limit::FirstRun(_)))
}

/// What a first run that is too large waits for.
fn bootstrap_choices(bootstrap: Bootstrap, send: &str) -> String {
    format!(
        "! BLOCKED: {} and no earlier state (up to {} go unasked). If the CDN has them all already: \
         `freshen reconcile --bootstrap adopt`; to send them: {send}.",
        counted(bootstrap.items, "URL"),
        grouped(bootstrap.limit),
    )
}
