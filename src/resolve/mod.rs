//! Resolving: tables of assets from what manifests name.
//!
//! Nothing is read here: files come in as bytes that were hashed by whoever
//! read them, so that the bytes hashed are the bytes expanded.

use std::collections::HashMap;
use std::sync::Arc;

use crate::digest::Digest;
use crate::manifest::{AssetSetSpec, AssetSpec, AssetsFrom, Place, Problem, Step};

pub mod glob;
pub mod id;
mod intake;
pub mod kinds;
mod lines;
mod listed;
mod rows;
pub mod table;

pub(crate) use intake::{NO_SUCH_SERVICE, unknown_kind, unsupported};

use intake::Intake;
use table::{AssetTable, Group, GroupId};

/// Where a value of a manifest stands.
pub type PlaceOf<'a> = &'a dyn Fn(&[Step<'_>]) -> Place;

/// A file that a manifest names, as it was read.
#[derive(Clone, Debug)]
pub struct NamedFile {
    /// As a person would name it.
    pub name: Arc<str>,
    /// Its contents.
    pub bytes: Arc<[u8]>,
    /// Of its contents.
    pub digest: Digest,
}

/// The assets of a set, and what was found on the way.
#[derive(Debug)]
pub struct Resolved {
    /// Without the assets that `excludeAssets` names.
    pub table: AssetTable,
    /// Every finding; an error means that the table is not to be used.
    pub problems: Vec<Problem>,
    /// Rows of files that had to be left out.
    pub skipped: u64,
    /// Assets that `excludeAssets` took out.
    pub excluded: u64,
    /// Which of `excludeAssets` name no asset, by position.
    pub unused: Vec<usize>,
}

/// Reads the assets of `set`. `files` holds the file of each of `assetsFrom`
/// by position; `None` is one that could not be read, which its reader reports.
pub fn resolve(set: &AssetSetSpec, place_of: PlaceOf<'_>, files: &[Option<NamedFile>]) -> Resolved {
    let mut intake = Intake::new(&set.exclude_assets, set.strict);
    take_inline(&mut intake, &set.assets, place_of);
    for (source, (from, file)) in set.assets_from.iter().zip(files).enumerate() {
        let Some(file) = file else { continue };
        let place_of = |field: &str| {
            place_of(&[
                Step::Key("spec"),
                Step::Key("assetsFrom"),
                Step::Index(source),
                Step::Key(field),
            ])
        };
        match from {
            AssetsFrom::Lines { kind, revision, .. } => {
                let group = Group {
                    kind: kind.clone(),
                    crops: None,
                    revision: revision.clone(),
                    file: Some(file.name.clone()),
                };
                lines::take(&mut intake, group, file, &place_of);
            }
            AssetsFrom::Csv {
                id,
                revision,
                kind,
                filter,
                ..
            } => {
                let wanted = rows::Wanted {
                    id,
                    revision: revision.as_deref(),
                    kind: kind.as_deref(),
                    filter,
                };
                rows::take(&mut intake, &wanted, file, &place_of);
            }
            AssetsFrom::Search(search) => listed::take(&mut intake, search, file, &place_of),
        }
    }
    intake.finish()
}

fn take_inline(intake: &mut Intake<'_>, assets: &[AssetSpec], place_of: PlaceOf<'_>) {
    type Shared<'a> = (Option<&'a str>, Option<&'a [String]>);
    let mut groups: HashMap<Shared<'_>, GroupId> = HashMap::new();
    for (index, asset) in assets.iter().enumerate() {
        if intake.is_excluded(&asset.id) {
            continue;
        }
        let place = |field: Option<&str>| {
            let path = [Step::Key("spec"), Step::Key("assets"), Step::Index(index)];
            match field {
                Some(field) => place_of(&[path[0], path[1], path[2], Step::Key(field)]),
                None => place_of(&path),
            }
        };
        let shared = (asset.kind.as_deref(), asset.smart_crops.as_deref());
        let group = *groups.entry(shared).or_insert_with(|| {
            intake.add_group(Group {
                kind: asset.kind.clone(),
                crops: asset.smart_crops.clone(),
                revision: None,
                file: None,
            })
        });
        if let Some(kind) = &asset.kind
            && !intake.judge_kind(kind, || place(Some("type")))
        {
            continue;
        }
        let revision = asset.revision.as_deref();
        if let Err(fault) = intake.push(group, index as u32, &asset.id, revision) {
            intake.report(
                Problem::error("asset-id", Some(place(None)), fault.to_string()).hint(fault.hint()),
            );
        }
    }
}

#[cfg(test)]
mod tests;
