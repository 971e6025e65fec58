//! URLs that a Cdn refused, named.

use schemars::JsonSchema;
use serde::Serialize;

use super::history::in_short;
use super::number::instant;
use super::{Row, SHOWN, URLS_REFUSED};
use crate::reconcile::bearing::Refused;

/// A URL of a set that a Cdn refused.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusalDocument {
    /// `metadata.name` of the set.
    pub set: String,
    /// Name of the Cdn.
    pub cdn: String,
    /// As it was sent.
    pub url: String,
    /// The CDN's code.
    pub code: String,
    /// The CDN's words.
    pub message: String,
    /// When.
    pub at: String,
}

impl RefusalDocument {
    /// What a program is told of it.
    pub fn of(refused: Refused) -> Self {
        let Refused { set, cdn, refusal } = refused;
        Self {
            set,
            cdn,
            url: refusal.item,
            code: refusal.code,
            message: refusal.message,
            at: instant(refusal.at_ms),
        }
    }
}

/// A refused URL, with the CDN's code and words.
pub(super) fn line(url: &str, code: &str, message: &str) -> String {
    format!("{url}  {code}: {}", in_short(message))
}

impl Row {
    /// The same row over the first of these lines, one for each refused URL.
    #[must_use]
    pub(super) fn refusing(mut self, mut lines: Vec<String>) -> Self {
        if lines.is_empty() {
            return self;
        }
        self.more = lines.len().saturating_sub(SHOWN) as u64;
        lines.truncate(SHOWN);
        self.details = vec![URLS_REFUSED.to_owned()];
        self.details.append(&mut lines);
        self
    }
}
