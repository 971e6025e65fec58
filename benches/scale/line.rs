//! A line of the table: freshen's figure, the floor's, and what must hold.

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Mib,
    Megabytes,
    /// Of one core.
    Percent,
}

impl Unit {
    /// As it stands behind a number.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Mib => "MiB",
            Self::Megabytes => "MB",
            Self::Percent => "%",
        }
    }
}

/// The most that a figure may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    /// In the line's own unit.
    AtMost(f64),
    /// Of the floor's figure.
    Times(f64),
}

/// What the work takes without freshen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Floor {
    /// What was measured.
    pub(crate) what: &'static str,
    /// In the line's unit.
    pub(crate) figure: f64,
}

/// A line of the table; smaller figures are better.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    /// What was measured.
    pub(crate) what: String,
    pub(crate) unit: Unit,
    /// Freshen's figure.
    pub(crate) figure: f64,
    pub(crate) floor: Option<Floor>,
    pub(crate) limit: Option<Limit>,
    /// Peak memory of freshen's process.
    pub(crate) peak_mib: Option<f64>,
}

impl Line {
    /// A line that is only reported, until it is given a limit.
    pub(crate) fn new(what: impl Into<String>, unit: Unit, figure: f64) -> Self {
        Self {
            what: what.into(),
            unit,
            figure,
            floor: None,
            limit: None,
            peak_mib: None,
        }
    }

    pub(crate) fn beside(self, what: &'static str, figure: f64) -> Self {
        let floor = Some(Floor { what, figure });
        Self { floor, ..self }
    }

    pub(crate) fn limited(self, limit: Limit) -> Self {
        let limit = Some(limit);
        Self { limit, ..self }
    }

    pub(crate) fn peak(self, mib: f64) -> Self {
        let peak_mib = Some(mib);
        Self { peak_mib, ..self }
    }

    /// Freshen's figure in floors.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let floor = self.floor.as_ref()?;
        Some(self.figure / floor.figure)
    }

    /// Whether it is within its limit.
    pub(crate) fn holds(&self) -> Option<bool> {
        match self.limit? {
            Limit::AtMost(most) => Some(self.figure <= most),
            Limit::Times(most) => Some(self.ratio()? <= most),
        }
    }
}
