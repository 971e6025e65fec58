//! Submitting: calls out, verdicts in, every step journalled first (edge).

pub mod clock;
pub mod courier;
pub mod engine;
pub mod secret;
pub mod transport;
