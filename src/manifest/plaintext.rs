//! What makes a file unreadable before its YAML is even looked at.

use std::sync::Arc;

use super::node::Span;
use super::problem::{Place, Problem};
use super::source::Source;

/// The first line that git, or a person who merged, left behind.
pub(super) fn conflict_marker(source: &Source, text: &str) -> Option<Problem> {
    let marks = ["<<<<<<< ", "||||||| ", ">>>>>>> "];
    if !marks.iter().any(|mark| text.contains(mark)) {
        return None;
    }
    let is_marker = |line: &str| marks.iter().any(|mark| line.starts_with(mark));
    let line = text.lines().position(is_marker)? + 1;
    let mut span = point(line, 1);
    span.end_column = 8;
    let problem = Problem::error(
        "conflict-markers",
        Some(source.place(span)),
        "the file holds conflict markers of an unfinished merge",
    );
    Some(
        problem
            .hint("finish the merge, then remove the lines with `<<<<<<<`, `=======`, `>>>>>>>`"),
    )
}

/// Where a file stops being UTF-8.
pub(super) fn not_utf8(source: &Source, bytes: &[u8]) -> Problem {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let place = Place::file(Arc::clone(source.name()));
        return Problem::error("encoding", Some(place), "the file is UTF-16, not UTF-8")
            .hint("save it as UTF-8");
    }
    let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let line = valid.matches('\n').count() + 1;
    let column = valid
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    let place = Place {
        line: line as u32,
        column: column as u32,
        ..Place::file(Arc::clone(source.name()))
    };
    Problem::error("encoding", Some(place), "the file is not valid UTF-8").hint("save it as UTF-8")
}

/// One character, both counted from 1.
pub(super) fn point(line: usize, column: usize) -> Span {
    Span {
        line: line as u32,
        column: column as u32,
        end_line: line as u32,
        end_column: column as u32 + 1,
    }
}
