//! Reports as a comment on a pull request or a job's summary.

use super::escape::{code_span, fence, markdown, terminal};
use super::number::{counted, grouped};
use super::{Body, Row};
use crate::manifest::Problem;

/// What GitHub takes as a comment, in bytes.
pub const COMMENT_LIMIT: usize = 65_536;

/// What GitHub takes as a job's summary, in bytes; more and all of it is lost.
pub const SUMMARY_LIMIT: usize = 1024 * 1024;

/// Kept for the lines that say how much is missing.
const RESERVE: usize = 256;

/// Summary first, then problems, rows and their details, each as far as
/// `limit` bytes allow, with a line that says how many more there are.
pub fn render(body: &Body, limit: usize) -> String {
    let mut page = Page {
        text: format!(
            "### {}\n\n{}\n",
            markdown(body.title),
            markdown(&body.summary)
        ),
        limit: limit.saturating_sub(RESERVE * 4),
    };
    for note in &body.notes {
        page.add(&format!("\n{}\n", markdown(note)));
    }
    page.list("problem", body.problems.iter().map(problem));
    page.table(body);
    for row in body.rows.iter().filter(|row| !row.details.is_empty()) {
        if !page.add(&details(row)) {
            page.force("\nMore URLs than fit here; `-o json` has them all.\n");
            break;
        }
    }
    page.text
}

/// Text that knows how much it may hold.
struct Page {
    text: String,
    limit: usize,
}

impl Page {
    fn add(&mut self, part: &str) -> bool {
        let fits = self.text.len() + part.len() <= self.limit;
        if fits {
            self.text.push_str(part);
        }
        fits
    }

    /// Goes into the reserve.
    fn force(&mut self, part: &str) {
        self.text.push_str(part);
    }

    fn list(&mut self, noun: &str, items: impl ExactSizeIterator<Item = String>) {
        let count = items.len();
        for (position, item) in items.enumerate() {
            let start = if position == 0 { "\n" } else { "" };
            if !self.add(&format!("{start}{item}")) {
                let more = (count - position) as u64;
                self.force(&format!("\n{} more.\n", counted(more, noun)));
                return;
            }
        }
    }

    fn table(&mut self, body: &Body) {
        if body.rows.is_empty() {
            return;
        }
        let rule = "|---".repeat(body.columns.len() + 1);
        self.add(&format!("\n| | {} |\n{rule}|\n", body.columns.join(" | ")));
        for (position, row) in body.rows.iter().enumerate() {
            let cells: Vec<String> = row.cells.iter().map(|cell| markdown(cell)).collect();
            let line = format!("| `{}` | {} |\n", row.sign.symbol(), cells.join(" | "));
            if !self.add(&line) {
                let more = (body.rows.len() - position) as u64;
                self.force(&format!("\n{} more.\n", counted(more, "row")));
                return;
            }
        }
    }
}

fn problem(problem: &Problem) -> String {
    let place = problem.place.as_ref().map_or(String::new(), |place| {
        let position = match place.line {
            0 => place.file.to_string(),
            line => format!("{}:{line}:{}", place.file, place.column),
        };
        format!("{} ", code_span(&position))
    });
    let level = if problem.is_error() {
        "error"
    } else {
        "warning"
    };
    let hint = problem.hint.as_ref();
    let hint = hint.map_or(String::new(), |hint| format!(" ({})", markdown(hint)));
    format!(
        "- **{level}** {place}{}{hint}\n",
        markdown(&problem.message)
    )
}

fn details(row: &Row) -> String {
    let name = row.cells.first().map_or("", String::as_str);
    let lines: Vec<_> = row.details.iter().map(|line| terminal(line)).collect();
    let fence = fence(lines.iter().map(AsRef::as_ref));
    let more = match row.more {
        0 => String::new(),
        more => format!("and {} more\n", grouped(more)),
    };
    format!(
        "\n<details><summary>{}</summary>\n\n{fence}\n{}\n{more}{fence}\n\n</details>\n",
        markdown(name),
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Sign;

    fn body(rows: usize, details: usize) -> Body {
        Body {
            title: "Plan",
            columns: vec!["set", "what"],
            rows: (0..rows)
                .map(|n| Row {
                    sign: Sign::Changed,
                    cells: vec![format!("set-{n}"), "+1 URL".to_owned()],
                    details: vec!["https://a.example/``` </details>".to_owned(); details],
                    ..Row::default()
                })
                .collect(),
            summary: "All of it.".to_owned(),
            ..Body::default()
        }
    }

    #[test]
    fn a_report_is_a_table_with_folded_details() {
        insta::assert_snapshot!(render(&body(1, 1), COMMENT_LIMIT), @r"
        ### Plan

        All of it.

        | | set | what |
        |---|---|---|
        | `~` | set-0 | +1 URL |

        <details><summary>set-0</summary>

        ````
        https://a.example/``` </details>
        ````

        </details>
        ");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let page = render(&body(10_000, 0), COMMENT_LIMIT);
        assert!(page.len() <= COMMENT_LIMIT, "{}", page.len());
        assert!(
            page.trim_end().ends_with("rows more."),
            "{}",
            &page[page.len() - 99..]
        );
    }

    #[test]
    fn details_that_do_not_fit_are_mentioned() {
        let page = render(&body(2, 3_000), COMMENT_LIMIT);
        assert!(page.len() <= COMMENT_LIMIT, "{}", page.len());
        assert!(page.contains("More URLs than fit here"));
    }
}
