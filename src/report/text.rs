//! Reports for people, at a terminal or in a log.

use anstyle::{AnsiColor, Style};

use super::number::grouped;
use super::{Body, Row, Sign, escape, excerpt};

/// A line a row in aligned columns, then notes, problems and the summary.
pub fn render(body: &Body, is_coloured: bool) -> String {
    let widths = widths(&body.rows);
    let mut text = String::new();
    for row in &body.rows {
        text.push_str(&line(row, &widths, is_coloured));
        for detail in &row.details {
            text.push_str("    ");
            text.push_str(&escape::terminal(detail));
            text.push('\n');
        }
        if row.more > 0 {
            text.push_str(&["    and ", &grouped(row.more), " more\n"].concat());
        }
    }
    for note in &body.notes {
        text.push_str(&escape::terminal(note));
        text.push('\n');
    }
    if !body.problems.is_empty() {
        separate(&mut text);
        text.push_str(&excerpt::render(&body.problems, is_coloured));
    }
    if !body.summary.is_empty() {
        separate(&mut text);
        text.push_str(&painted(
            &escape::terminal(&body.summary),
            bold(),
            is_coloured,
        ));
        text.push('\n');
    }
    text
}

/// A blank line, where anything comes before it.
fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
}

fn line(row: &Row, widths: &[usize], is_coloured: bool) -> String {
    let mut line = String::new();
    for (cell, width) in row.cells.iter().zip(widths) {
        let cell = escape::terminal(cell);
        line.push_str("  ");
        line.push_str(&cell);
        line.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
    }
    let sign = painted(&row.sign.symbol().to_string(), style(row.sign), is_coloured);
    format!("{sign} {}\n", line.trim())
}

fn widths(rows: &[Row]) -> Vec<usize> {
    let columns = rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
    (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.cells.get(column))
                .map(|cell| escape::terminal(cell).chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect()
}

fn style(sign: Sign) -> Style {
    let colour = match sign {
        Sign::New => AnsiColor::Green,
        Sign::Changed => AnsiColor::Yellow,
        Sign::Same => return Style::new().dimmed(),
        Sign::Blocked => AnsiColor::Magenta,
        Sign::Failed => AnsiColor::Red,
        Sign::Unknown => AnsiColor::Cyan,
    };
    colour.on_default().bold()
}

fn bold() -> Style {
    Style::new().bold()
}

fn painted(text: &str, style: Style, is_coloured: bool) -> String {
    if is_coloured {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}
