//! The daemon: decides *when* to reconcile, never *what*.

pub mod health;
