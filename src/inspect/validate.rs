//! Every problem of every file.

use super::shared;
use crate::declare::Declared;
use crate::report::Report;
use crate::report::validate::{Read, Validation, report};

/// Expands everything that is declared.
pub fn validate(declared: &Declared) -> Report<Validation> {
    let mut problems = declared.problems.clone();
    let mut read = Read {
        cdns: declared.cdns.len() as u64,
        sets: declared.sets.len() as u64,
        urls: 0,
        partial: 0,
    };
    let mut expanded = Vec::new();
    for set in declared.sets.values() {
        let compiled = set.expand();
        problems.extend(compiled.problems);
        read.partial += u64::from(compiled.partial);
        if let Some(expansion) = compiled.expansion {
            read.urls += expansion.count();
            expanded.push((set, expansion));
        }
    }
    problems.extend(shared::urls(declared, &expanded));
    report(read, problems)
}
