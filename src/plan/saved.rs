//! A saved plan: enough to tell whether a plan made later is the same.

use serde::{Deserialize, Serialize};

use super::Plan;

/// The format this version writes and reads.
pub const FORMAT: &str = "freshen.saved-plan/v1";

/// What `plan --save` writes: the identity of a plan, not its URLs, which the
/// manifests yield again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    /// [`FORMAT`].
    pub format: String,
    /// The state it was made against; `None` where there was none.
    pub lineage: Option<String>,
    /// Every set with something to send.
    pub sets: Vec<SavedSet>,
}

/// One set of a saved plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSet {
    /// `metadata.name`.
    pub name: String,
    /// Digest of the plan's content.
    pub plan: String,
    /// Items it would send.
    pub items: u64,
}

/// How a plan made now differs from the saved one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// Written by another version.
    #[error("the saved plan has the format `{0}`, this version reads `{FORMAT}`")]
    Format(String),
    /// The state is not the one the plan was made against.
    #[error("the saved plan was made against another state")]
    Lineage,
    /// Sets whose plans are no longer the same.
    #[error("the plan has changed since it was saved, for {}", .0.join(", "))]
    Sets(Vec<String>),
}

impl SavedPlan {
    /// The identity of `plan`, made against the state `lineage`.
    pub fn of(plan: &Plan, lineage: Option<&str>) -> Self {
        let sets = plan
            .sets
            .iter()
            .filter(|set| set.targets.iter().any(|target| !target.is_fresh()));
        Self {
            format: FORMAT.to_owned(),
            lineage: lineage.map(str::to_owned),
            sets: sets
                .map(|set| SavedSet {
                    name: set.set.clone(),
                    plan: set.content.to_string(),
                    items: set.targets.iter().map(super::TargetPlan::items).sum(),
                })
                .collect(),
        }
    }

    /// Whether `plan` is still what was saved.
    pub fn check(&self, plan: &Plan, lineage: Option<&str>) -> Result<(), Stale> {
        if self.format != FORMAT {
            return Err(Stale::Format(self.format.clone()));
        }
        // A state that did not exist when the plan was saved has no lineage to differ.
        if self.lineage.is_some() && self.lineage.as_deref() != lineage {
            return Err(Stale::Lineage);
        }
        let now = Self::of(plan, lineage);
        let differs = |left: &[SavedSet], right: &[SavedSet]| -> Vec<String> {
            left.iter()
                .filter(|set| {
                    !right
                        .iter()
                        .any(|other| other.plan == set.plan && other.name == set.name)
                })
                .map(|set| set.name.clone())
                .collect()
        };
        let mut changed = differs(&self.sets, &now.sets);
        changed.extend(differs(&now.sets, &self.sets));
        changed.sort_unstable();
        changed.dedup();
        if changed.is_empty() {
            Ok(())
        } else {
            Err(Stale::Sets(changed))
        }
    }
}
