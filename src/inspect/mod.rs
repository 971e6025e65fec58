//! Inspecting: what a state and its manifests say, as reports that the command
//! line and the web share. Reads, never writes.

pub mod doctor;
pub mod explain;
pub mod history;
pub mod plan;
pub mod purge;
pub mod set;
mod shared;
pub mod status;
pub mod validate;
pub mod wanted;

use crate::state::Holder;

/// When something is looked at, and who holds the state then.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Milliseconds since the epoch.
    pub now_ms: i64,
    /// Whoever reconciles.
    pub holder: Option<Holder>,
}
