//! Annotations for a GitHub job.

use super::escape::{github_message, github_property};
use super::number::{counted, grouped};
use super::{Body, Row, Sign};
use crate::manifest::{Place, Problem};

/// GitHub drops what comes after this many of a kind in a step, silently.
const MAX_OF_A_KIND: usize = 10;

/// Problems and blocked rows as annotations, ten of each kind at most, then
/// the summary as a plain line.
pub fn annotations(body: &Body) -> String {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        body.problems.iter().partition(|problem| problem.is_error());
    let rows = |sign: Sign| body.rows.iter().filter(move |row| row.sign == sign);
    let mut text = String::new();
    let failed = rows(Sign::Failed).map(|row| of_row("error", row));
    let blocked = rows(Sign::Blocked).map(|row| of_row("warning", row));
    text.push_str(&capped(
        errors
            .iter()
            .map(|problem| of_problem("error", problem))
            .chain(failed)
            .collect(),
        "error",
    ));
    text.push_str(&capped(
        warnings
            .iter()
            .map(|problem| of_problem("warning", problem))
            .chain(blocked)
            .collect(),
        "warning",
    ));
    // What waits for a person must not be missed, wherever it is declared.
    for note in body.notes.iter().filter(|note| note.starts_with('!')) {
        text.push_str(&["::notice::", &github_message(note), "\n"].concat());
    }
    text.push_str(&github_message(&body.summary));
    text.push('\n');
    text
}

/// The line for the file that `$GITHUB_OUTPUT` names.
pub fn output(has_changes: bool) -> String {
    format!("changed={has_changes}\n")
}

/// The last one tells how many more there are.
fn capped(mut lines: Vec<String>, level: &str) -> String {
    if lines.len() > MAX_OF_A_KIND {
        let more = (lines.len() - MAX_OF_A_KIND + 1) as u64;
        lines.truncate(MAX_OF_A_KIND - 1);
        lines.push(format!(
            "::{level}::{} more, see the job's summary\n",
            counted(more, level)
        ));
    }
    lines.concat()
}

fn of_problem(level: &str, problem: &Problem) -> String {
    let hint = problem.hint.as_ref();
    let hint = hint.map_or(String::new(), |hint| format!("\n{hint}"));
    let message = github_message(&format!("{}{hint}", problem.message));
    format!("::{level}{}::{message}\n", at(problem.place.as_ref()))
}

fn of_row(level: &str, row: &Row) -> String {
    let mut text = row.cells.join("  ");
    // What went wrong is told in full; what waits is for the job's summary.
    if row.sign == Sign::Failed {
        for line in &row.details {
            text.push_str(&["\n", line].concat());
        }
        if row.more > 0 {
            text.push_str(&["\nand ", &grouped(row.more), " more"].concat());
        }
    }
    let message = github_message(&text);
    format!("::{level}{}::{message}\n", at(row.place.as_ref()))
}

fn at(place: Option<&Place>) -> String {
    place.map_or(String::new(), |place| {
        let file = format!(" file={}", github_property(&place.file));
        match place.line {
            0 => file,
            line => format!("{file},line={line},col={}", place.column),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_annotation_is_not_lost_silently() {
        let problem = Problem::error("bad", Some(Place::file("a,b.yaml")), "bad\n::error::worse");
        let body = Body {
            problems: vec![problem; 12],
            summary: "12 errors.".to_owned(),
            ..Body::default()
        };
        let text = annotations(&body);
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("::error"))
                .count(),
            10
        );
        assert!(
            text.contains("::error::3 errors more, see the job's summary\n"),
            "{text}"
        );
        assert!(
            text.starts_with("::error file=a%2Cb.yaml::bad%0A::error::worse\n"),
            "{text}"
        );
    }
}
