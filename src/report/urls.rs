//! The URLs that manifests yield: the page on which a person would confirm them.

use schemars::JsonSchema;
use serde::Serialize;

use super::finding::Finding;
use super::number::counted;
use super::{Body, Report, Row, Sign};
use crate::manifest::{Problem, distinct};

/// `freshen.expand/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expanded {
    /// `freshen.expand/v1`.
    pub format: &'static str,
    /// Sorted, each once.
    pub urls: Vec<String>,
    /// In the order of files and lines.
    pub problems: Vec<Finding>,
}

/// The report on `urls`, which are sorted and distinct.
pub fn report(urls: Vec<String>, problems: Vec<Problem>) -> Report<Expanded> {
    let body = Body {
        title: "URLs",
        columns: vec!["urls"],
        rows: vec![Row {
            sign: Sign::Same,
            cells: vec![counted(urls.len() as u64, "URL")],
            details: urls.clone(),
            ..Row::default()
        }],
        notes: Vec::new(),
        summary: format!("{}.", counted(urls.len() as u64, "URL")),
        problems: distinct(problems),
    };
    let wire = Expanded {
        format: "freshen.expand/v1",
        urls,
        problems: Finding::all(&body.problems),
    };
    Report { body, wire }
}
