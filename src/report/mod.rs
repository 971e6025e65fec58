//! Reports: values as text, JSON, Markdown, annotations and SARIF.
//!
//! Each command turns what it found into a [`Report`]: a [`Body`] that people
//! read and a wire value that programs read. Every format is made from these
//! two, so that no format can say less than another.

use schemars::JsonSchema;
use serde::Serialize;

use crate::manifest::{Place, Problem};

pub mod alert;
pub mod answer;
pub mod api;
pub mod condition;
pub mod cost;
pub mod cure;
pub mod doctor;
pub mod escape;
pub mod excerpt;
pub mod explain;
pub mod fetched;
pub mod finding;
pub mod github;
pub mod held;
pub mod history;
pub mod import;
pub mod json;
pub mod lapse;
pub mod markdown;
pub mod number;
pub mod plan;
pub mod reconcile;
pub mod refused;
pub mod sarif;
pub mod schema;
pub mod set;
pub mod status;
mod summary;
pub mod target;
pub mod text;
pub mod urls;
pub mod validate;
pub mod verification;

/// What Adobe's screen says of URLs that its service refuses.
pub const URLS_REFUSED: &str = "Some URLs are not defined correctly. Please correct and re-submit.";

/// What Adobe's screen says of any other failure; our detail follows it.
pub const FAILED: &str = "Failed to invalidate CDN cache";

/// Lines of URLs under a row, at most, where nobody asked for all.
pub const SHOWN: usize = 20;

/// A place as `file:line`.
pub fn place(place: &Place) -> String {
    match place.line {
        0 => place.file.to_string(),
        line => format!("{}:{line}", place.file),
    }
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, at a terminal or in a log.
    Text,
    /// One JSON document, with a `format` and a schema.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// For a comment on a pull request.
    Markdown,
    /// Annotations for a GitHub job, with its summary beside them.
    Github,
    /// For code scanning; of `validate` alone.
    Sarif,
}

/// What a command found.
#[derive(Debug)]
pub struct Report<W> {
    /// For people.
    pub body: Body,
    /// For programs.
    pub wire: W,
}

impl<W: Serialize + JsonSchema> Report<W> {
    /// The whole report in `format`, ending with a line break.
    pub fn render(&self, format: Format, is_coloured: bool) -> String {
        let people = self.body.render(format, is_coloured);
        people.unwrap_or_else(|| match format {
            Format::Jsonl => json::lines(&self.wire),
            _ => json::document(&self.wire),
        })
    }
}

/// What people read, whatever the format.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// Names the command's result, such as `Plan`.
    pub title: &'static str,
    /// What the cells of a row are.
    pub columns: Vec<&'static str>,
    /// In the order they are to be read.
    pub rows: Vec<Row>,
    /// What is true of all of it, and the command to run next.
    pub notes: Vec<String>,
    /// Shown after the rows: nearest to the prompt.
    pub problems: Vec<Problem>,
    /// One line.
    pub summary: String,
}

impl Body {
    /// All of it in `format`, ending with a line break; `None` where that is
    /// made of a wire value.
    pub fn render(&self, format: Format, is_coloured: bool) -> Option<String> {
        match format {
            Format::Text => Some(text::render(self, is_coloured)),
            Format::Markdown => Some(markdown::render(self, markdown::COMMENT_LIMIT)),
            Format::Github => Some(github::annotations(self)),
            Format::Sarif => Some(sarif::render(&self.problems)),
            Format::Json | Format::Jsonl => None,
        }
    }
}

/// One thing reported on.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What becomes of it.
    pub sign: Sign,
    /// One for each column.
    pub cells: Vec<String>,
    /// Lines that belong under it.
    pub details: Vec<String>,
    /// How many more there are than `details` shows.
    pub more: u64,
    /// Where its thing is declared.
    pub place: Option<Place>,
}

/// What becomes of a row's thing; never only a colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sign {
    /// Seen for the first time.
    New,
    /// To be sent again.
    Changed,
    /// As it should be.
    #[default]
    Same,
    /// Waits for a person.
    Blocked,
    /// Went wrong.
    Failed,
    /// Cannot be told.
    Unknown,
}

impl Sign {
    /// The character at the start of the line.
    pub fn symbol(self) -> char {
        match self {
            Self::New => '+',
            Self::Changed => '~',
            Self::Same => '=',
            Self::Blocked => '!',
            Self::Failed => 'x',
            Self::Unknown => '?',
        }
    }
}
