//! Every row of the table of performance, freshen beside a floor, in one run:
//! `cargo bench --bench scale`.
//!
//! `-- cold unchanged` measures rows by name, `--quick` tries the program out
//! at small sizes, `--json` writes for programs, and `--plots docs/performance`
//! writes what is committed there.
#![expect(
    clippy::disallowed_methods,
    reason = "a bench starts processes, writes their inputs and reads the clock"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is what this program is for"
)]

mod child;
mod cold;
mod corpus;
mod daemon;
mod endpoint;
mod line;
mod machine;
mod page;
mod plot;
mod process;
mod rows;
mod sizes;
mod startup;
mod submit;
mod svg;
mod table;
mod unchanged;

use std::path::PathBuf;

use clap::Parser;

use machine::Machine;
use rows::Row;
use sizes::Sizes;

/// Measures freshen beside a floor, row by row.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these rows
    #[arg(value_enum)]
    rows: Vec<Row>,
    /// Sizes that try the program out and measure nothing of worth
    #[arg(long)]
    quick: bool,
    /// Write JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Write the page with all rows and its plots into this folder as well
    #[arg(long, value_name = "DIR", conflicts_with = "rows")]
    plots: Option<PathBuf>,
    /// What cargo tells every bench
    #[arg(long, hide = true)]
    bench: bool,
    /// This process is a part of a row
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true)]
    child: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let [name, rest @ ..] = &arguments.child[..] {
        return child::run(name, rest);
    }
    let sizes = if arguments.quick {
        Sizes::QUICK
    } else {
        Sizes::FULL
    };
    let machine = Machine::read(arguments.quick);
    let mut lines = Vec::new();
    for row in Row::chosen(&arguments.rows) {
        eprintln!("measuring: {}", row.name());
        lines.extend(row.measure(&sizes)?);
    }
    if let Some(folder) = &arguments.plots {
        page::write(folder, &machine, &lines, &plot::measure(&sizes)?)?;
    }
    if arguments.json {
        println!("{}", table::json(&machine, &lines)?);
    } else {
        print!("{}", table::text(&machine, &lines));
    }
    Ok(())
}
