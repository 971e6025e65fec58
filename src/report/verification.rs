//! What looking at what an edge serves has shown, and what to do about it.

use schemars::JsonSchema;
use serde::Serialize;

use super::number::{counted, grouped, instant};
use crate::batch::verify::Finding;
use crate::state::{ProbeRecord, Repeats};

/// URLs named for each finding, at most.
const NAMED: usize = 3;

/// What was found of the URLs that were looked at, which are a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerificationDocument {
    /// The edge serves something else than before.
    pub verified: u64,
    /// The edge fetched them anew, and they are as before.
    pub unchanged: u64,
    /// The edge serves the copy from before, though it was told twice.
    pub stale: u64,
    /// The edge could not be reached, or tells too little.
    pub unknown: u64,
    /// Still looked at.
    pub open: u64,
    /// Those that are unchanged, stale or unknown.
    pub doubtful: Vec<DoubtfulDocument>,
}

/// A URL of which the effect was not seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoubtfulDocument {
    /// As it was sent.
    pub url: String,
    /// `unchanged`, `stale` or `unknown`.
    pub finding: &'static str,
    /// What that means, and what to do about it.
    pub next: &'static str,
}

impl VerificationDocument {
    /// Of URLs and what was found of each; `None` where nobody looked.
    pub fn of<'a>(found: impl Iterator<Item = (&'a str, Option<Finding>)>) -> Option<Self> {
        let mut all = Self::default();
        let mut is_any = false;
        for (url, finding) in found {
            is_any = true;
            *all.count(finding) += 1;
            let cure = finding.and_then(|found| Some((found.as_str(), found.cure()?)));
            all.doubtful
                .extend(cure.map(|(finding, next)| DoubtfulDocument {
                    url: url.to_owned(),
                    finding,
                    next,
                }));
        }
        is_any.then_some(all)
    }

    /// Of what is recorded.
    pub fn of_probes(probes: &[ProbeRecord]) -> Option<Self> {
        Self::of(
            probes
                .iter()
                .map(|probe| (probe.item.as_str(), probe.finding)),
        )
    }

    fn count(&mut self, finding: Option<Finding>) -> &mut u64 {
        match finding {
            Some(Finding::Verified) => &mut self.verified,
            Some(Finding::Unchanged) => &mut self.unchanged,
            Some(Finding::Stale) => &mut self.stale,
            Some(Finding::Unknown) => &mut self.unknown,
            None => &mut self.open,
        }
    }

    /// How many of each, such as `3 verified, 1 stale`.
    pub fn words(&self) -> String {
        let counts = [
            (self.verified, "verified"),
            (self.unchanged, "unchanged"),
            (self.stale, "stale"),
            (self.unknown, "not known to have taken effect"),
            (self.open, "still looked at"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = counts
            .map(|(count, what)| format!("{} {what}", grouped(*count)))
            .collect();
        words.join(", ")
    }

    /// What each finding means at `cdn`, with some of its URLs.
    pub fn notes(&self, cdn: &str) -> Vec<String> {
        let mut notes = Vec::new();
        for finding in [Finding::Stale, Finding::Unchanged, Finding::Unknown] {
            let name = finding.as_str();
            let here = || self.doubtful.iter().filter(|one| one.finding == name);
            let Some(first) = here().next() else {
                continue;
            };
            let sign = if finding == Finding::Stale { 'x' } else { '!' };
            let count = here().count();
            let urls: Vec<&str> = here().take(NAMED).map(|one| one.url.as_str()).collect();
            let more = match count.saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {} more", grouped(more as u64)),
            };
            notes.push(format!(
                "{sign} {}: {} at {cdn}: {} ({}{more}).",
                name.to_uppercase(),
                counted(count as u64, "URL"),
                first.next,
                urls.join(", "),
            ));
        }
        notes
    }
}

/// What was accepted and is to be sent again, as the Cdn's `repeat` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepeatsDocument {
    /// Name of the Cdn.
    pub cdn: String,
    /// Items, each as often as it is to be sent.
    pub items: u64,
    /// When the first are due.
    pub next: String,
    /// When the last are due.
    pub last: String,
}

impl RepeatsDocument {
    /// Of what is recorded for the target of the Cdn `name`.
    pub fn of(name: &str, repeats: &Repeats) -> Self {
        Self {
            cdn: name.to_owned(),
            items: repeats.items,
            next: instant(repeats.next_ms),
            last: instant(repeats.last_ms),
        }
    }

    /// What is left, and who sends it.
    pub fn note(&self) -> String {
        let when = if self.next == self.last {
            format!("at {}", self.next)
        } else {
            format!("from {} to {}", self.next, self.last)
        };
        format!(
            "Sent again at {} {when}: {}, by `freshen run` or the first `freshen reconcile` after that.",
            self.cdn,
            counted(self.items, "URL"),
        )
    }
}

/// What is known of one URL, as a sentence.
pub fn sentence(probe: &ProbeRecord) -> String {
    let batch = probe.batch.0;
    let when = probe
        .judged_ms
        .map(|at_ms| format!(" at {}", instant(at_ms)));
    let when = when.unwrap_or_default();
    let again = if probe.is_again { ", sent twice" } else { "" };
    let why = probe.message.as_ref().map(|why| format!(" ({why})"));
    let why = why.unwrap_or_default();
    match probe.finding {
        None => format!("still looked at since batch {batch}{again}{why}"),
        Some(found) => {
            let cure = found.cure().map(|cure| format!(": {cure}"));
            let cure = cure.unwrap_or_default();
            format!(
                "{}{when} after batch {batch}{again}{cure}{why}",
                found.as_str()
            )
        }
    }
}
