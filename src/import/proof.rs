//! Proving: what was written says what it was made from.

use crate::declare::Declared;
use crate::expand::{Expansion, for_each_sorted};
use crate::manifest::Problem;

/// Bytes of expanded URLs in memory at once, about.
const AT_ONCE: usize = 128 << 20;

/// Why manifests are not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// They are not even valid.
    #[error("what would be written is not valid")]
    Invalid(Vec<Problem>),
    /// They leave something out.
    #[error("`{0}` is missing from what would be written")]
    Missing(String),
    /// They add something.
    #[error("what would be written yields `{0}` too")]
    Added(String),
}

/// Proves that all sets can be expanded, and that they yield `urls`, which are
/// sorted and each once, and nothing else; where there are none, whatever the
/// sets yield will do.
pub fn prove(declared: &Declared, urls: Option<&[Box<str>]>) -> Result<(), Unproven> {
    let expansions = expanded(declared)?;
    let Some(urls) = urls else { return Ok(()) };
    let mut expected = urls.iter();
    for_each_sorted(&expansions, AT_ONCE, |url| match expected.next() {
        Some(next) if **next == *url => Ok(()),
        Some(next) if **next < *url => Err(Unproven::Missing(next.to_string())),
        _ => Err(Unproven::Added(url.to_owned())),
    })?;
    match expected.next() {
        Some(next) => Err(Unproven::Missing(next.to_string())),
        None => Ok(()),
    }
}

fn expanded(declared: &Declared) -> Result<Vec<Expansion>, Unproven> {
    let mut problems = declared.problems.clone();
    let mut expansions = Vec::new();
    for set in declared.sets.values() {
        let compiled = set.expand();
        problems.extend(compiled.problems);
        expansions.extend(compiled.expansion);
    }
    problems.retain(Problem::is_error);
    if problems.is_empty() {
        Ok(expansions)
    } else {
        Err(Unproven::Invalid(problems))
    }
}
