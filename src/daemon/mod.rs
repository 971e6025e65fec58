//! The daemon: decides *when* to reconcile, never *what*.

pub mod alert;
pub mod health;
pub mod pass;
pub mod systemd;
pub mod webhook;
