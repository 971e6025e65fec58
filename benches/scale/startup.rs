//! Start-up and size of the program.

use std::fs;

use crate::corpus::Corpus;
use crate::line::{Limit, Line, Unit};
use crate::process::median_ms;
use crate::sizes::Sizes;

/// `validate` is measured on so many manifests.
const MANIFESTS: usize = 10;

pub(crate) fn lines(sizes: &Sizes) -> anyhow::Result<Vec<Line>> {
    // The Cdn is one of them.
    let corpus = Corpus::small(MANIFESTS - 1)?;
    let median = |arguments: &[&str]| {
        let command = &mut corpus.freshen(arguments);
        median_ms(sizes.short_runs, command, 0)
    };
    let version = Line::new(
        "freshen --version",
        Unit::Milliseconds,
        median(&["--version"])?,
    );
    let what = format!("freshen validate, {MANIFESTS} manifests");
    let validate = Line::new(what, Unit::Milliseconds, median(&["validate"])?);
    let bytes = fs::metadata(env!("CARGO_BIN_EXE_freshen"))?.len();
    let size = Line::new("the program", Unit::Megabytes, bytes as f64 / 1e6);
    Ok(vec![
        version.limited(Limit::AtMost(5.0)),
        validate.limited(Limit::AtMost(20.0)),
        size.limited(Limit::AtMost(20.0)),
    ])
}
