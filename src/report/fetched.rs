//! What an edge and its origin serve now, side by side.

use schemars::JsonSchema;
use serde::Serialize;

use super::Report;
use super::explain::{Explained, quoted};
use crate::batch::verify::{Sight, Standing};

/// What is served for a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FetchedDocument {
    /// As a visitor asks for it.
    pub url: String,
    /// The Cdn that it belongs to.
    pub cdn: String,
    /// What the edge serves; absent where it could not be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edge: Option<SightDocument>,
    /// What the Cdn's `origin` serves, where one is declared and answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<SightDocument>,
    /// How the two stand.
    pub standing: StandingDocument,
    /// The same in words, with what cannot be told.
    pub detail: String,
}

/// How an edge stands to its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StandingDocument {
    /// The edge has the origin's bytes.
    Same,
    /// Both have the bytes from before it was last sent.
    OriginNotUpdated,
    /// The edge has other bytes than the origin.
    EdgeOlder,
    /// One of them is not known.
    Unknown,
}

/// What was answered to one look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SightDocument {
    /// HTTP status.
    pub status: u16,
    /// `ETag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// `Content-Length`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_length: Option<u64>,
    /// `Age`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// What it says of its cache, such as `X-Cache`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// SHA-256 of the body's first MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl SightDocument {
    fn of(sight: &Sight) -> Self {
        Self {
            status: sight.status,
            etag: sight.etag.clone(),
            last_modified: sight.modified.clone(),
            content_length: sight.length,
            age: sight.age_s,
            cache: sight.cache.clone(),
            sha256: sight.body.clone(),
        }
    }

    fn words(&self) -> String {
        let length = self.content_length.map(|length| format!("{length} bytes"));
        let modified = self.last_modified.as_ref().map(|at| format!("of {at}"));
        let etag = self.etag.as_ref().map(|etag| format!("ETag {etag}"));
        let age = self.age.map(|age| format!("Age {age}"));
        let told = [length, modified, etag, age, self.cache.clone()];
        let told: Vec<String> = told.into_iter().flatten().collect();
        format!("status {} ({})", self.status, told.join(", "))
    }
}

/// What was seen of a URL.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// As a visitor asks for it.
    pub url: String,
    /// The Cdn that it belongs to.
    pub cdn: String,
    /// What the edge serves, or why that is not known.
    pub edge: Result<Sight, String>,
    /// The same of the origin; `None` where none is declared.
    pub origin: Option<Result<Sight, String>>,
    /// What the edge served before it was last sent, where somebody looked.
    pub before: Option<Sight>,
}

impl FetchedDocument {
    fn of(fetched: &Fetched) -> Self {
        let edge = fetched.edge.as_ref();
        let origin = fetched
            .origin
            .as_ref()
            .and_then(|origin| origin.as_ref().ok());
        let standing = Standing::of(edge.ok(), origin, fetched.before.as_ref());
        let seen =
            |who: &str, sight: &Sight| format!("{who} serves {}", SightDocument::of(sight).words());
        let mut detail = vec![match edge {
            Ok(sight) => seen("the edge", sight),
            Err(why) => format!("the edge could not be asked: {why}"),
        }];
        detail.push(match &fetched.origin {
            Some(Ok(sight)) => seen("the origin", sight),
            Some(Err(why)) => format!("the origin could not be asked: {why}"),
            None => "what the origin has cannot be told, since the Cdn declares no `origin`; \
                     a query that gets past the cache may yield something else, and was not tried"
                .to_owned(),
        });
        if fetched.origin.is_none() && is_as_before(fetched) {
            detail.push("these are the bytes from before it was last sent".to_owned());
        }
        Self {
            url: fetched.url.clone(),
            cdn: fetched.cdn.clone(),
            edge: edge.ok().map(SightDocument::of),
            origin: origin.map(SightDocument::of),
            standing: StandingDocument::of(standing),
            detail: detail.join("; "),
        }
    }

    fn next(&self) -> Option<String> {
        let send = format!("freshen invalidate --url {}", quoted(&self.url));
        match self.standing {
            StandingDocument::EdgeOlder => Some(send),
            StandingDocument::OriginNotUpdated => {
                Some(format!("publish it at the origin first, then: {send}"))
            }
            StandingDocument::Same | StandingDocument::Unknown => None,
        }
    }
}

impl StandingDocument {
    fn of(standing: Standing) -> Self {
        match standing {
            Standing::Same => Self::Same,
            Standing::OriginNotUpdated => Self::OriginNotUpdated,
            Standing::EdgeOlder => Self::EdgeOlder,
            Standing::Unknown => Self::Unknown,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Same => "= The edge has the origin's bytes",
            Self::OriginNotUpdated => "! The origin itself is not updated",
            Self::EdgeOlder => "x The edge has other bytes than the origin",
            Self::Unknown => "! Edge and origin cannot be compared",
        }
    }
}

fn is_as_before(fetched: &Fetched) -> bool {
    let edge = fetched.edge.as_ref().ok();
    edge.zip(fetched.before.as_ref())
        .is_some_and(|(edge, before)| edge.has_bytes_of(before))
}

/// Adds what is served now, and the command that follows from it.
pub fn beside(report: &mut Report<Explained>, fetched: &[Fetched]) {
    let documents: Vec<FetchedDocument> = fetched.iter().map(FetchedDocument::of).collect();
    let notes = documents.iter().map(|document| {
        let words = document.standing.words();
        format!("{words}: {} ({}).", document.url, document.detail)
    });
    report.body.notes.extend(notes);
    let is_pending = report.wire.urls.iter().any(|url| url.state.is_pending());
    let mut next = documents.iter().filter_map(FetchedDocument::next);
    // What is to be sent anyway needs no other command.
    if let Some(next) = next.next().filter(|_| !is_pending) {
        let before = format!("Next: {}", report.wire.next);
        let summary = report
            .body
            .summary
            .replace(&before, &format!("Next: {next}"));
        report.body.summary = summary;
        report.wire.next = next;
    }
    report.wire.fetched = documents;
}
