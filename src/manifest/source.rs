//! A file as it was read, and its lines.

use std::sync::{Arc, OnceLock};

use super::node::Span;
use super::problem::Place;
use super::userinfo::has_userinfo;
use crate::digest::Digest;

/// A file of one of the roots, as its bytes were read.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Which of the roots, counted from 0.
    pub root: usize,
    /// Inside the root, with `/` between folders.
    pub path: String,
    /// For people: the root as it was given, then the path.
    pub name: Arc<str>,
    /// The whole content.
    pub bytes: Arc<[u8]>,
    /// Of `bytes`.
    pub digest: Digest,
}

/// Excerpts longer than this help nobody; a list of ids may be one long line.
const MAX_EXCERPT: usize = 500;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The lines of a file that is known to be UTF-8.
#[derive(Debug)]
pub struct Source {
    name: Arc<str>,
    bytes: Arc<[u8]>,
    /// Where each line starts; found when the first problem is placed.
    starts: OnceLock<Vec<usize>>,
}

impl Source {
    /// The lines of `bytes`.
    pub fn new(name: Arc<str>, bytes: Arc<[u8]>) -> Self {
        Self {
            name,
            bytes,
            starts: OnceLock::new(),
        }
    }

    /// The file, as a person would name it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The text without a byte order mark; `None` where it is no UTF-8.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(without_bom(&self.bytes)).ok()
    }

    /// The text of a line, counted from 1, without its line break.
    pub fn line(&self, line: u32) -> Option<&str> {
        let starts = self.starts.get_or_init(|| line_starts(&self.bytes));
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        let start = *starts.get(index)?;
        let end = starts.get(index + 1).copied().unwrap_or(self.bytes.len());
        let text = std::str::from_utf8(&self.bytes[start..end]).ok()?;
        Some(text.trim_end_matches(['\n', '\r']))
    }

    /// The place of a span, with its excerpt.
    pub fn place(&self, span: Span) -> Place {
        let excerpt = self.line(span.line);
        let length = excerpt.map_or(0, |text| text.chars().count());
        let end = if span.end_line == span.line {
            span.end_column as usize
        } else {
            length + 1
        };
        Place {
            file: Arc::clone(&self.name),
            line: span.line,
            column: span.column,
            width: end.saturating_sub(span.column as usize).max(1) as u32,
            excerpt: excerpt.and_then(shown),
        }
    }
}

impl Place {
    /// The place of so many characters from a column on, in a line that was
    /// read by itself.
    pub fn in_line(
        file: &Arc<str>,
        (line, text): (u32, &str),
        (column, width): (u32, u32),
    ) -> Self {
        Self {
            file: Arc::clone(file),
            line,
            column,
            width: width.max(1),
            excerpt: shown(text),
        }
    }
}

/// The line as an excerpt, where it is to be shown at all.
fn shown(line: &str) -> Option<Arc<str>> {
    let is_shown = line.len() <= MAX_EXCERPT && !may_hold_secret(line);
    is_shown.then(|| Arc::from(line))
}

/// Whether a line may hold a secret written out, whatever else is wrong with
/// it, misspellings included: such a line is never shown.
fn may_hold_secret(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let mut words = ["passw", "pwd", "secret"].iter();
    words.any(|word| lower.contains(word)) || has_userinfo(line)
}

fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BOM).unwrap_or(bytes)
}

/// A line ends with LF, CRLF or a lone CR, as YAML has it.
fn line_starts(bytes: &[u8]) -> Vec<usize> {
    let first = bytes.len() - without_bom(bytes).len();
    let mut starts = vec![first];
    for (index, byte) in bytes.iter().enumerate() {
        let ends = *byte == b'\n' || *byte == b'\r' && bytes.get(index + 1) != Some(&b'\n');
        if ends {
            starts.push(index + 1);
        }
    }
    starts
}
