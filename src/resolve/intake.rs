//! Takes assets in, from whatever source, under one set of rules.

use std::collections::BTreeSet;

use crate::manifest::{Place, Problem, Severity};

use super::id::{IdFault, escape, refuse_file_ending};
use super::kinds::{Service, nearest, service_of};
use super::table::{Asset, AssetTable, Group, GroupId};
use super::{NamedFile, Resolved, glob};

/// Rows of one file that are named one by one; the others are counted.
const NAMED_ROWS: u64 = 20;

/// A table being filled.
pub(super) struct Intake<'a> {
    table: AssetTable,
    excluding: &'a [String],
    /// Which of them have matched nothing so far.
    unused: Vec<usize>,
    strict: bool,
    problems: Vec<Problem>,
    unknown_kinds: BTreeSet<String>,
    skipped: u64,
    skipped_in_file: u64,
    excluded: u64,
}

impl<'a> Intake<'a> {
    pub(super) fn new(excluding: &'a [String], strict: bool) -> Self {
        Self {
            table: AssetTable::default(),
            excluding,
            unused: (0..excluding.len()).collect(),
            strict,
            problems: Vec::new(),
            unknown_kinds: BTreeSet::new(),
            skipped: 0,
            skipped_in_file: 0,
            excluded: 0,
        }
    }

    pub(super) fn add_group(&mut self, group: Group) -> GroupId {
        self.table.add_group(group)
    }

    /// Whether `excludeAssets` names this asset; counts it then.
    pub(super) fn is_excluded(&mut self, id: &str) -> bool {
        let excluding = self.excluding;
        let is_match = |at: usize| glob::is_match(excluding[at].as_bytes(), id.as_bytes());
        let before = self.unused.len();
        self.unused.retain(|at| !is_match(*at));
        let is_excluded = self.unused.len() < before || glob::matches_any(excluding, id);
        self.excluded += u64::from(is_excluded);
        is_excluded
    }

    /// Adds an asset, unless its id cannot stand in a URL.
    pub(super) fn push(
        &mut self,
        group: GroupId,
        line: u32,
        id: &str,
        revision: Option<&str>,
    ) -> Result<(), IdFault> {
        let escaped = escape(id)?;
        if self.table.groups()[group.index()].kind.is_none() {
            refuse_file_ending(id)?;
        }
        self.table.push(Asset {
            id: &escaped,
            declared: id,
            revision,
            group,
            line,
        });
        Ok(())
    }

    /// Whether assets of type `kind` can be invalidated; reports it if not,
    /// and warns, once, of a type that we do not know.
    pub(super) fn judge_kind(&mut self, kind: &str, place: impl FnOnce() -> Place) -> bool {
        match service_of(kind) {
            Service::Image | Service::Elsewhere => true,
            Service::Unsupported => {
                let message = unsupported(kind);
                let problem = Problem::error("asset-type", Some(place()), message);
                self.report(problem.hint(NO_SUCH_SERVICE));
                false
            }
            Service::Unknown => {
                self.warn_of_kind(kind, place);
                true
            }
        }
    }

    pub(super) fn warn_of_kind(&mut self, kind: &str, place: impl FnOnce() -> Place) {
        if self.unknown_kinds.insert(kind.to_owned()) {
            self.report(unknown_kind(kind, place()));
        }
    }

    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Leaves out a row of a file; under `strict` that fails the set.
    pub(super) fn skip(&mut self, file: &NamedFile, line: u32, why: &str, hint: Option<&str>) {
        self.skipped += 1;
        self.skipped_in_file += 1;
        if self.skipped_in_file > NAMED_ROWS {
            return;
        }
        let mut place = Place::file(file.name.clone());
        place.line = line;
        place.column = 1;
        let mut problem = Problem::error("bad-row", Some(place), why);
        problem.severity = self.severity();
        problem.hint = hint.map(str::to_owned);
        self.report(problem);
    }

    /// Ends a file: counts the bad rows that were not named.
    pub(super) fn finish_file(&mut self, file: &NamedFile) {
        let unnamed = self.skipped_in_file.saturating_sub(NAMED_ROWS);
        if unnamed > 0 {
            let place = Some(Place::file(file.name.clone()));
            let mut problem = Problem::error("bad-row", place, format!("{unnamed} more bad rows"));
            problem.severity = self.severity();
            self.report(problem);
        }
        self.skipped_in_file = 0;
    }

    pub(super) fn finish(mut self) -> Resolved {
        self.table.shrink();
        Resolved {
            table: self.table,
            problems: self.problems,
            skipped: self.skipped,
            excluded: self.excluded,
            unused: self.unused,
        }
    }

    fn severity(&self) -> Severity {
        if self.strict {
            Severity::Error
        } else {
            Severity::Warning
        }
    }
}

/// What to do about assets that cannot be invalidated.
pub(crate) const NO_SUCH_SERVICE: &str =
    "take it out; Dynamic Media offers no invalidation for this type";

/// That assets of type `kind` cannot be invalidated.
pub(crate) fn unsupported(kind: &str) -> String {
    format!("assets of type {kind} cannot be invalidated in the CDN")
}

/// A warning that `kind` is no type we know.
pub(crate) fn unknown_kind(kind: &str, place: Place) -> Problem {
    let problem = Problem::warning(
        "asset-type",
        Some(place),
        format!("unknown asset type {kind:?}, taken to be served like Image"),
    );
    match nearest(kind) {
        Some(known) => problem.hint(format!("did you mean {known}?")),
        None => problem,
    }
}
