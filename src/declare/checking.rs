//! `checkAssets`: whether the account has what a set lists. It judges, and
//! changes nothing that is expanded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Cdn;
use super::looking::Looked;
use crate::lookup::{Query, View, table};
use crate::manifest::{AssetSetSpec, AssetsFrom, Manifest, Place, Problem, Severity, Step};
use crate::provider::LookUp;
use crate::resolve::kinds::{Service, service_of};
use crate::resolve::table::AssetTable;
use crate::resolve::{NamedFile, resolve};

/// Assets that are named one by one; the others are counted.
const NAMED: usize = 20;

/// Ids rarely come and go, and asking about many takes many calls.
const POLL_MS: u64 = 60 * 60 * 1000;

/// What the account says of the assets that `manifest` lists itself or in files.
pub(super) fn check(
    answers: &View<'_>,
    cdns: &[&Cdn],
    (manifest, files): (&Manifest<AssetSetSpec>, &[Option<NamedFile>]),
    looked: &mut Looked,
) -> Vec<Problem> {
    if !manifest.spec.check_assets {
        return Vec::new();
    }
    let path = [Step::Key("spec"), Step::Key("checkAssets")];
    let place = || manifest.place(&path);
    let Some(cdn) = cdns.iter().find(|cdn| cdn.provider.as_library().is_some()) else {
        let message = "`checkAssets` asks an account, and none of the set's Cdns has one to ask";
        let problem = Problem::error("check-assets", Some(place()), message);
        return vec![problem.hint("name a dynamicMedia Cdn under spec.cdns, or remove it")];
    };
    let table = listed(manifest, files);
    let ids: BTreeSet<&str> = (0..table.len()).map(|at| table.get(at).declared).collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let query = Query::Names(
        ids.into_iter()
            .map(str::to_owned)
            .collect::<Arc<[String]>>(),
    );
    let recorded = answers.find(cdn.provider.target(), query.digest());
    looked.look_ups.push(LookUp {
        cdn: cdn.name.clone(),
        provider: Arc::clone(&cdn.provider),
        rate: cdn.look_ups.clone(),
        query,
        poll_ms: POLL_MS,
    });
    if let Some(good) = recorded.and_then(|recorded| recorded.good.as_ref()) {
        return judge(manifest, &table, &known(&good.bytes));
    }
    let failure = recorded.and_then(|recorded| recorded.failure.as_ref());
    let message = match failure {
        None => "the listed assets have not been checked yet".to_owned(),
        Some(failure) => format!(
            "the listed assets could not be checked: {}",
            failure.message
        ),
    };
    let hint = "`freshen reconcile` and the daemon ask the account; nothing waits for it";
    looked
        .notes
        .push(Problem::warning("check-assets", Some(place()), message).hint(hint));
    Vec::new()
}

/// The assets without those that the account lists itself.
fn listed(manifest: &Manifest<AssetSetSpec>, files: &[Option<NamedFile>]) -> AssetTable {
    let sources = manifest.spec.assets_from.iter().zip(files);
    let own: Vec<Option<NamedFile>> = sources
        .map(|(from, file)| match from {
            AssetsFrom::Search(_) => None,
            _ => file.clone(),
        })
        .collect();
    resolve(&manifest.spec, &|path| manifest.place(path), &own).table
}

/// The types that the account has each id under.
type Known = BTreeMap<String, BTreeSet<String>>;

fn known(bytes: &[u8]) -> Known {
    let mut known = Known::new();
    for row in table::rows(bytes) {
        if let [id, kind] = &row[..] {
            known.entry(id.clone()).or_default().insert(kind.clone());
        }
    }
    known
}

fn judge(manifest: &Manifest<AssetSetSpec>, table: &AssetTable, known: &Known) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut more = 0;
    for at in 0..table.len() {
        let asset = table.get(at);
        let kind = table.groups()[asset.group.index()].kind.as_deref();
        let found = match known.get(asset.declared) {
            None => Some((unknown(asset.declared), UNKNOWN.to_owned())),
            Some(kinds) => mistyped(asset.declared, kind, kinds),
        };
        let Some((message, hint)) = found else {
            continue;
        };
        if problems.len() == NAMED {
            more += 1;
            continue;
        }
        let place = place_of(manifest, table, at);
        problems.push(problem(manifest, place, message).hint(hint));
    }
    if more > 0 {
        let place = manifest.place(&[Step::Key("spec"), Step::Key("checkAssets")]);
        let message =
            format!("{more} more of its assets are unknown to the account, or of another type");
        problems.push(problem(manifest, place, message));
    }
    problems
}

fn unknown(id: &str) -> String {
    format!("the account has no asset `{id}`")
}

const UNKNOWN: &str = "correct its id, or take it out; an id is the asset's name in \
                       Dynamic Media, in the same case and without file ending";

/// What is wrong with the type of an asset that is there.
fn mistyped(
    id: &str,
    declared: Option<&str>,
    kinds: &BTreeSet<String>,
) -> Option<(String, String)> {
    let all: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let all = all.join(", ");
    match declared {
        Some(kind) if kinds.contains(kind) => None,
        Some(kind) => {
            let message = format!("asset `{id}` is declared as {kind}, and is of type {all}");
            Some((message, "correct its type".to_owned()))
        }
        None => {
            let is_image =
                |kind: &String| matches!(service_of(kind), Service::Image | Service::Unknown);
            if kinds.iter().any(is_image) {
                return None;
            }
            let message = format!("asset `{id}` is of type {all}, and is taken for an Image");
            Some((
                message,
                "give it its type, and a template of its URLs".to_owned(),
            ))
        }
    }
}

fn problem(manifest: &Manifest<AssetSetSpec>, place: Place, message: String) -> Problem {
    let problem = Problem::warning("check-assets", Some(place), message);
    if manifest.spec.strict {
        return Problem {
            severity: Severity::Error,
            ..problem
        };
    }
    problem
}

fn place_of(manifest: &Manifest<AssetSetSpec>, table: &AssetTable, at: usize) -> Place {
    let asset = table.get(at);
    match &table.groups()[asset.group.index()].file {
        Some(file) => Place {
            line: asset.line,
            column: 1,
            ..Place::file(file.clone())
        },
        None => manifest.place(&[
            Step::Key("spec"),
            Step::Key("assets"),
            Step::Index(asset.line as usize),
        ]),
    }
}
