//! State: ledgers, journal, requests and history in one `SQLite` file (edge).
//!
//! [`Store`] writes and holds the lock for its life; [`Reader`] reads beside
//! it. Both read through [`Records`]. Every writing verb is one transaction, takes
//! the time as an argument, and leaves nothing half done; it is durable unless it
//! says with what it becomes so.
//! No SQL is spoken anywhere else.

mod advance;
mod approval;
mod bucket;
mod converged;
mod departed;
mod entry;
mod error;
mod files;
mod fold;
mod forced;
mod forget;
mod front_coding;
mod history;
mod home;
mod journal;
mod kept;
mod ledger;
mod location;
mod lock;
mod look_up;
mod observe;
mod origin;
mod packing;
mod probe;
mod publication;
mod records;
mod repeat;
mod request;
mod room;
mod schema;
mod settle;
mod sight;
mod store;
mod transfer;

pub use advance::Advance;
pub use approval::{Approval, Leave};
pub use converged::Converged;
pub use error::StateError;
pub use history::{BatchRecord, Event, HistoryFilter};
pub use home::Standing;
pub use journal::Step;
pub use kept::{Keep, KeptInputs};
pub use ledger::{ADOPTED, Begin};
pub use location::check_location;
pub use lock::{Holder, holder};
pub use look_up::{Asking, LookUps};
pub use observe::{Observation, Seen};
pub use origin::{Lapse, OpenWait, OriginLook, UNSEEN, UNVERIFIED, Waits};
pub use probe::{Looked, NewProbe, OpenProbe, ProbeRecord, Unverified};
pub use records::{Halt, Meta, Records, TargetRecord};
pub use repeat::Repeats;
pub use request::{NewRequest, Request, Scope, Suspension, ask};
pub use room::{Room, room};
pub use sight::OriginSight;
pub use store::{Reader, Store};
pub use transfer::{check, export};

/// The built-in set of URLs that no manifest declares.
pub const ADHOC: &str = "adhoc";

/// What every call into the store comes to.
pub type Result<T, E = StateError> = std::result::Result<T, E>;
