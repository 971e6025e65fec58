//! What the account of a CDN can be asked about its assets; an ability that
//! not every CDN has.

use std::sync::Arc;

use super::{Answer, Call, Credentials, Facts, Provider, Verdict};
use crate::lookup::{Page, Query};
use crate::manifest::Bucket;

/// An account that knows its assets, as a codec: it sends nothing.
pub trait Library: Send + Sync {
    /// The rate to keep where the manifest declares none.
    fn default_rate(&self) -> Vec<Bucket>;

    /// Whether the account's own image presets are those of its Cdn.
    fn lists_presets(&self) -> bool;

    /// The call for a page of the answer, counted from 1. What
    /// [`Provider::look_up`] asks for is known by then.
    fn ask(&self, query: &Query, page: u32, facts: &Facts, credentials: &Credentials) -> Call;

    /// What the answer to that call means.
    fn read(&self, asked: (&Query, u32), answer: &Answer, credentials: &Credentials) -> Heard;
}

/// What an account answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A part of what was asked for.
    Page(Page),
    /// Anything else.
    Other(Verdict),
}

/// A query that a set depends on, and whom to ask.
#[derive(Clone, Debug)]
pub struct LookUp {
    /// The Cdn's name, for people.
    pub cdn: String,
    /// Its codec, which has a [`Library`].
    pub provider: Arc<dyn Provider>,
    /// The rate to keep.
    pub rate: Vec<Bucket>,
    /// What is asked.
    pub query: Query,
    /// Milliseconds after which an answer is too old.
    pub poll_ms: u64,
}
