//! Assets as the account of a CDN lists them.

use std::collections::{BTreeMap, HashMap};

use crate::lookup::table;
use crate::manifest::{Place, Problem, SearchSpec};

use super::intake::Intake;
use super::kinds::{Service, service_of};
use super::table::{Group, GroupId};
use super::{NamedFile, glob};

/// Takes every asset of `listed` whose id the search is for. What cannot be
/// invalidated is in most folders, so it is left out and counted.
pub(super) fn take(
    intake: &mut Intake<'_>,
    search: &SearchSpec,
    listed: &NamedFile,
    place_of: &dyn Fn(&str) -> Place,
) {
    let mut groups: HashMap<String, GroupId> = HashMap::new();
    let mut unsupported: BTreeMap<String, u64> = BTreeMap::new();
    for row in table::rows(&listed.bytes) {
        let [id, kind, rest @ ..] = &row[..] else {
            continue;
        };
        let is_meant = |name: &String| glob::is_match(name.as_bytes(), id.as_bytes());
        if !search.name.as_ref().is_none_or(is_meant) || intake.is_excluded(id) {
            continue;
        }
        if service_of(kind) == Service::Unsupported {
            *unsupported.entry(kind.clone()).or_default() += 1;
            continue;
        }
        let group = *groups.entry(kind.clone()).or_insert_with(|| {
            // The type has just been judged: this only warns of an unknown one.
            intake.judge_kind(kind, || place_of("dynamicMedia"));
            intake.add_group(Group {
                kind: Some(kind.clone()),
                crops: None,
                revision: None,
                file: Some(listed.name.clone()),
            })
        });
        let revision = rest.first().map(String::as_str);
        if let Err(fault) = intake.push(group, 0, id, revision) {
            let why = format!("asset `{id}`: {fault}");
            intake.skip(listed, 0, &why, Some(fault.hint()));
        }
    }
    if !unsupported.is_empty() {
        let place = Some(place_of("dynamicMedia"));
        intake.report(left_out(&unsupported, place));
    }
    intake.finish_file(listed);
}

fn left_out(unsupported: &BTreeMap<String, u64>, place: Option<Place>) -> Problem {
    let counts: Vec<String> = unsupported
        .iter()
        .map(|(kind, count)| format!("{count} of type {kind}"))
        .collect();
    let message = format!(
        "assets that cannot be invalidated in the CDN are left out: {}",
        counts.join(", ")
    );
    Problem::warning("asset-type", place, message)
        .hint("name the types that are meant under `types`")
}
