//! Puts sets together with the Cdns, templates and files that they name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::checking;
use super::contents::contents_of;
use super::looking::{self, Looked};
use super::shared_hosts;
use super::{Cdn, DeclaredSet};
use crate::digest::{ALGORITHM, Digest};
use crate::expand::Addressing;
use crate::load::Tree;
use crate::lookup::View;
use crate::manifest::{
    APPROVE, After, AssetSetSpec, AssetsFrom, Manifest, Place, PresetChoice, Problem, Step,
    TemplateSpec,
};
use crate::provider::LookUp;
use crate::resolve::NamedFile;

/// What sets may name.
pub(super) struct Composer<'a> {
    pub(super) tree: &'a Tree,
    pub(super) answers: &'a View<'a>,
    pub(super) cdns: &'a BTreeMap<String, Cdn>,
    pub(super) templates: &'a BTreeMap<String, Arc<Manifest<TemplateSpec>>>,
    pub(super) max_expansion: u64,
}

/// What became of a set's manifest.
pub(super) struct Composed {
    pub(super) set: Outcome,
    pub(super) problems: Vec<Problem>,
    /// What accounts are to be asked for it.
    pub(super) look_ups: Vec<LookUp>,
}

/// A set, or what is done without it.
pub(super) enum Outcome {
    Set(Box<DeclaredSet>),
    /// It keeps its last good state.
    Broken,
    /// As if it were not declared.
    LeftOut,
}

impl Composer<'_> {
    pub(super) fn compose(&self, manifest: Arc<Manifest<AssetSetSpec>>) -> Composed {
        let mut problems = Vec::new();
        let tiers = self.tiers(&manifest, &mut problems);
        let cdns = self.named(&manifest, &tiers, &mut problems);
        let templates = self.templates(&manifest);
        let shared_hosts = shared_hosts::warnings(&cdns, &templates, &manifest.spec);
        problems.extend(self.unverifiable(&manifest, &tiers));
        let mut looked = Looked::default();
        let files = self.files(&manifest, &cdns, (&mut looked, &mut problems));
        let addressings = self.addressings(&manifest, &cdns, &mut looked);
        let addressings = addressings.unwrap_or_else(|problem| {
            problems.push(*problem);
            Vec::new()
        });
        if problems.is_empty() {
            let found = checking::check(self.answers, &cdns, (&manifest, &files), &mut looked);
            let (errors, warnings) = found.into_iter().partition(Problem::is_error);
            problems = errors;
            looked.notes.extend::<Vec<Problem>>(warnings);
        }
        let Looked {
            look_ups,
            notes,
            is_missing,
            is_stale,
        } = looked;
        let set = if !problems.is_empty() {
            Outcome::Broken
        } else if is_missing {
            problems.push(looking::left_out(&manifest));
            Outcome::LeftOut
        } else {
            match self.put_together(manifest, (tiers, &cdns), (files, addressings)) {
                Ok(set) => Outcome::Set(Box::new(DeclaredSet { is_stale, ..set })),
                Err(found) => {
                    problems.extend(found);
                    Outcome::Broken
                }
            }
        };
        problems.extend(notes);
        problems.extend(shared_hosts);
        Composed {
            set,
            problems,
            look_ups,
        }
    }

    fn put_together(
        &self,
        manifest: Arc<Manifest<AssetSetSpec>>,
        (tiers, cdns): (Vec<Vec<String>>, &[&Cdn]),
        (files, addressings): (Vec<Option<NamedFile>>, Vec<Option<Arc<Addressing>>>),
    ) -> Result<DeclaredSet, Vec<Problem>> {
        let templates = self.templates(&manifest);
        let contents = contents_of(self.tree, &manifest, &files)?;
        let spec = &manifest.spec;
        Ok(DeclaredSet {
            name: manifest.name.clone(),
            formerly: manifest.formerly.clone(),
            inputs: inputs_of(
                &manifest,
                &templates,
                (cdns, &addressings),
                (&files, contents.as_deref()),
            ),
            tiers,
            after: spec.after,
            limits: spec.limits,
            on_create: spec.on_create,
            on_remove: spec.on_remove,
            not_before_ms: spec.not_before_ms,
            suspend: spec.suspend,
            approve: manifest.annotations.get(APPROVE).cloned(),
            place: manifest.place(&[Step::Key("metadata"), Step::Key("name")]),
            manifest,
            templates,
            addressings: addressings.into_iter().flatten().collect(),
            files,
            contents,
            max_expansion: self.max_expansion,
            is_stale: false,
        })
    }

    /// The tiers as named, or the only Cdn there is.
    fn tiers(
        &self,
        manifest: &Manifest<AssetSetSpec>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Vec<String>> {
        if !manifest.spec.cdns.is_empty() {
            return manifest.spec.cdns.clone();
        }
        let mut names = self.cdns.keys();
        if let (Some(only), None) = (names.next(), names.next()) {
            return vec![vec![only.clone()]];
        }
        problems.push(waits(manifest, &[Step::KeyOf("spec")], "the only Cdn"));
        Vec::new()
    }

    /// That a tier would wait for what nobody looks at.
    fn unverifiable(
        &self,
        manifest: &Manifest<AssetSetSpec>,
        tiers: &[Vec<String>],
    ) -> Option<Problem> {
        if manifest.spec.after == After::Accepted {
            return None;
        }
        let place = manifest.place(&[Step::Key("spec"), Step::Key("after")]);
        let problem = |message| Problem::error("after-verified", Some(place), message);
        let Some((_, inner)) = tiers.split_last().filter(|(_, inner)| !inner.is_empty()) else {
            let message = "`after: verified` has no tier to hold: `cdns` is not of several tiers";
            return Some(problem(message.to_owned()).hint("remove it, or add an outer tier"));
        };
        let cdns = inner.iter().flatten();
        let mut cdns = cdns.filter_map(|name| self.cdns.get(name));
        let blind = cdns.find(|cdn| cdn.verify.is_none())?;
        let message = format!(
            "`after: verified` waits for Cdn `{}`, which declares no `verify`",
            blind.name
        );
        Some(problem(message).hint("add `verify: {}` to that Cdn"))
    }

    /// The catalogue leaves out sets that name what is not declared.
    fn templates(&self, manifest: &Manifest<AssetSetSpec>) -> Vec<Arc<Manifest<TemplateSpec>>> {
        let names = manifest.spec.templates.iter();
        names
            .filter_map(|name| self.templates.get(name).cloned())
            .collect()
    }

    fn addressings(
        &self,
        manifest: &Manifest<AssetSetSpec>,
        cdns: &[&Cdn],
        looked: &mut Looked,
    ) -> Result<Vec<Option<Arc<Addressing>>>, Box<Problem>> {
        let is_named = manifest.spec.image_presets != PresetChoice::None;
        let templates = self.templates(manifest);
        let mut entries = templates.iter().flat_map(|template| &template.spec.urls);
        let is_used = entries.any(|entry| entry.url.contains("<PRESET>"));
        let field = if is_named {
            "imagePresets"
        } else {
            "templates"
        };
        let place = manifest.place(&[Step::Key("spec"), Step::Key(field)]);
        looking::addressings(self.answers, cdns, (is_named || is_used, place), looked)
    }

    /// The Cdns in order of tiers; no two may speak to one target.
    fn named(
        &self,
        manifest: &Manifest<AssetSetSpec>,
        tiers: &[Vec<String>],
        problems: &mut Vec<Problem>,
    ) -> Vec<&Cdn> {
        let path = [Step::Key("spec"), Step::Key("cdns")];
        let mut by_target: BTreeMap<&str, &str> = BTreeMap::new();
        let mut cdns = Vec::new();
        for name in tiers.iter().flatten() {
            let Some(cdn) = self.cdns.get(name) else {
                problems.push(waits(manifest, &path, &format!("Cdn `{name}`")));
                continue;
            };
            let target = cdn.provider.target();
            if let Some(other) = by_target.insert(target, name) {
                let message = format!("Cdns `{other}` and `{name}` are the same account: {target}");
                let problem = Problem::error("same-target", Some(manifest.place(&path)), message);
                problems.push(problem.hint("name one of the two"));
            }
            cdns.push(cdn);
        }
        cdns
    }

    fn files(
        &self,
        manifest: &Manifest<AssetSetSpec>,
        cdns: &[&Cdn],
        (looked, problems): (&mut Looked, &mut Vec<Problem>),
    ) -> Vec<Option<NamedFile>> {
        let mut files = Vec::new();
        for (index, from) in manifest.spec.assets_from.iter().enumerate() {
            let place = |field| {
                let path = ["spec", "assetsFrom"].map(Step::Key);
                manifest.place(&[path[0], path[1], Step::Index(index), Step::Key(field)])
            };
            let read = match from {
                AssetsFrom::Lines { file, .. } => self.file(manifest, (file, &|| place("file"))),
                AssetsFrom::Csv { file, .. } => self.file(manifest, (file, &|| place("csv"))),
                AssetsFrom::Search(search) => {
                    let place = place("dynamicMedia");
                    looking::listed(self.answers, cdns, (search, place), looked)
                }
            };
            files.push(read.unwrap_or_else(|problem| {
                problems.push(*problem);
                None
            }));
        }
        files
    }

    fn file(
        &self,
        manifest: &Manifest<AssetSetSpec>,
        (file, place): (&str, &dyn Fn() -> Place),
    ) -> Result<Option<NamedFile>, Box<Problem>> {
        let document = &manifest.document;
        let content = self.tree.read_beside(document, file).map_err(|problem| {
            let message = format!("cannot read `{file}`: {problem}");
            Problem::error("asset-file", Some(place()), message)
                .hint("files are named from the manifest's folder on, and stay inside its root")
        })?;
        let folder = document.file.rsplit_once('/').map(|(folder, _)| folder);
        let name = folder.map_or_else(|| file.to_owned(), |folder| format!("{folder}/{file}"));
        Ok(Some(NamedFile {
            name: name.into(),
            bytes: content.bytes,
            digest: content.digest,
        }))
    }
}

/// The cause is reported where it is; this names a set that it stops.
fn waits(manifest: &Manifest<AssetSetSpec>, path: &[Step<'_>], on: &str) -> Problem {
    let message = format!(
        "set `{}` keeps its last good state: {on} has errors",
        manifest.name
    );
    Problem::warning("depends-on-broken", Some(manifest.place(path)), message)
}

/// Everything that the expansion of a set depends on, by content.
fn inputs_of(
    manifest: &Manifest<AssetSetSpec>,
    templates: &[Arc<Manifest<TemplateSpec>>],
    (cdns, addressings): (&[&Cdn], &[Option<Arc<Addressing>>]),
    (files, contents): (&[Option<NamedFile>], Option<&[Digest]>),
) -> Digest {
    let mut of_templates: Vec<Digest> = templates
        .iter()
        .map(|template| template.document.digest)
        .collect();
    of_templates.sort_unstable();
    let of_providers = cdns.iter().zip(addressings).map(|(cdn, addressing)| {
        let addressing = addressing.as_ref().map(|it| it.digest());
        let addressing = addressing.as_ref().map_or(&[][..], |digest| &digest.0);
        Digest::of_parts([cdn.provider.target().as_bytes(), addressing])
    });
    let of_files = files.iter().flatten().map(|file| file.digest);
    let group = |digests: &[Digest]| Digest::of_parts(digests.iter().map(|digest| &digest.0[..]));
    let mut groups = vec![
        manifest.document.digest,
        group(&of_templates),
        group(&of_providers.collect::<Vec<_>>()),
        group(&of_files.collect::<Vec<_>>()),
    ];
    groups.extend(contents.map(group));
    let groups = groups.iter().map(|digest| &digest.0[..]);
    Digest::of_parts(std::iter::once(ALGORITHM.as_bytes()).chain(groups))
}
