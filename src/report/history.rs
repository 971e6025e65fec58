//! The batches that were sent, latest first.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::number::{counted, instant};
use super::{Body, Report, Row, Sign};
use crate::batch::journal::{Cause, Outcome};
use crate::state::BatchRecord;

/// Characters of an answer that fit beside everything else.
const MOST_SHOWN: usize = 160;

/// `freshen.history/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryDocument {
    /// `freshen.history/v1`.
    pub format: &'static str,
    /// Latest first.
    pub batches: Vec<BatchDocument>,
}

/// One batch.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchDocument {
    /// Never reused.
    pub number: i64,
    /// Stays over repeats.
    pub id: String,
    /// Provider kind, endpoint and account.
    pub target: String,
    /// Name of the Cdn that points there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdn: Option<String>,
    /// The batch whose refusal it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<i64>,
    /// Why it existed.
    pub cause: &'static str,
    /// The commit that the manifests were at, where they are in git.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// How many items it held.
    pub items: u64,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was opened.
    pub opened: String,
    /// When it was closed; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// What came of it.
    pub outcome: String,
    /// Sets with a share in it.
    pub sets: Vec<String>,
}

/// The report on `batches`, to targets with these names.
pub fn report(
    batches: &[BatchRecord],
    names: &BTreeMap<String, String>,
) -> Report<HistoryDocument> {
    let items = batches.iter().map(|batch| batch.count).sum();
    let body = Body {
        title: "History",
        columns: vec![
            "batch",
            "when",
            "target",
            "items",
            "what came of it",
            "sets",
            "commit",
        ],
        rows: batches.iter().map(|batch| row(batch, names)).collect(),
        notes: Vec::new(),
        problems: Vec::new(),
        summary: format!(
            "{}, {}.",
            counted(batches.len() as u64, "batch"),
            counted(items, "item")
        ),
    };
    let wire = HistoryDocument {
        format: "freshen.history/v1",
        batches: batches.iter().map(|batch| document(batch, names)).collect(),
    };
    Report { body, wire }
}

/// What came of a batch, for people.
pub fn outcome(outcome: Option<&Outcome>) -> String {
    match outcome {
        None => "under way".to_owned(),
        Some(Outcome::Accepted { receipt }) if receipt.is_empty() => "accepted".to_owned(),
        Some(Outcome::Accepted { receipt }) => format!("accepted: {receipt}"),
        Some(Outcome::Refused { code, message }) => format!("refused: {code}: {message}"),
        Some(Outcome::Split { message }) => format!("halved: {message}"),
        Some(Outcome::Failed { message }) => format!("failed: {message}"),
        Some(Outcome::Abandoned { message }) => format!("abandoned: {message}"),
    }
}

/// The start of what a CDN said, on one line: it may be a whole page.
pub fn in_short(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(MOST_SHOWN) {
        None => line,
        Some((at, _)) => format!("{}...", &line[..at]),
    }
}

/// What people call a target.
pub fn named(target: &str, names: &BTreeMap<String, String>) -> String {
    names.get(target).map_or(target, String::as_str).to_owned()
}

/// A commit, as far as it takes to find it.
pub fn short(commit: &str) -> String {
    commit.chars().take(12).collect()
}

fn sets(batch: &BatchRecord) -> Vec<String> {
    let names = batch.shares.iter().filter_map(|(name, _)| name.clone());
    names.collect()
}

fn row(batch: &BatchRecord, names: &BTreeMap<String, String>) -> Row {
    Row {
        sign: match &batch.outcome {
            Some(Outcome::Accepted { .. }) => Sign::Same,
            None => Sign::Changed,
            Some(_) => Sign::Failed,
        },
        cells: vec![
            batch.no.0.to_string(),
            instant(batch.closed_ms.unwrap_or(batch.opened_ms)),
            named(&batch.target, names),
            counted(batch.count, "item"),
            in_short(&outcome(batch.outcome.as_ref())),
            sets(batch).join(", "),
            batch.commit.as_deref().map(short).unwrap_or_default(),
        ],
        ..Row::default()
    }
}

fn document(batch: &BatchRecord, names: &BTreeMap<String, String>) -> BatchDocument {
    BatchDocument {
        number: batch.no.0,
        id: batch.id.to_string(),
        target: batch.target.clone(),
        cdn: names.get(&batch.target).cloned(),
        parent: batch.parent.map(|parent| parent.0),
        cause: match batch.cause {
            Cause::Plan => "plan",
            Cause::Forced => "invalidate",
            Cause::Bisect => "bisect",
        },
        commit: batch.commit.clone(),
        items: batch.count,
        attempts: batch.attempts,
        opened: instant(batch.opened_ms),
        closed: batch.closed_ms.map(instant),
        outcome: outcome(batch.outcome.as_ref()),
        sets: sets(batch),
    }
}
