//! The lines as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::line::{Limit, Line};
use crate::machine::Machine;

/// The machine and the table, as Markdown.
pub(crate) fn text(machine: &Machine, lines: &[Line]) -> String {
    format!("{machine}\n\n{}", markdown(lines))
}

/// The table alone.
pub(crate) fn markdown(lines: &[Line]) -> String {
    let mut text = String::from(
        "| what | freshen | floor | ratio | must be | holds | peak memory |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for line in lines {
        let amount = |figure: f64| format!("{} {}", rounded(figure), line.unit.symbol());
        let floor = line.floor.as_ref();
        let cells = [
            line.what.clone(),
            amount(line.figure),
            floor.map_or_else(String::new, |floor| {
                format!("{}, {}", amount(floor.figure), floor.what)
            }),
            line.ratio().map_or_else(String::new, rounded),
            match line.limit {
                None => "reported".to_owned(),
                Some(Limit::AtMost(most)) => format!("<= {}", amount(most)),
                Some(Limit::Times(most)) => format!("<= {} x", rounded(most)),
            },
            match line.holds() {
                None => String::new(),
                Some(true) => "yes".to_owned(),
                Some(false) => "**no**".to_owned(),
            },
            line.peak_mib
                .map_or_else(String::new, |mib| format!("{} MiB", rounded(mib))),
        ];
        writeln!(text, "| {} |", cells.join(" | ")).expect("a string takes everything");
    }
    text
}

/// The same for programs.
pub(crate) fn json(machine: &Machine, lines: &[Line]) -> serde_json::Result<String> {
    let lines: Vec<Value> = lines.iter().map(line_json).collect();
    serde_json::to_string_pretty(&json!({
        "format": "freshen.scale/v1",
        "machine": machine.json(),
        "lines": lines,
    }))
}

fn line_json(line: &Line) -> Value {
    let floor = line.floor.as_ref();
    json!({
        "what": line.what,
        "unit": line.unit.symbol(),
        "freshen": line.figure,
        "floor": floor.map(|floor| json!({ "what": floor.what, "figure": floor.figure })),
        "ratio": line.ratio(),
        "limit": line.limit.map(|limit| match limit {
            Limit::AtMost(most) => json!({ "atMost": most }),
            Limit::Times(most) => json!({ "timesFloor": most }),
        }),
        "holds": line.holds(),
        "peakMiB": line.peak_mib,
    })
}

/// Three digits that count, or all before the point.
pub(crate) fn rounded(figure: f64) -> String {
    match figure.abs() {
        size if size >= 99.95 => format!("{figure:.0}"),
        size if size >= 9.995 => format!("{figure:.1}"),
        size if size >= 0.1 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}
