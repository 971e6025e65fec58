//! What most commands start from: the manifests, the state, the time.
#![expect(
    clippy::disallowed_methods,
    reason = "the holder of a state is named by host and command"
)]

use std::path::PathBuf;
use std::sync::Arc;

use super::args::Global;
use super::exit::{Exit, Failure};
use super::looking;
use crate::declare::{Declared, Options, declare};
use crate::inspect::Moment;
use crate::inspect::wanted::{self, Refused};
use crate::load::{self, Footprint, Index, LoadError, Tree, Visited};
use crate::lookup::{Known, Missing};
use crate::manifest::Problem;
use crate::state::{self, Holder, Reader, StateError, Store};
use crate::submit::clock::{Clock as _, SystemClock};

/// Milliseconds since the epoch.
pub(super) fn now_ms() -> i64 {
    SystemClock.now_ms()
}

/// Refuses folders of which one holds the other: all in it would be declared twice.
pub(super) fn check_roots(global: &Global) -> Result<(), Failure> {
    let roots: Vec<(&PathBuf, PathBuf)> = global
        .manifests
        .iter()
        .filter_map(|root| Some((root, std::fs::canonicalize(root).ok()?)))
        .collect();
    for (at, (inner, path)) in roots.iter().enumerate() {
        let mut others = roots.iter().enumerate().filter(|(other, _)| *other != at);
        if let Some((_, (outer, _))) = others.find(|(_, (_, other))| path.starts_with(other)) {
            let (inner, outer) = (inner.display(), outer.display());
            let message = format!("`--manifests {inner}` is or lies inside `--manifests {outer}`");
            return Err(Failure::usage(message).hint("give each folder once; sub-folders are read"));
        }
    }
    Ok(())
}

/// Everything that the manifests declare, read consistently; accounts are not
/// asked, and how old their answers are is told.
pub(super) fn declared(global: &Global) -> Result<Declared, Failure> {
    let known = known(global, Missing::Fails);
    let declared = declared_with(global, &Arc::new(index(global)), &known)?;
    looking::tell(&declared, &known);
    Ok(declared)
}

/// The same, where `index` knows some of the files that sets take revisions
/// from, and `known` what accounts have listed.
pub(super) fn declared_with(
    global: &Global,
    index: &Arc<Index>,
    known: &Arc<Known>,
) -> Result<Declared, Failure> {
    declared_and(global, index, known, |_| ()).map(|(declared, ())| declared)
}

/// The same, with what it was told by.
pub(super) fn looked_at(
    global: &Global,
    index: &Arc<Index>,
    known: &Arc<Known>,
) -> Result<(Declared, Option<Footprint>), Failure> {
    let looks = |tree: &Tree| tree.looks().and_then(|looks| looks.footprint());
    declared_and(global, index, known, looks)
}

/// Everything that the manifests declare, and what `also` makes of the tree
/// once that is read.
fn declared_and<T>(
    global: &Global,
    index: &Arc<Index>,
    known: &Arc<Known>,
    also: impl Fn(&Tree) -> T,
) -> Result<(Declared, T), Failure> {
    let options = declaring(global, known);
    index.begin(now_ms());
    let read = load::scan_with(index, &global.manifests, |tree| {
        let declared = declare(tree, &options);
        (declared, also(tree))
    });
    read.map_err(unstable)
}

/// Everything that the manifests declare, and where it was read.
pub(super) fn visited(global: &Global) -> Result<(Declared, Visited), Failure> {
    let known = known(global, Missing::Fails);
    let visited = |tree: &Tree| tree.visited(&tree.contents());
    declared_and(global, &Arc::new(index(global)), &known, visited)
}

/// What accounts have listed, as the state has it. Where that cannot be read,
/// nothing is known: what is wrong with it is told by whoever needs more of it.
pub(super) fn known(global: &Global, missing: Missing) -> Arc<Known> {
    let path = global.state.clone();
    Arc::new(Known::new(missing, move || {
        let reader = Reader::open(&path).ok().flatten();
        let look_ups = reader.and_then(|reader| reader.look_ups().ok());
        look_ups.unwrap_or_default()
    }))
}

/// What the state knows of files. Where it cannot be read, all files are: what
/// is wrong with it is told by whoever needs more of it.
pub(super) fn index(global: &Global) -> Index {
    let path = global.state.clone();
    Index::new(move || {
        let reader = Reader::open(&path).ok().flatten();
        let files = reader.and_then(|reader| reader.files().ok());
        files.unwrap_or_default()
    })
}

/// Everything that the manifests declared at a commit.
pub(super) fn declared_at(global: &Global, reference: &str) -> Result<Declared, Failure> {
    let options = declaring(global, &Arc::default());
    let declared = load::at_commit(&global.manifests, reference, |tree| declare(tree, &options));
    declared.map_err(|error| match error.hint() {
        Some(hint) => failed_to_load(error).hint(hint),
        None => failed_to_load(error),
    })
}

/// What is read, and how far it may expand.
pub(super) fn declaring(global: &Global, known: &Arc<Known>) -> Options {
    Options {
        manifests: global.manifests.clone(),
        max_expansion: global.max_expansion,
        known: Arc::clone(known),
    }
}

fn unstable(error: LoadError) -> Failure {
    let hint = "nothing was done; wait for whatever writes them, and run again";
    failed_to_load(error).hint(hint)
}

fn failed_to_load(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::nothing(anyhow::Error::new(error).context("failed to read the manifests"))
}

/// The state, opened for reading; `None` where there is none yet.
pub(super) fn reader(global: &Global) -> Result<Option<Reader>, Failure> {
    Reader::open(&global.state).map_err(failed_on_state)
}

/// The state, opened for reading, where a command is pointless without one.
pub(super) fn recorded(global: &Global) -> Result<Reader, Failure> {
    reader(global)?.ok_or_else(|| {
        let path: PathBuf = global.state.clone();
        failed_on_state(StateError::Absent { path })
    })
}

/// Refuses a state where none must be.
pub(super) fn check_location(global: &Global) -> Result<(), Failure> {
    state::check_location(&global.state, &global.manifests).map_err(failed_on_state)
}

/// Now, and whoever holds the state.
pub(super) fn moment(global: &Global) -> Moment {
    Moment {
        now_ms: now_ms(),
        holder: state::holder(&global.state),
    }
}

/// The state, held until dropped.
pub(super) fn store(global: &Global, command: &str) -> Result<Store, Failure> {
    check_location(global)?;
    Store::open(&global.state, &holder(command), now_ms()).map_err(failed_on_state)
}

/// Who this process is, for others that wait for the state.
pub(super) fn holder(command: &str) -> Holder {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Holder {
        pid: std::process::id(),
        host: match host.trim() {
            "" => "this host".to_owned(),
            host => host.to_owned(),
        },
        command: format!("freshen {command}"),
        since_ms: now_ms(),
    }
}

/// A failure of the state, with its cure and its exit code.
pub(super) fn failed_on_state(error: StateError) -> Failure {
    let exit = match error {
        StateError::Held { .. } => Exit::Held,
        _ => Exit::Nothing,
    };
    let hint = error.hint();
    Failure {
        exit,
        error: error.into(),
        hint,
    }
}

/// A refusal of what was asked for, with its cure and its exit code.
pub(super) fn refused(error: Refused) -> Failure {
    let hint = error.hint();
    let failure = match error {
        Refused::State(error) => return failed_on_state(error),
        Refused::Unclear { message, .. } => Failure::usage(message),
        Refused::Pointless { message, .. } => Failure::nothing(anyhow::Error::msg(message)),
    };
    Failure { hint, ..failure }
}

/// The set of that name, among those declared.
pub(super) fn check_set(declared: &Declared, name: Option<&str>) -> Result<(), Failure> {
    wanted::set(declared, name).map_err(refused)
}

/// Whether any of `problems` is an error.
pub(super) fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(Problem::is_error)
}
