//! What sets take from accounts: the answers that were had, and what is to be
//! asked. Nothing is asked here.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Cdn;
use crate::digest::Digest;
use crate::expand::Addressing;
use crate::lookup::{AssetQuery, Missing, Query, Recorded, View, table};
use crate::manifest::{
    AssetSetSpec, Manifest, POLL_MS, Place, PresetSpec, Problem, SearchSpec, Step,
};
use crate::provider::{Library, LookUp};
use crate::resolve::NamedFile;

/// In the words of Adobe's screen.
const NOT_RETRIEVED: &str = "Failed to retrieve URL(s) for selected asset(s)";

/// What looking up has come to for one set.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) look_ups: Vec<LookUp>,
    /// Findings that do not stop the set.
    pub(super) notes: Vec<Problem>,
    /// There is no answer yet, and the set does without.
    pub(super) is_missing: bool,
    /// An answer is in force that could not be had again.
    pub(super) is_stale: bool,
}

/// What the account listed for `search`, as if it were a file.
pub(super) fn listed(
    answers: &View<'_>,
    cdns: &[&Cdn],
    (search, place): (&SearchSpec, Place),
    looked: &mut Looked,
) -> Result<Option<NamedFile>, Box<Problem>> {
    let Some(cdn) = cdns.iter().find(|cdn| cdn.provider.as_library().is_some()) else {
        let message =
            format!("{NOT_RETRIEVED}: none of the set's Cdns has an account that lists its assets");
        let problem = Problem::error("look-up", Some(place), message);
        return Err(Box::new(
            problem.hint("name a dynamicMedia Cdn under spec.cdns"),
        ));
    };
    let query = Query::Assets(AssetQuery::of(search));
    let found = find(answers, cdn, (query, search.poll_ms), place, looked)?;
    Ok(found.map(|(bytes, digest)| NamedFile {
        name: format!("{}:{}", cdn.name, search.folder).into(),
        bytes,
        digest,
    }))
}

/// What the Cdns give to the set's templates, in its order; presets that an
/// account lists itself are those that it listed.
pub(super) fn addressings(
    answers: &View<'_>,
    cdns: &[&Cdn],
    (wants_presets, place): (bool, Place),
    looked: &mut Looked,
) -> Result<Vec<Option<Arc<Addressing>>>, Box<Problem>> {
    let mut is_first = true;
    let mut addressings = Vec::new();
    for cdn in cdns {
        let Some(addressing) = cdn.provider.addressing() else {
            addressings.push(None);
            continue;
        };
        let mut addressing = Arc::clone(addressing);
        // Only the first fills in tokens.
        let is_asked = std::mem::take(&mut is_first) && wants_presets;
        if is_asked && lists_presets(cdn) {
            let query = (Query::Presets, POLL_MS);
            if let Some((bytes, _)) = find(answers, cdn, query, place.clone(), looked)? {
                Arc::make_mut(&mut addressing).presets = presets(&bytes);
            }
        }
        addressings.push(Some(addressing));
    }
    Ok(addressings)
}

fn lists_presets(cdn: &Cdn) -> bool {
    cdn.provider
        .as_library()
        .is_some_and(Library::lists_presets)
}

/// A preset's definition is its revision. What no URL can name is left out.
fn presets(bytes: &[u8]) -> Vec<PresetSpec> {
    let rows = table::rows(bytes).filter_map(|row| match &row[..] {
        [name, definition] if !name.contains(['$', '?', '#']) => Some(PresetSpec {
            name: name.clone(),
            revision: Some(definition.clone()),
        }),
        _ => None,
    });
    rows.collect()
}

type Table = (Arc<[u8]>, Digest);

/// The answer in force; `None` where the set does without.
fn find(
    answers: &View<'_>,
    cdn: &Cdn,
    (query, poll_ms): (Query, u64),
    place: Place,
    looked: &mut Looked,
) -> Result<Option<Table>, Box<Problem>> {
    let about = query.about();
    let recorded = answers.find(cdn.provider.target(), query.digest());
    looked.look_ups.push(LookUp {
        cdn: cdn.name.clone(),
        provider: Arc::clone(&cdn.provider),
        rate: cdn.look_ups.clone(),
        query,
        poll_ms,
    });
    if let Some(good) = recorded.and_then(|recorded| recorded.good.as_ref()) {
        if let Some(failure) = recorded.and_then(|recorded| recorded.failure.as_ref()) {
            let message = format!(
                "{NOT_RETRIEVED}: {about}: {}; what was listed at {} stays in force",
                failure.message,
                instant(good.answered_ms)
            );
            looked.is_stale = true;
            looked
                .notes
                .push(Problem::warning("look-up", Some(place), message).hint(HINT));
        }
        return Ok(Some((good.bytes.clone(), good.digest)));
    }
    if answers.missing() == Missing::LeavesOut {
        looked.is_missing = true;
        return Ok(None);
    }
    let why = failure_of(recorded);
    let message = format!("{NOT_RETRIEVED}: {about}: not retrieved yet{why}");
    let problem = Problem::error("look-up", Some(place), message);
    Err(Box::new(problem.hint(
        "`freshen reconcile` and the daemon ask the account; \
         until it has answered, the set keeps its last good state",
    )))
}

const HINT: &str = "nothing counts as removed because of it; \
                    it is asked again when it is due, by `freshen reconcile` or the daemon";

fn failure_of(recorded: Option<&Recorded>) -> String {
    let failure = recorded.and_then(|recorded| recorded.failure.as_ref());
    failure.map_or_else(String::new, |failure| format!(": {}", failure.message))
}

/// That the set is done without, because nobody has asked for its assets yet.
pub(super) fn left_out(manifest: &Manifest<AssetSetSpec>) -> Problem {
    let path = [Step::Key("metadata"), Step::Key("name")];
    let message = format!(
        "the set `{}` is left out: it takes what the CDN lists, and no state here holds that",
        manifest.name
    );
    Problem::warning("left-out", Some(manifest.place(&path)), message).hint(
        "that needs no cure where nothing is to be sent; \
         `freshen reconcile` with a state asks for the list, and keeps it there",
    )
}

/// Each query to each target once, as often as the most impatient set wants;
/// what only judges comes last.
pub(super) fn distinct(look_ups: Vec<LookUp>) -> Vec<LookUp> {
    let mut distinct: BTreeMap<(String, Digest), LookUp> = BTreeMap::new();
    for look_up in look_ups {
        let key = (look_up.provider.target().to_owned(), look_up.query.digest());
        let poll_ms = look_up.poll_ms;
        let known = distinct.entry(key).or_insert(look_up);
        known.poll_ms = known.poll_ms.min(poll_ms);
    }
    let mut distinct: Vec<LookUp> = distinct.into_values().collect();
    distinct.sort_by_key(|look_up| look_up.query.is_check());
    distinct
}

/// Changes with any answer that a set depends on, and not with time.
pub(super) fn digest(answers: &View<'_>, look_ups: &[LookUp]) -> Digest {
    let digests: Vec<Digest> = look_ups
        .iter()
        .map(|look_up| {
            let recorded = answers.find(look_up.provider.target(), look_up.query.digest());
            recorded.map_or_else(|| Digest::of(b"none"), Recorded::digest)
        })
        .collect();
    Digest::of_parts(digests.iter().map(|digest| &digest.0[..]))
}

fn instant(ms: i64) -> String {
    let instant = Timestamp::from_second(ms.div_euclid(1000));
    instant.map_or_else(|_| format!("{ms} ms"), |instant| instant.to_string())
}
