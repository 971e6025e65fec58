//! What `validate` found.

use schemars::JsonSchema;
use serde::Serialize;

use super::finding::Finding;
use super::number::counted;
use super::{Body, Report};
use crate::manifest::{Problem, distinct};

/// `freshen.validate/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// `freshen.validate/v1`.
    pub format: &'static str,
    /// Cdns that were read.
    pub cdns: u64,
    /// Sets that were read.
    pub asset_sets: u64,
    /// URLs declared by the sets that expand.
    pub declared: u64,
    /// Sets of which some rows are left out.
    pub partial: u64,
    /// Errors among the problems.
    pub errors: u64,
    /// Warnings among the problems.
    pub warnings: u64,
    /// In the order of files and lines.
    pub problems: Vec<Finding>,
}

/// What was read.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Cdns.
    pub cdns: u64,
    /// Sets.
    pub sets: u64,
    /// URLs.
    pub urls: u64,
    /// Sets of which some rows are left out.
    pub partial: u64,
}

/// The report on `problems`.
pub fn report(read: Read, problems: Vec<Problem>) -> Report<Validation> {
    let problems = distinct(problems);
    let errors = problems.iter().filter(|problem| problem.is_error()).count() as u64;
    let warnings = problems.len() as u64 - errors;
    let wire = Validation {
        format: "freshen.validate/v1",
        cdns: read.cdns,
        asset_sets: read.sets,
        declared: read.urls,
        partial: read.partial,
        errors,
        warnings,
        problems: Finding::all(&problems),
    };
    let found = match (errors, warnings) {
        (0, 0) => "no problems".to_owned(),
        (0, _) => counted(warnings, "warning"),
        (_, 0) => counted(errors, "error"),
        _ => format!(
            "{}, {}",
            counted(errors, "error"),
            counted(warnings, "warning")
        ),
    };
    let verdict = match (errors, read.partial) {
        (0, 0) => "Valid",
        (0, _) => "Partial (rows are left out)",
        _ => "Invalid",
    };
    let body = Body {
        title: "Validation",
        summary: format!(
            "{verdict}: {}, {}, {}; {found}.",
            counted(read.cdns, "Cdn"),
            counted(read.sets, "set"),
            counted(read.urls, "URL"),
        ),
        problems,
        ..Body::default()
    };
    Report { body, wire }
}
