//! Why a URL is fresh, stale, or never purged at all.

use schemars::JsonSchema;
use serde::Serialize;

use super::fetched::FetchedDocument;
use super::number::counted;
use super::{Body, Report, Row, Sign, URLS_REFUSED};

/// `freshen.explain/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// `freshen.explain/v1`.
    pub format: &'static str,
    /// What was asked about.
    pub subject: String,
    /// The id that was meant, perhaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near: Option<String>,
    /// How it was found; absent where nothing yields it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_as: Option<Found>,
    /// Why nothing yields it, where that is known.
    pub obstacles: Vec<Obstacle>,
    /// When it was last sent although nothing yields it as it stands, Cdn by Cdn.
    pub sent: Vec<String>,
    /// Every URL found, at each Cdn of each set that yields it.
    pub urls: Vec<UrlDocument>,
    /// What is served now, where `--fetch` asked for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fetched: Vec<FetchedDocument>,
    /// The command to run next.
    pub next: String,
}

/// How a subject was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Found {
    /// As this very URL.
    Url,
    /// As another form of declared URLs, which is sent as one with them.
    Item,
    /// As the path of other URLs.
    Path,
    /// As an asset's id.
    Asset,
}

/// A URL at a Cdn.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UrlDocument {
    /// As declared.
    pub url: String,
    /// What is sent for it, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The set that yields it.
    pub set: String,
    /// Where the set is declared.
    pub place: String,
    /// The Cdn.
    pub cdn: String,
    /// What the CDN has been told.
    pub state: State,
    /// Code, words and time of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The last batch that held it, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sent: Option<String>,
    /// What looking at what the edge serves has shown, where somebody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<String>,
    /// When it was recorded as told without being sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopted: Option<String>,
    /// What keeps it from being sent, where it is to be sent.
    pub obstacles: Vec<Obstacle>,
}

/// Something in the way.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Obstacle {
    /// Of which kind.
    pub kind: ObstacleKind,
    /// What exactly, and where.
    pub detail: String,
    /// What to do about it.
    pub next: String,
}

/// The kinds of obstacles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ObstacleKind {
    /// It is over a limit, and waits for an approval.
    Blocked,
    /// By manifest or by command.
    Suspended,
    /// Until `notBefore`.
    NotBefore,
    /// Until its origin shows new bytes.
    WaitsForOrigin,
    /// An inner tier refused it.
    HeldBack,
    /// Its target is not called until something is corrected.
    Halted,
    /// Its target is not called before some time.
    Waiting,
    /// Another process is at it.
    InHand,
    /// Its set leaves it out.
    Excluded,
    /// A set cannot be read.
    Broken,
    /// It has left its set.
    Removed,
}

/// What a CDN has been told of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// The revision that is declared.
    Told,
    /// Nothing that is known of: it was recorded as told, without being sent.
    Adopted,
    /// Another revision.
    Revised,
    /// Nothing yet.
    New,
    /// Nothing that counts: it is owed.
    Owed,
    /// It is to be sent again, as somebody asked.
    Forced,
    /// It is in a batch under way.
    UnderWay,
    /// It was refused.
    Refused,
    /// Nothing, and it is recorded as told by the next run all the same.
    Recorded,
}

impl State {
    fn words(self) -> &'static str {
        match self {
            Self::Told => "told at the declared revision",
            Self::Adopted => "adopted: recorded as told, without being sent",
            Self::Revised => "told at another revision: to be sent",
            Self::New => "never told: to be sent",
            Self::Owed => "owed: to be sent",
            Self::Forced => "asked for: to be sent again",
            Self::UnderWay => "in a batch under way",
            Self::Refused => "refused by the CDN",
            Self::Recorded => "to be recorded as told, without being sent",
        }
    }

    /// Whether it is to be sent.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::New | Self::Owed | Self::Revised | Self::Forced)
    }

    fn sign(self) -> Sign {
        match self {
            Self::Told | Self::Adopted => Sign::Same,
            Self::New => Sign::New,
            Self::Refused => Sign::Failed,
            _ => Sign::Changed,
        }
    }
}

/// What was asked about.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// A URL or an id.
    pub subject: &'a str,
    /// Whether it is a URL that some Cdn takes.
    pub is_sendable: bool,
    /// The id that was meant, perhaps.
    pub near: Option<String>,
}

/// The report on what was `asked`, found as `found_as` at `urls`; `obstacles`
/// say why it was not found as it stands, and `sent` when it was sent all the
/// same.
pub fn report(
    (asked, found_as): (Asked<'_>, Option<Found>),
    urls: Vec<UrlDocument>,
    obstacles: Vec<Obstacle>,
    sent: Vec<String>,
) -> Report<Explained> {
    let wire = Explained {
        format: "freshen.explain/v1",
        subject: asked.subject.to_owned(),
        found_as,
        next: next(&asked, found_as, &urls, &obstacles),
        near: asked.near,
        obstacles,
        sent,
        urls,
        fetched: Vec::new(),
    };
    let sent = wire.sent.iter().map(|sent| format!("Last sent {sent}."));
    let body = Body {
        title: "Explain",
        columns: vec!["url", "set", "cdn", "state", "where"],
        rows: wire.urls.iter().map(row).collect(),
        notes: sent.chain(wire.obstacles.iter().map(sentence)).collect(),
        problems: Vec::new(),
        summary: format!("{} Next: {}", summary(&wire), wire.next),
    };
    Report { body, wire }
}

fn summary(wire: &Explained) -> String {
    let urls = counted(wire.urls.len() as u64, "URL");
    match wire.found_as {
        None if wire.obstacles.iter().any(is_doubtful) => {
            "No manifest that can be read yields it.".to_owned()
        }
        None if !wire.sent.is_empty() => {
            "No manifest yields it, so it is purged only when somebody asks.".to_owned()
        }
        None => match &wire.near {
            Some(near) => format!("No manifest yields it; did you mean `{near}`?"),
            None => "No manifest yields it, so it is never purged.".to_owned(),
        },
        Some(Found::Url) => format!("Declared: {}.", counted(wire.urls.len() as u64, "place")),
        Some(Found::Item) => {
            format!("Not declared as it stands, but sent as one with {urls}.")
        }
        Some(Found::Path) => format!(
            "No manifest yields it with this query, and granularity `url` sends each by itself, \
             so it is never purged; {urls} with the same path."
        ),
        Some(Found::Asset) => format!("An asset with {urls}."),
    }
}

fn is_doubtful(obstacle: &Obstacle) -> bool {
    obstacle.kind == ObstacleKind::Broken
}

fn sentence(obstacle: &Obstacle) -> String {
    format!("! {}.", obstacle.detail)
}

fn row(url: &UrlDocument) -> Row {
    let obstacles = url.obstacles.iter();
    let obstacles = obstacles.map(|found| format!("{}; next: {}", found.detail, found.next));
    let sent_as = url.item.as_ref().map(|item| format!("sent as {item}"));
    let last = url
        .last_sent
        .as_ref()
        .map(|last| format!("last sent {last}"));
    let refusal = url.refusal.as_ref();
    let refusal = refusal.map(|refusal| format!("{URLS_REFUSED} {refusal}"));
    let adopted = url.adopted.as_ref().map(|at| format!("adopted {at}"));
    let known = sent_as.into_iter().chain(refusal);
    let seen = url.verification.clone();
    let known = known.chain(last).chain(seen).chain(adopted);
    Row {
        sign: match url.obstacles[..] {
            [] => url.state.sign(),
            _ => Sign::Blocked,
        },
        cells: vec![
            url.url.clone(),
            url.set.clone(),
            url.cdn.clone(),
            url.state.words().to_owned(),
            url.place.clone(),
        ],
        details: obstacles.chain(known).collect(),
        ..Row::default()
    }
}

/// The first cause has the say: the others show only once it is gone.
fn next(
    asked: &Asked<'_>,
    found_as: Option<Found>,
    urls: &[UrlDocument],
    obstacles: &[Obstacle],
) -> String {
    let in_the_way = urls.iter().flat_map(|url| &url.obstacles);
    let is_declared = !matches!(found_as, None | Some(Found::Path));
    let first = if is_declared {
        in_the_way.map(|obstacle| &obstacle.next).next()
    } else {
        obstacles.first().map(|obstacle| &obstacle.next)
    };
    if let Some(next) = first {
        return next.clone();
    }
    let is_done =
        |url: &UrlDocument| matches!(url.state, State::Told | State::Adopted | State::Refused);
    if is_declared && !urls.iter().all(is_done) {
        return "freshen reconcile".to_owned();
    }
    let subject = asked.subject;
    match (found_as, urls) {
        (Some(Found::Asset), _) => format!("freshen invalidate --asset {}", quoted(subject)),
        (Some(Found::Item), [url, ..]) => format!("freshen invalidate --url {}", quoted(&url.url)),
        _ if asked.is_sendable => format!("freshen invalidate --url {}", quoted(subject)),
        (_, [url, ..]) => format!("freshen explain {}", quoted(&url.url)),
        _ => match &asked.near {
            Some(near) => format!("freshen explain {}", quoted(near)),
            None => "freshen expand".to_owned(),
        },
    }
}

/// For a shell, which has its own idea of `$` and `?`.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
