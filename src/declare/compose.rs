//! Puts sets together with the Cdns, templates and files that they name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::contents::contents_of;
use super::{Cdn, DeclaredSet};
use crate::digest::{ALGORITHM, Digest};
use crate::expand::Addressing;
use crate::load::Tree;
use crate::manifest::{APPROVE, AssetSetSpec, AssetsFrom, Manifest, Problem, Step, TemplateSpec};
use crate::provider::Provider;
use crate::resolve::NamedFile;

/// What sets may name.
pub(super) struct Composer<'a> {
    pub(super) tree: &'a Tree,
    pub(super) cdns: &'a BTreeMap<String, Cdn>,
    pub(super) templates: &'a BTreeMap<String, Arc<Manifest<TemplateSpec>>>,
    pub(super) max_expansion: u64,
}

impl Composer<'_> {
    pub(super) fn compose(
        &self,
        manifest: Manifest<AssetSetSpec>,
    ) -> Result<DeclaredSet, Vec<Problem>> {
        let mut problems = Vec::new();
        let tiers = self.tiers(&manifest, &mut problems);
        let providers = self.providers(&manifest, &tiers, &mut problems);
        let files = self.files(&manifest, &mut problems);
        // The catalogue leaves out sets that name what is not declared.
        let templates: Vec<Arc<Manifest<TemplateSpec>>> = manifest
            .spec
            .templates
            .iter()
            .filter_map(|name| self.templates.get(name).cloned())
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let contents = contents_of(self.tree, &manifest, &files)?;
        let spec = &manifest.spec;
        Ok(DeclaredSet {
            name: manifest.name.clone(),
            formerly: manifest.formerly.clone(),
            inputs: inputs_of(
                &manifest,
                &templates,
                &providers,
                (&files, contents.as_deref()),
            ),
            tiers,
            limits: spec.limits,
            on_create: spec.on_create,
            not_before_ms: spec.not_before_ms,
            suspend: spec.suspend,
            approve: manifest.annotations.get(APPROVE).cloned(),
            place: manifest.place(&[Step::Key("metadata"), Step::Key("name")]),
            manifest,
            templates,
            providers,
            files,
            contents,
            max_expansion: self.max_expansion,
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

    /// The providers in order of tiers; no two may speak to one target.
    fn providers(
        &self,
        manifest: &Manifest<AssetSetSpec>,
        tiers: &[Vec<String>],
        problems: &mut Vec<Problem>,
    ) -> Vec<Arc<dyn Provider>> {
        let path = [Step::Key("spec"), Step::Key("cdns")];
        let mut by_target: BTreeMap<&str, &str> = BTreeMap::new();
        let mut providers = Vec::new();
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
            providers.push(Arc::clone(&cdn.provider));
        }
        providers
    }

    fn files(
        &self,
        manifest: &Manifest<AssetSetSpec>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Option<NamedFile>> {
        let document = &manifest.document;
        let folder = document.file.rsplit_once('/').map(|(folder, _)| folder);
        let mut files = Vec::new();
        for (index, from) in manifest.spec.assets_from.iter().enumerate() {
            let (field, file) = match from {
                AssetsFrom::Lines { file, .. } => ("file", file),
                AssetsFrom::Csv { file, .. } => ("csv", file),
            };
            let read = self.tree.read_beside(document, file).map_err(|problem| {
                let path = ["spec", "assetsFrom"].map(Step::Key);
                let place =
                    manifest.place(&[path[0], path[1], Step::Index(index), Step::Key(field)]);
                let message = format!("cannot read `{file}`: {problem}");
                problems.push(Problem::error("asset-file", Some(place), message).hint(
                    "files are named from the manifest's folder on, and stay inside its root",
                ));
            });
            let name = folder.map_or_else(|| file.clone(), |folder| format!("{folder}/{file}"));
            files.push(read.ok().map(|content| NamedFile {
                name: name.into(),
                bytes: content.bytes,
                digest: content.digest,
            }));
        }
        files
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
    providers: &[Arc<dyn Provider>],
    (files, contents): (&[Option<NamedFile>], Option<&[Digest]>),
) -> Digest {
    let mut of_templates: Vec<Digest> = templates
        .iter()
        .map(|template| template.document.digest)
        .collect();
    of_templates.sort_unstable();
    let of_providers = providers.iter().map(|provider| {
        let addressing = provider.addressing().map(Addressing::digest);
        let addressing = addressing.as_ref().map_or(&[][..], |digest| &digest.0);
        Digest::of_parts([provider.target().as_bytes(), addressing])
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
