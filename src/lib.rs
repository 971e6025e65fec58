//! freshen keeps CDN caches true to what a git repository declares.
//!
//! Manifests say which URLs exist and at which revision their content is;
//! freshen works out which of them a CDN has not been told about yet, tells
//! it in as few batches as its rules allow, and records what happened. The
//! modules are the stages of that path, in reading order; a module imports
//! only those above it (`tests/it/architecture.rs` holds it to that).

pub mod batch;
pub mod cli;
pub mod daemon;
pub mod declare;
pub mod digest;
pub mod expand;
pub mod import;
pub mod inspect;
pub mod load;
pub mod lookup;
pub mod manifest;
pub mod metrics;
pub mod plan;
pub mod provider;
pub mod reconcile;
pub mod report;
pub mod resolve;
pub mod sandbox;
pub mod state;
pub mod submit;
pub mod web;
pub mod wire;
