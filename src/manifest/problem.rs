//! A problem found in what was declared: what, where, and how to cure it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The thing concerned cannot be used; its set keeps its last good state.
    Error,
    /// The thing concerned is used, perhaps not as meant.
    Warning,
}

/// A position in a file that was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, as a person would name it: root as given, then the path inside.
    pub file: Arc<str>,
    /// Counted from 1; 0 means the file as a whole.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
    /// The text of that line, for the excerpt.
    pub excerpt: Option<Arc<str>>,
    /// How many characters of the excerpt are meant, at least 1.
    pub width: u32,
}

impl Place {
    /// The file as a whole.
    pub fn file(file: impl Into<Arc<str>>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            excerpt: None,
            width: 1,
        }
    }
}

/// One finding. Never carries a secret's text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// Stable, in kebab case: the SARIF rule id.
    pub code: &'static str,
    /// Where, as exactly as is known.
    pub place: Option<Place>,
    /// What is wrong: a lowercase fragment without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// An error at `place`.
    pub fn error(code: &'static str, place: Option<Place>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            place,
            message: message.into(),
            hint: None,
        }
    }

    /// A warning at `place`.
    pub fn warning(code: &'static str, place: Option<Place>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, place, message)
        }
    }

    /// The same problem, with its cure.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Each of `problems` once, in their order: sets that share a template share
/// what is wrong with it.
pub fn distinct(mut problems: Vec<Problem>) -> Vec<Problem> {
    let mut seen = HashSet::with_capacity(problems.len());
    problems.retain(|problem| seen.insert(problem.clone()));
    problems
}

/// `file:line:column: code: message (hint)`, for logs and tests.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) if place.line > 0 => {
                write!(f, "{}:{}:{}: ", place.file, place.line, place.column)?;
            }
            Some(place) => write!(f, "{}: ", place.file)?,
            None => {}
        }
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}
