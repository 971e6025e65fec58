//! Where results go: standard output, and the files GitHub names.
#![expect(
    clippy::disallowed_methods,
    reason = "GitHub names its files in the environment"
)]
#![expect(
    clippy::print_stderr,
    reason = "errors, logs and progress go to standard error"
)]

use std::io::{self, BufWriter, IsTerminal as _, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::args::OutputFormat;
use super::exit::{Exit, Failure};
use crate::report::{Body, Format, Report, escape, github, markdown};

/// Writes results in the format that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    format: OutputFormat,
}

impl Output {
    /// Results in `format`.
    pub(super) fn new(format: OutputFormat) -> Self {
        Self { format }
    }

    /// How results are written.
    pub(super) fn format(self) -> Format {
        self.format.into()
    }

    /// Writes the whole report; `has_changes` is for those who read no codes.
    pub(super) fn report<W>(
        self,
        report: &Report<W>,
        has_changes: Option<bool>,
    ) -> Result<(), Failure>
    where
        W: Serialize + JsonSchema,
    {
        if self.format == OutputFormat::Sarif {
            return Err(Failure::usage("only `validate` writes SARIF"));
        }
        self.any_report(report, has_changes)
    }

    /// The same, SARIF included.
    pub(super) fn any_report<W>(
        self,
        report: &Report<W>,
        has_changes: Option<bool>,
    ) -> Result<(), Failure>
    where
        W: Serialize + JsonSchema,
    {
        text(&report.render(self.format(), is_coloured()))?;
        self.summarize(&report.body, has_changes);
        Ok(())
    }

    /// Writes what people read, where there is nothing for programs: whether
    /// that can be had in the format that was asked for.
    pub(super) fn body(self, body: &Body, has_changes: bool) -> Result<bool, Failure> {
        let rendered = match self.format {
            OutputFormat::Sarif => None,
            _ => body.render(self.format(), is_coloured()),
        };
        let Some(rendered) = rendered else {
            return Ok(false);
        };
        text(&rendered)?;
        self.summarize(body, Some(has_changes));
        Ok(true)
    }

    fn summarize(self, body: &Body, has_changes: Option<bool>) {
        if self.format != OutputFormat::Github {
            return;
        }
        let summary = markdown::render(body, markdown::SUMMARY_LIMIT);
        append("GITHUB_STEP_SUMMARY", &summary);
        if let Some(has_changes) = has_changes {
            append("GITHUB_OUTPUT", &github::output(has_changes));
        }
    }
}

/// Writes text as it is.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    stream(|stdout| stdout.write_all(text.as_bytes()))
}

/// Writes what comes bit by bit. A reader that has seen enough is no error.
pub(super) fn stream(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    match write(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| {
            Failure::nothing(anyhow::Error::new(error).context("failed to write the result"))
        }),
    }
}

/// Colour only on a terminal, and not where `NO_COLOR` says so.
fn is_coloured() -> bool {
    let choice = anstream::AutoStream::choice(&io::stdout());
    choice != anstream::ColorChoice::Never && io::stdout().is_terminal()
}

/// Appends to the file that an environment variable names, where it does. The
/// result has been told by then, and does not change with it.
fn append(variable: &str, text: &str) {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else {
        return;
    };
    let written = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        let path = path.display();
        warning(&format!(
            "failed to write to ${variable}, `{path}`: {error}"
        ));
    }
}

/// Tells on standard error how the command failed.
pub(super) fn failure(failure: &Failure) -> Exit {
    let chain: Vec<String> = failure.error.chain().map(ToString::to_string).collect();
    eprintln!("error: {}", escape::terminal(&chain.join(": ")));
    if let Some(hint) = &failure.hint {
        eprintln!("  hint: {}", escape::terminal(hint));
    }
    failure.exit
}

/// A line of progress or advice.
pub(super) fn note(text: &str) {
    eprintln!("{}", escape::terminal(text));
}

/// Something that went wrong beside a result that stands.
pub(super) fn warning(text: &str) {
    note(&format!("warning: {text}"));
}

/// Problems beside a result that programs read.
pub(super) fn problems(rendered: &str) {
    eprint!("{rendered}");
}
