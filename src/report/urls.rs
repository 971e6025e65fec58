//! The URLs that manifests yield: the page on which a person would confirm them.
//!
//! There may be more of them than memory holds, so they are written as they
//! come, and counted where they are only counted.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io::{self, Write};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::{Serialize, SerializeSeq as _, Serializer};
use serde_json::json;

use super::finding::Finding;
use super::number::counted;
use super::{Body, Report, Row, Sign, json};
use crate::expand::{Expansion, for_each_sorted};
use crate::manifest::{Problem, distinct};

/// Bytes of URLs in memory at once, about.
const AT_ONCE: usize = 128 << 20;

/// Bytes of URLs that go into a comment; the others are counted.
const SHOWN_BYTES: usize = 32 << 10;

/// `freshen.expand/v1`.
#[derive(Debug, serde::Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expanded<'a> {
    /// `freshen.expand/v1`.
    pub format: &'static str,
    /// Sorted, each once.
    pub urls: Urls<'a>,
    /// In the order of files and lines.
    pub problems: Vec<Finding>,
}

/// URLs that come into being as they are written.
#[derive(Clone, Copy, Debug)]
pub struct Urls<'a>(&'a [Expansion]);

impl Urls<'_> {
    fn for_each<E>(self, take: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        for_each_sorted(self.0, AT_ONCE, take)
    }
}

impl Serialize for Urls<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        self.for_each(|url| list.serialize_element(url))?;
        list.end()
    }
}

impl JsonSchema for Urls<'_> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Urls".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<String>::json_schema(generator)
    }
}

impl<'a> Expanded<'a> {
    /// The URLs of `expansions`, and what is wrong with them.
    pub fn of(expansions: &'a [Expansion], problems: &[Problem]) -> Self {
        Self {
            format: "freshen.expand/v1",
            urls: Urls(expansions),
            problems: Finding::all(problems),
        }
    }

    /// One a line, and nothing else.
    pub fn write_text(&self, to: &mut dyn Write) -> io::Result<()> {
        self.urls.for_each(|url| writeln!(to, "{url}"))
    }

    /// One document.
    pub fn write_json(&self, to: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *to, self)?;
        writeln!(to)
    }

    /// One object a line.
    pub fn write_jsonl(self, to: &mut dyn Write) -> io::Result<()> {
        let line = |url: &str| json!({ "type": "url", "value": url });
        self.urls.for_each(|url| writeln!(to, "{}", line(url)))?;
        let rest = Self {
            urls: Urls(&[]),
            ..self
        };
        to.write_all(json::lines(&rest).as_bytes())
    }
}

/// The report on the URLs of `expansions`, for where they are only counted.
pub fn report(expansions: &[Expansion], problems: Vec<Problem>) -> Report<Expanded<'_>> {
    let problems = distinct(problems);
    let (mut first, mut bytes, mut count) = (Vec::new(), 0, 0);
    let counting = Urls(expansions).for_each(|url| {
        bytes += url.len();
        count += 1;
        if bytes <= SHOWN_BYTES {
            first.push(url.to_owned());
        }
        Ok::<(), Infallible>(())
    });
    counting.unwrap_or_else(|never| match never {});
    let wire = Expanded::of(expansions, &problems);
    let body = Body {
        title: "URLs",
        columns: vec!["urls"],
        rows: vec![Row {
            sign: Sign::Same,
            cells: vec![counted(count, "URL")],
            more: count - first.len() as u64,
            details: first,
            ..Row::default()
        }],
        notes: Vec::new(),
        summary: format!("{}.", counted(count, "URL")),
        problems,
    };
    Report { body, wire }
}
