//! Every problem of every file.

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
    for set in declared.sets.values() {
        let compiled = set.expand();
        problems.extend(compiled.problems);
        read.partial += u64::from(compiled.partial);
        read.urls += compiled.expansion.map_or(0, |expansion| expansion.count());
    }
    report(read, problems)
}
