//! Submitting: calls out, verdicts in, every step journalled first (edge).

pub mod asker;
mod awaiting;
pub mod checkup;
pub mod clock;
pub mod courier;
pub mod engine;
pub mod fetch;
mod flight;
mod halts;
mod histories;
pub mod leap;
pub mod limits;
pub mod lookout;
pub mod observer;
pub mod origin;
pub mod outbound;
mod replan;
pub mod secret;
pub mod stop;
pub mod transport;
mod verifying;
