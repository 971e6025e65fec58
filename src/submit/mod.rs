//! Submitting: calls out, verdicts in, every step journalled first (edge).

pub mod asker;
pub mod clock;
pub mod courier;
pub mod engine;
mod flight;
mod halts;
pub mod leap;
pub mod limits;
pub mod observer;
pub mod origin;
pub mod outbound;
pub mod secret;
pub mod stop;
pub mod transport;
