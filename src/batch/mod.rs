//! Batching: what is sent in which call, in which order, and when. Pure: time
//! and chance are arguments.

pub mod backoff;
mod bisect;
pub mod journal;
pub mod lane;
pub mod origin;
mod parcel;
pub mod pending;
pub mod queue;
pub mod rate;
mod room;
pub mod settle;
pub mod verdict;
pub mod verify;

pub use parcel::Ticket;
