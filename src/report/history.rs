//! The batches that were sent, latest first.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::lapse::LapseDocument;
use super::number::{counted, instant};
use super::verification::VerificationDocument;
use super::{Body, Report, Row, Sign};
use crate::batch::journal::{BatchNo, Cause, Outcome};
use crate::reconcile::asks::Ask;
use crate::state::{BatchRecord, Lapse, ProbeRecord, Request};

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
    /// What somebody asked for in that time, latest first.
    pub requests: Vec<AskedFor>,
    /// What was sent in that time although what it waited for was not seen, latest
    /// first.
    pub lapses: Vec<LapseDocument>,
}

/// Something that somebody asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AskedFor {
    /// Its number.
    pub id: i64,
    /// Such as `approve` or `invalidate`.
    pub kind: String,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: String,
    /// The set that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Why, where that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What came of it; absent while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
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
    /// What looking at some of its items has shown, where that is declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationDocument>,
}

/// The report on `batches`, beside older ones where `is_cut`, to targets with these
/// `names`, and on `requests`, latest first, with waits that lapsed; `probes` are what
/// was looked at of the batches.
pub fn report(
    (batches, is_cut): (&[BatchRecord], bool),
    (requests, lapses): (&[Request], &[Lapse]),
    names: &BTreeMap<String, String>,
    probes: &BTreeMap<BatchNo, Vec<ProbeRecord>>,
) -> Report<HistoryDocument> {
    let items = batches.iter().map(|batch| batch.count).sum();
    let documents = batches.iter().map(|batch| {
        let probes = probes.get(&batch.no);
        document(batch, names, probes.map_or(&[], Vec::as_slice))
    });
    let wire = HistoryDocument {
        format: "freshen.history/v1",
        batches: documents.collect(),
        requests: requests.iter().map(request).collect(),
        lapses: lapses.iter().map(LapseDocument::of).collect(),
    };
    let sent = batches.iter().zip(&wire.batches);
    let sent = sent.map(|(batch, document)| {
        let found = document.verification.as_ref();
        (batch.opened_ms, row(batch, names, found))
    });
    let asked = requests.iter().zip(&wire.requests);
    let asked = asked.map(|(request, document)| (request.at_ms, request_row(document)));
    let unseen = lapses.iter().zip(&wire.lapses);
    let unseen = unseen.map(|(lapse, document)| (lapse.at_ms, lapse_row(document)));
    let mut rows: Vec<(i64, Row)> = sent.chain(asked).chain(unseen).collect();
    // What was asked for comes before what was sent for it, seen from below.
    rows.sort_by_key(|(at_ms, _)| std::cmp::Reverse(*at_ms));
    let asked = match requests.len() as u64 {
        0 => String::new(),
        count => format!(", {}", counted(count, "request")),
    };
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
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        notes: Vec::new(),
        problems: Vec::new(),
        summary: format!(
            "{}, {}{asked}{}.",
            counted(batches.len() as u64, "batch"),
            counted(items, "item"),
            if is_cut {
                ": the latest, see `--last`"
            } else {
                ""
            }
        ),
    };
    Report { body, wire }
}

fn request(request: &Request) -> AskedFor {
    let ask = Ask::of(request).ok();
    let reason = match &ask {
        Some(Ask::Invalidate(selection)) => selection.reason.clone(),
        _ => None,
    };
    AskedFor {
        id: request.id,
        kind: request.asked.kind.clone(),
        by: request.asked.by.clone(),
        at: instant(request.at_ms),
        set: ask.as_ref().and_then(Ask::set).map(str::to_owned),
        reason,
        outcome: request.outcome.clone(),
    }
}

fn request_row(request: &AskedFor) -> Row {
    let outcome = request.outcome.as_deref().unwrap_or("not answered yet");
    let told = match &request.reason {
        Some(reason) => format!("{outcome}, because: {reason}"),
        None => outcome.to_owned(),
    };
    Row {
        sign: Sign::Same,
        cells: vec![
            "asked".to_owned(),
            request.at.clone(),
            format!("{} by {}", request.kind, request.by),
            String::new(),
            told,
            request.set.clone().unwrap_or_default(),
            String::new(),
        ],
        ..Row::default()
    }
}

fn lapse_row(lapse: &LapseDocument) -> Row {
    Row {
        sign: Sign::Blocked,
        cells: vec![
            "not seen".to_owned(),
            lapse.at.clone(),
            String::new(),
            String::new(),
            lapse.detail.clone(),
            lapse.set.clone(),
            String::new(),
        ],
        ..Row::default()
    }
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

fn row(
    batch: &BatchRecord,
    names: &BTreeMap<String, String>,
    found: Option<&VerificationDocument>,
) -> Row {
    let found = found.map(|found| format!("; {}", found.words()));
    let told = in_short(&outcome(batch.outcome.as_ref()));
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
            counted(batch.count, noun(batch.cause)),
            [told, found.unwrap_or_default()].concat(),
            sets(batch).join(", "),
            batch.commit.as_deref().map(short).unwrap_or_default(),
        ],
        ..Row::default()
    }
}

fn noun(cause: Cause) -> &'static str {
    match cause {
        Cause::Removed => "removed item",
        Cause::Plan | Cause::Forced | Cause::Bisect => "item",
    }
}

fn document(
    batch: &BatchRecord,
    names: &BTreeMap<String, String>,
    probes: &[ProbeRecord],
) -> BatchDocument {
    BatchDocument {
        number: batch.no.0,
        id: batch.id.to_string(),
        target: batch.target.clone(),
        cdn: names.get(&batch.target).cloned(),
        parent: batch.parent.map(|parent| parent.0),
        cause: match batch.cause {
            Cause::Plan => "plan",
            Cause::Forced => "invalidate",
            Cause::Removed => "removed",
            Cause::Bisect => "bisect",
        },
        commit: batch.commit.clone(),
        items: batch.count,
        attempts: batch.attempts,
        opened: instant(batch.opened_ms),
        closed: batch.closed_ms.map(instant),
        outcome: outcome(batch.outcome.as_ref()),
        sets: sets(batch),
        verification: VerificationDocument::of_probes(probes),
    }
}
