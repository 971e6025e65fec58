//! Declaring: everything that manifests say, ready to be planned.

mod cdn;
mod checking;
mod compose;
mod contents;
mod looking;
mod shared_hosts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use crate::digest::Digest;
use crate::expand::{Addressing, Compiled, SetSource, compile};
use crate::load::{self, Tree};
use crate::lookup::Known;
use crate::manifest::{
    After, AssetSetSpec, Catalog, LimitsSpec, Manifest, OnCreate, OnRemove, Place, Problem,
    ProviderSchemas, Readings, Step, TemplateSpec, read_again,
};
use crate::provider::{LookUp, catalog};
use crate::resolve::{NamedFile, glob, resolve};

pub use cdn::Cdn;

use cdn::declare_cdns;
use compose::{Composed, Composer, Outcome};

/// How to declare.
#[derive(Clone, Debug)]
pub struct Options {
    /// The manifest roots, as given.
    pub manifests: Vec<PathBuf>,
    /// URLs that a set may expand to, at most.
    pub max_expansion: u64,
    /// What the accounts of CDNs have listed.
    pub known: Arc<Known>,
}

/// All that the manifests declare.
#[derive(Debug)]
pub struct Declared {
    /// By name.
    pub cdns: BTreeMap<String, Cdn>,
    /// By name; those that can be used, as far as is known without expanding.
    pub sets: BTreeMap<String, DeclaredSet>,
    /// Sets that keep their last good state.
    pub broken: Vec<String>,
    /// Sets that are done without, since nothing here tells what is in them.
    pub left_out: Vec<String>,
    /// Every finding but those of expanding.
    pub problems: Vec<Problem>,
    /// Changes with every manifest and every file that one names.
    pub digest: Digest,
    /// Roots that are missing or hold no manifest.
    pub empty_roots: Vec<String>,
    /// The commit that the first root is at, where it is in git.
    pub commit: Option<String>,
    /// What accounts are to be asked, each once.
    pub look_ups: Vec<LookUp>,
    /// Of what they had answered.
    pub answered: Digest,
    /// Something could not be read so far that we know whose it is.
    is_incomplete: bool,
    /// For who reads the manifests again.
    readings: Readings,
}

impl Declared {
    /// By identity of their target: the names of Cdns.
    pub fn names_of_targets(&self) -> BTreeMap<String, String> {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for cdn in self.cdns.values() {
            let known = names.entry(cdn.provider.target().to_owned());
            known
                .and_modify(|names| *names = format!("{names}, {}", cdn.name))
                .or_insert_with(|| cdn.name.clone());
        }
        names
    }

    /// Whether a file cannot be read so far that the sets in it are known.
    pub fn hides_sets(&self) -> bool {
        self.is_incomplete
    }

    /// Whether accounts have answered nothing else since: an answer counts as
    /// a file does, and its age as little as a file's.
    pub fn is_answered_as(&self, known: &Known) -> bool {
        self.look_ups.is_empty() || looking::digest(&known.view(), &self.look_ups) == self.answered
    }

    /// Whether nothing counts as vanished: a root is empty, or a file is
    /// unreadable or invalid.
    pub fn is_frozen(&self) -> bool {
        let is_invalid = self.problems.iter().any(Problem::is_error);
        !self.empty_roots.is_empty() || self.is_incomplete || is_invalid
    }
}

/// A set, ready to be expanded.
pub struct DeclaredSet {
    /// `metadata.name`.
    pub name: String,
    /// Names whose ledgers it carries on.
    pub formerly: Vec<String>,
    /// Names of Cdns, inner tier first.
    pub tiers: Vec<Vec<String>>,
    /// What the next tier waits for.
    pub after: After,
    /// Of everything that its expansion depends on: comments, order of keys and
    /// names of files are not part of it.
    pub inputs: Digest,
    /// What may be sent without approval.
    pub limits: LimitsSpec,
    /// What a first sight of it means.
    pub on_create: OnCreate,
    /// What it means that an item leaves it.
    pub on_remove: OnRemove,
    /// Milliseconds since the epoch before which nothing is sent.
    pub not_before_ms: Option<i64>,
    /// Nothing is sent while true.
    pub suspend: bool,
    /// The plan that the manifest approves.
    pub approve: Option<String>,
    /// Where it is declared.
    pub place: Place,
    manifest: Arc<Manifest<AssetSetSpec>>,
    templates: Vec<Arc<Manifest<TemplateSpec>>>,
    /// Of its Cdns that have a say, inner first.
    addressings: Vec<Arc<Addressing>>,
    files: Vec<Option<NamedFile>>,
    /// What the file of each asset holds, where that is a revision.
    contents: Option<Arc<[Digest]>>,
    max_expansion: u64,
    /// It is expanded from what an account listed before it last failed to.
    is_stale: bool,
}

impl DeclaredSet {
    /// Whether it rests on an answer that could not be had again.
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Bytes of the files that it takes its assets from.
    pub fn file_bytes(&self) -> usize {
        let files = self.files.iter().flatten();
        files.map(|file| file.bytes.len()).sum()
    }

    /// Reads the set's files and compiles it; nothing of that is kept.
    pub fn expand(&self) -> Compiled {
        self.compile(&self.manifest.spec, self.contents.as_ref())
    }

    /// The set as if it excluded nothing; `None` where it does not. Files of
    /// assets that it excludes were not read, so no file counts for its marks.
    pub fn expand_in_full(&self) -> Option<Compiled> {
        let spec = &self.manifest.spec;
        if spec.exclude.is_empty() && spec.exclude_assets.is_empty() {
            return None;
        }
        let spec = AssetSetSpec {
            exclude: Vec::new(),
            exclude_assets: Vec::new(),
            ..spec.clone()
        };
        Some(self.compile(&spec, None))
    }

    /// The field that leaves `url` out, for a URL of the set in full.
    pub fn excluded_by(&self, url: &str) -> &'static str {
        if glob::matches_any(&self.manifest.spec.exclude, url) {
            "exclude"
        } else {
            "excludeAssets"
        }
    }

    /// Globs over URLs and over ids of assets that it leaves out.
    pub fn excludes(&self) -> (&[String], &[String]) {
        let spec = &self.manifest.spec;
        (&spec.exclude, &spec.exclude_assets)
    }

    /// Where the manifest gives `field` of its `spec`.
    pub fn place_of(&self, field: &str) -> Place {
        self.manifest.place(&[Step::Key("spec"), Step::Key(field)])
    }

    fn compile(&self, spec: &AssetSetSpec, contents: Option<&Arc<[Digest]>>) -> Compiled {
        let place_of = |path: &[Step<'_>]| self.manifest.place(path);
        let templates: Vec<&TemplateSpec> = self.templates.iter().map(|one| &one.spec).collect();
        let addressings: Vec<&Addressing> = self.addressings.iter().map(Arc::as_ref).collect();
        let source = SetSource {
            spec,
            place_of: &place_of,
            templates: &templates,
            addressings: &addressings,
            max_expansion: self.max_expansion,
        };
        let mut resolved = resolve(spec, &place_of, &self.files);
        if let Some(contents) = contents {
            resolved.table.set_contents(Arc::clone(contents));
        }
        let compiled = compile(&source, resolved);
        Compiled {
            partial: compiled.partial || self.is_stale,
            ..compiled
        }
    }
}

impl fmt::Debug for DeclaredSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeclaredSet")
            .field("name", &self.name)
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

/// Declares what `tree` holds.
pub fn declare(tree: &Tree, options: &Options) -> Declared {
    declare_again(tree, options, &[])
}

/// The same after `before`: what files held then is not parsed again.
pub fn declare_again(tree: &Tree, options: &Options, before: &[&Declared]) -> Declared {
    let before: Vec<&Readings> = before.iter().map(|before| &before.readings).collect();
    let schemas: ProviderSchemas = catalog::schemas().into_iter().collect();
    let (catalog, readings) = read_again(&tree.files, &schemas, &before);
    let Catalog {
        cdns,
        templates,
        sets,
        broken_sets,
        unreadable_files,
        problems: findings,
    } = catalog;
    let mut problems = tree.problems.clone();
    problems.extend(findings);
    let cdns = declare_cdns(cdns, &schemas, &mut problems);
    let answers = options.known.view();
    let composer = Composer {
        tree,
        answers: &answers,
        cdns: &cdns,
        templates: &templates,
        max_expansion: options.max_expansion,
    };
    let results: Vec<(String, Composed)> = sets
        .into_par_iter()
        .map(|(name, set)| (name, composer.compose(set)))
        .collect();
    let mut sets = Vec::new();
    let mut broken: BTreeSet<String> = broken_sets.into_iter().collect();
    let (mut look_ups, mut left_out) = (Vec::new(), Vec::new());
    for (name, composed) in results {
        problems.extend(composed.problems);
        look_ups.extend(composed.look_ups);
        match composed.set {
            Outcome::Set(set) => {
                sets.push((name, *set));
            }
            Outcome::Broken => {
                broken.insert(name);
            }
            Outcome::LeftOut => left_out.push(name),
        }
    }
    // Built of what is sorted already, its nodes are full.
    let sets = BTreeMap::from_iter(sets);
    let look_ups = looking::distinct(look_ups);
    Declared {
        answered: looking::digest(&answers, &look_ups),
        look_ups,
        digest: digest_of(tree, &sets),
        cdns,
        sets,
        broken: broken.into_iter().collect(),
        left_out,
        problems,
        empty_roots: tree.empty_roots.clone(),
        commit: load::commit_of(&options.manifests),
        is_incomplete: tree.unreadable_files || unreadable_files,
        readings,
    }
}

fn digest_of(tree: &Tree, sets: &BTreeMap<String, DeclaredSet>) -> Digest {
    let inputs = sets.values().map(|set| &set.inputs.0[..]);
    Digest::of_parts(std::iter::once(&tree.digest.0[..]).chain(inputs))
}
