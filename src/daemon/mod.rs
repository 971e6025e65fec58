//! The daemon: decides *when* to reconcile, never *what*.
//!
//! A scan that has settled, a request in the state, a time that has come or a
//! signal all say one thing: look again. [`driver`] then reconciles as the
//! one-shot command does, with a submitter that outlives the plan.

pub mod alert;
pub mod driver;
pub mod health;
pub mod observing;
pub mod pass;
pub mod poller;
pub mod provisions;
mod reading;
pub mod scanner;
pub mod schedule;
mod signals;
pub mod systemd;
pub mod telling;
mod watch;
mod ways;
pub mod webhook;
