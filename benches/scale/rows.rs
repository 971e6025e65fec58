//! The rows, by name.

use clap::ValueEnum;

use crate::line::Line;
use crate::sizes::Sizes;
use crate::{cold, daemon, startup, submit, unchanged};

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// A cold plan of one large set, beside a bare loop
    Cold,
    /// A cold plan of many sets, beside the same loop
    Sets,
    /// A cold plan of many small manifests
    Small,
    /// Assets that stand in a manifest, parsed
    Inline,
    /// Nothing changed in one large set, beside `sha256sum`
    Unchanged,
    /// Nothing changed in many small manifests, beside `git status`
    Status,
    /// Batches sent, beside a client without a journal
    Submit,
    /// Latency and idle weight of the daemon
    Daemon,
    /// Start-up and size of the program
    Startup,
}

impl Row {
    /// Those that are named, or all.
    pub(crate) fn chosen(named: &[Self]) -> &[Self] {
        if named.is_empty() {
            Self::value_variants()
        } else {
            named
        }
    }

    /// As on the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Measures it, in one or several lines.
    pub(crate) fn measure(self, sizes: &Sizes) -> anyhow::Result<Vec<Line>> {
        match self {
            Self::Cold => cold::large(sizes),
            Self::Sets => cold::sets(sizes),
            Self::Small => cold::small(sizes),
            Self::Inline => cold::inline(sizes),
            Self::Unchanged => unchanged::large(sizes),
            Self::Status => unchanged::small(sizes),
            Self::Submit => submit::lines(sizes),
            Self::Daemon => daemon::lines(sizes),
            Self::Startup => startup::lines(sizes),
        }
    }
}
