//! What is suspended, by the names that things have now.

use crate::declare::{Declared, DeclaredSet};
use crate::plan::Hold;
use crate::state::{Records, Scope, StateError, Suspension};

/// What is suspended under the names that are declared: a set that was renamed
/// stays suspended, and so does a Cdn whose target goes by another name.
pub fn suspensions(declared: &Declared, records: &Records) -> Result<Vec<Suspension>, StateError> {
    let recorded = records.suspensions()?;
    let mut suspensions = recorded.clone();
    let mut add = |scope: Scope, at_ms: i64| {
        if !suspensions.iter().any(|known| known.scope == scope) {
            suspensions.push(Suspension { scope, at_ms });
        }
    };
    for set in declared.sets.values() {
        for name in former_names(set, declared) {
            let known =
                |known: &&Suspension| matches!(&known.scope, Scope::Set(set) if set == name);
            if let Some(known) = recorded.iter().find(known) {
                add(Scope::Set(set.name.clone()), known.at_ms);
            }
        }
    }
    let targets = records.suspended_targets()?;
    for cdn in declared.cdns.values() {
        if let Some(at_ms) = targets.get(cdn.provider.target()) {
            add(Scope::Cdn(cdn.name.clone()), *at_ms);
        }
    }
    Ok(suspensions)
}

/// Why nothing of a set goes to a Cdn for now, both by name.
pub fn hold(
    declared: &Declared,
    suspensions: &[Suspension],
    (set, cdn): (&str, &str),
    now_ms: i64,
) -> Option<Hold> {
    let mut scopes = suspensions.iter().map(|suspension| &suspension.scope);
    let is_suspended = scopes.any(|scope| match scope {
        Scope::All => true,
        Scope::Set(name) => name == set,
        Scope::Cdn(name) => name == cdn,
    });
    // No manifest declares the built-in set.
    let set = declared.sets.get(set);
    let is_by_manifest =
        set.is_some_and(|set| set.suspend) || declared.cdns.get(cdn).is_some_and(|cdn| cdn.suspend);
    if is_suspended || is_by_manifest {
        return Some(Hold::Suspended);
    }
    let not_before = set.and_then(|set| set.not_before_ms);
    not_before
        .filter(|at_ms| *at_ms > now_ms)
        .map(Hold::NotBefore)
}

/// What `set` was called before, as far as nothing else is called that now.
pub(super) fn former_names<'a>(
    set: &'a DeclaredSet,
    declared: &'a Declared,
) -> impl Iterator<Item = &'a String> {
    let names = set.formerly.iter();
    names.filter(|name| !declared.sets.contains_key(*name) && !declared.broken.contains(name))
}
