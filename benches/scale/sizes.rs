//! How much of everything.

use std::time::Duration;

/// URLs of each id: entries of the template.
pub(crate) const ENTRIES: usize = 10;

/// How much of everything is measured, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Of which the best counts.
    pub(crate) runs: usize,
    /// Of which the median counts, where a run is short.
    pub(crate) short_runs: usize,
    /// In the file of the large set.
    pub(crate) ids: usize,
    /// Sets with a file each, and ids in each.
    pub(crate) sets: (usize, usize),
    /// Manifests of ten assets each.
    pub(crate) small: usize,
    /// Assets in one manifest.
    pub(crate) inline: usize,
    /// Ids that are sent.
    pub(crate) sent_ids: usize,
    /// Manifests that the daemon watches.
    pub(crate) watched: usize,
    /// Changes that the daemon is given.
    pub(crate) changes: usize,
    /// How long the daemon is left alone.
    pub(crate) idle: Duration,
    /// Ids in the file of the large set, for each point of a plot.
    pub(crate) plotted_ids: &'static [usize],
    /// Calls under way at once, for each point of a plot.
    pub(crate) plotted_calls: &'static [usize],
}

impl Sizes {
    /// Those of the table.
    pub(crate) const FULL: Self = Self {
        runs: 3,
        short_runs: 31,
        ids: 1_000_000,
        sets: (1_000, 1_000),
        small: 10_000,
        inline: 1_000_000,
        sent_ids: 100_000,
        watched: 1_000,
        changes: 500,
        idle: Duration::from_mins(1),
        plotted_ids: &[1_000, 10_000, 100_000, 1_000_000],
        plotted_calls: &[1, 2, 4, 8, 16, 32],
    };

    /// Those that try the program out.
    pub(crate) const QUICK: Self = Self {
        runs: 1,
        short_runs: 5,
        ids: 10_000,
        sets: (20, 100),
        small: 200,
        inline: 10_000,
        sent_ids: 2_000,
        watched: 20,
        changes: 10,
        idle: Duration::from_secs(2),
        plotted_ids: &[100, 1_000, 10_000],
        plotted_calls: &[1, 4, 16],
    };
}
