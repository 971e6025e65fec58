//! Why nothing yields a URL that somebody expects to be declared.

use crate::declare::Declared;
use crate::digest::{ItemKind, Key};
use crate::report::explain::{Obstacle, ObstacleKind, quoted};
use crate::report::place;
use crate::state::{Records, StateError};

/// The sets that would yield `subject` but exclude it, and those that nobody
/// can say anything about.
pub(super) fn obstacles(
    declared: &Declared,
    failed: &[&str],
    records: Option<&Records>,
    subject: &str,
    now_ms: i64,
) -> Result<Vec<Obstacle>, StateError> {
    let mut obstacles = excluded(declared, subject);
    let broken = declared.broken.iter().map(String::as_str);
    for set in broken.chain(failed.iter().copied()) {
        let detail = if is_recorded(declared, records, (set, subject), now_ms)? {
            format!("set `{set}` held it and has errors: it keeps its last good state")
        } else {
            format!("set `{set}` has errors, so whether it yields this is not known")
        };
        obstacles.push(Obstacle {
            kind: ObstacleKind::Broken,
            detail,
            next: "freshen validate".to_owned(),
        });
    }
    if declared.hides_sets() {
        obstacles.push(Obstacle {
            kind: ObstacleKind::Broken,
            detail: "a manifest cannot be read, so whether it yields this is not known".to_owned(),
            next: "freshen validate".to_owned(),
        });
    }
    Ok(obstacles)
}

fn excluded(declared: &Declared, subject: &str) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    for set in declared.sets.values() {
        let Some(expansion) = set.expand_in_full().and_then(|full| full.expansion) else {
            continue;
        };
        let mut field = None;
        expansion.for_each(|url, _| {
            if url == subject {
                field = Some(set.excluded_by(url));
            }
        });
        let mut next = format!("freshen invalidate --url {}", quoted(subject));
        expansion.for_each_of(subject, |url, _| {
            field = Some(set.excluded_by(url));
            next = format!("freshen invalidate --url {}", quoted(url));
        });
        if let Some(field) = field {
            let place = place(&set.place_of(field));
            obstacles.push(Obstacle {
                kind: ObstacleKind::Excluded,
                detail: format!(
                    "set `{}` would yield it, but leaves it out: `{field}` at {place}",
                    set.name
                ),
                next,
            });
        }
    }
    obstacles
}

/// Whether what is recorded of a set holds the URL at any target.
fn is_recorded(
    declared: &Declared,
    records: Option<&Records>,
    (set, subject): (&str, &str),
    now_ms: i64,
) -> Result<bool, StateError> {
    let Some(records) = records else {
        return Ok(false);
    };
    let sets = records.sets()?;
    let ledgers = sets.iter().filter(|other| other.name == set);
    for (target, ledger) in ledgers.flat_map(|set| &set.ledgers) {
        let mut cdns = declared.cdns.values();
        let cdn = cdns.find(|cdn| cdn.provider.target() == target);
        let item = cdn.map_or(subject.as_bytes(), |cdn| cdn.wire.item(subject.as_bytes()));
        let key = Key::of(ItemKind::Url, item);
        let contents = records.contents(ledger.id, now_ms)?;
        let at = contents
            .entries
            .binary_search_by_key(&key, |entry| entry.key());
        if at.is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}
