//! Revisions from files: what the file of each asset holds.

use std::sync::Arc;

use rayon::prelude::*;

use crate::digest::Digest;
use crate::load::{ReadProblem, Tree};
use crate::manifest::{AssetSetSpec, Manifest, Problem, Step};
use crate::resolve::table::AssetTable;
use crate::resolve::{NamedFile, resolve};

/// Stands for the id of the asset.
const ID: &str = "<ID>";

/// Assets without a file that are named one by one; the others are counted.
const NAMED: usize = 20;

/// Why an asset has no revision.
struct Missing {
    asset: String,
    path: String,
    problem: ReadProblem,
}

/// The digests of the files of all assets, in the order of the set's table; no
/// asset may be without one.
pub(super) fn contents_of(
    tree: &Tree,
    manifest: &Manifest<AssetSetSpec>,
    files: &[Option<NamedFile>],
) -> Result<Option<Arc<[Digest]>>, Vec<Problem>> {
    let spec = &manifest.spec;
    let Some(pattern) = &spec.revision_file else {
        return Ok(None);
    };
    if let Some(problem) = judge(manifest, pattern) {
        return Err(vec![problem]);
    }
    // What is wrong with the assets themselves is found when the set is expanded.
    let table = resolve(spec, &|path| manifest.place(path), files).table;
    let read = |index: usize| read(tree, manifest, pattern, &table, index);
    let found: Vec<_> = (0..table.len()).into_par_iter().map(read).collect();
    let missing = found.iter().filter_map(|it| it.as_ref().err());
    let missing: Vec<&Missing> = missing.map(|missing| &**missing).collect();
    if !missing.is_empty() {
        return Err(report(manifest, &missing));
    }
    Ok(Some(found.into_iter().flatten().collect()))
}

fn read(
    tree: &Tree,
    manifest: &Manifest<AssetSetSpec>,
    pattern: &str,
    table: &AssetTable,
    index: usize,
) -> Result<Digest, Box<Missing>> {
    let asset = table.get(index).declared;
    let path = pattern.replace(ID, asset);
    let digest = tree.digest_beside(&manifest.document, &path);
    digest.map_err(|problem| {
        Box::new(Missing {
            asset: asset.to_owned(),
            path,
            problem,
        })
    })
}

/// What would otherwise have no effect, or another one than was meant.
fn judge(manifest: &Manifest<AssetSetSpec>, pattern: &str) -> Option<Problem> {
    let spec = &manifest.spec;
    if spec.assets.is_empty() && spec.assets_from.is_empty() {
        let message = "`revisionFrom` is about assets, and the set has none";
        let problem = problem(manifest, "revision-file", message.to_owned());
        return Some(problem.hint("give it assets or assetsFrom, or remove it"));
    }
    if pattern.split(ID).any(|text| text.contains(['<', '>'])) {
        let message = format!("`{pattern}` holds a token that is not {ID}");
        let problem = problem(manifest, "token", message);
        return Some(problem.hint("only <ID> stands for something here: the id of the asset"));
    }
    None
}

fn report(manifest: &Manifest<AssetSetSpec>, missing: &[&Missing]) -> Vec<Problem> {
    let set = &manifest.name;
    let named = missing.iter().take(NAMED).map(|missing| {
        let Missing {
            asset,
            path,
            problem: why,
        } = missing;
        let message =
            format!("set `{set}`: no revision for asset `{asset}`: cannot read `{path}`: {why}");
        problem(manifest, "revision-file", message).hint(hint(why))
    });
    let mut problems: Vec<Problem> = named.collect();
    let more = missing.len() - problems.len();
    if more > 0 {
        let message = format!("set `{set}`: no revision for {more} more of its assets");
        problems.push(problem(manifest, "revision-file", message));
    }
    problems
}

fn hint(why: &ReadProblem) -> &'static str {
    match why {
        ReadProblem::Missing => {
            "add the file, or take the asset out; until then the set keeps its last good state"
        }
        ReadProblem::Outside => {
            "files are named from the manifest's folder on, and stay inside its root"
        }
        _ => "until it can be read, the set keeps its last good state",
    }
}

fn problem(manifest: &Manifest<AssetSetSpec>, code: &'static str, message: String) -> Problem {
    let path = ["spec", "revisionFrom", "file"].map(Step::Key);
    Problem::error(code, Some(manifest.place(&path)), message)
}
