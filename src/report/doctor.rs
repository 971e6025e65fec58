//! What a check-up found.

use schemars::JsonSchema;
use serde::Serialize;

use super::number::counted;
use super::{Body, Report, Row, Sign};
use crate::provider::checkup::{Finding, Grade};

/// `freshen.doctor/v1`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoctorDocument {
    /// `freshen.doctor/v1`.
    pub format: &'static str,
    /// Checks that found something wrong.
    pub failed: u64,
    /// Checks that found something to be seen to.
    pub warnings: u64,
    /// Checks that could not be made.
    pub unknown: u64,
    /// Of this machine first, then of each Cdn.
    pub checks: Vec<CheckDocument>,
}

/// One check.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckDocument {
    /// The Cdn's name; absent where the check is of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdn: Option<String>,
    /// What was looked at.
    pub subject: String,
    /// Whether it is as it should be.
    pub result: CheckResult,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    /// It is.
    Good,
    /// It could not be looked at.
    Unknown,
    /// It works, but should be seen to.
    Warning,
    /// It is wrong.
    Failed,
}

impl From<Grade> for CheckResult {
    fn from(grade: Grade) -> Self {
        match grade {
            Grade::Good => Self::Good,
            Grade::Unknown => Self::Unknown,
            Grade::Doubtful => Self::Warning,
            Grade::Failed => Self::Failed,
        }
    }
}

/// The findings on one Cdn by name, or on this machine.
pub type Examined = (Option<String>, Vec<Finding>);

/// The report on everything that was `examined`.
pub fn report(examined: &[Examined]) -> Report<DoctorDocument> {
    let all = examined.iter().flat_map(|(cdn, findings)| {
        let cdn = cdn.as_deref();
        findings.iter().map(move |finding| (cdn, finding))
    });
    let count = |grade: Grade| {
        let of_grade = all.clone().filter(|(_, finding)| finding.grade == grade);
        of_grade.count() as u64
    };
    let wire = DoctorDocument {
        format: "freshen.doctor/v1",
        failed: count(Grade::Failed),
        warnings: count(Grade::Doubtful),
        unknown: count(Grade::Unknown),
        checks: all
            .clone()
            .map(|(cdn, finding)| document(cdn, finding))
            .collect(),
    };
    let body = Body {
        title: "Check-up",
        columns: vec!["of", "what", "what was found"],
        rows: all.map(|(cdn, finding)| row(cdn, finding)).collect(),
        summary: summary(&wire),
        ..Body::default()
    };
    Report { body, wire }
}

fn summary(wire: &DoctorDocument) -> String {
    let verdict = match (wire.failed, wire.warnings) {
        (0, 0) => "Well",
        (0, _) => "Well, but for warnings",
        _ => "Not well",
    };
    let counts = [
        (wire.failed, "failed"),
        (wire.warnings, "to be seen to"),
        (wire.unknown, "not known"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let mut parts = vec![counted(wire.checks.len() as u64, "check")];
    parts.extend(counts.map(|(count, what)| format!("{count} {what}")));
    format!("{verdict}: {}.", parts.join(", "))
}

fn document(cdn: Option<&str>, finding: &Finding) -> CheckDocument {
    CheckDocument {
        cdn: cdn.map(str::to_owned),
        subject: finding.subject.clone(),
        result: finding.grade.into(),
        message: finding.message.clone(),
        cure: finding.cure.clone(),
    }
}

fn row(cdn: Option<&str>, finding: &Finding) -> Row {
    Row {
        sign: match finding.grade {
            Grade::Good => Sign::Same,
            Grade::Unknown => Sign::Unknown,
            Grade::Doubtful => Sign::Blocked,
            Grade::Failed => Sign::Failed,
        },
        cells: vec![
            cdn.unwrap_or("here").to_owned(),
            finding.subject.clone(),
            finding.message.clone(),
        ],
        details: finding.cure.iter().cloned().collect(),
        ..Row::default()
    }
}
