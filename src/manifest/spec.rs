//! The shape of the three kinds of manifest, as plain values.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node::{Document, Node};
use super::problem::Place;

/// One manifest: its name, and the spec of its kind.
#[derive(Clone, Debug)]
pub struct Manifest<S> {
    /// `metadata.name`: the identity, unique per kind.
    pub name: String,
    /// `metadata.formerly`: names whose ledgers this one carries on.
    pub formerly: Vec<String>,
    /// `metadata.annotations`, among them `freshen/approve`.
    pub annotations: BTreeMap<String, String>,
    /// What is declared.
    pub spec: S,
    /// Where it was declared, for later findings.
    pub document: Arc<Document>,
}

impl<S> Manifest<S> {
    /// The place of the value at `path`, or of the nearest enclosing one.
    pub fn place(&self, path: &[Step<'_>]) -> Place {
        self.document.place(path)
    }
}

/// One step from a node to a value inside it.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// The value of a mapping's key.
    Key(&'a str),
    /// The key itself, where the key is what is wrong.
    KeyOf(&'a str),
    /// An item of a sequence, counted from 0.
    Index(usize),
}

/// `kind: Cdn`.
#[derive(Clone, Debug)]
pub struct CdnSpec {
    /// The provider block's key, such as `dynamicMedia`.
    pub provider: String,
    /// The provider block, decoded by the provider's own file.
    pub block: Node,
    /// How much of a URL one item covers.
    pub granularity: Granularity,
    /// `batch.maxUrls`, where declared.
    pub max_batch: Option<u32>,
    /// `rateLimit`, where declared; else the provider's default.
    pub rate_limit: Option<RateLimit>,
    /// `rateLimit.lookUps`: buckets of look-ups, where declared.
    pub look_ups: Vec<Bucket>,
    /// Calls under way at once.
    pub concurrency: u32,
    /// `settle`: milliseconds from an acceptance to the next tier.
    pub settle_ms: u64,
    /// Nothing is sent while true.
    pub suspend: bool,
    /// `verify`: whether what it serves is looked at before and after.
    pub verify: Option<Verify>,
    /// `origin`: scheme, host and port.
    pub origin: Option<String>,
    /// `waitForOrigin`: milliseconds that a new revision is held, at most.
    pub wait_for_origin_ms: Option<u64>,
    /// `repeat`: milliseconds from an acceptance to sending again, each.
    pub repeat_ms: Vec<u64>,
}

/// `verify`: looks at what an edge serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verify {
    /// URLs of a batch that are looked at.
    pub sample: usize,
    /// Milliseconds from the first look after an acceptance to the last.
    pub timeout_ms: u64,
}

/// What one item clears, by host (Adobe ka-24795, see `docs/`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granularity {
    /// For hosts not named.
    pub default: Fold,
    /// Hosts folded to their path.
    pub path_hosts: Vec<String>,
    /// Hosts taken URL by URL.
    pub url_hosts: Vec<String>,
}

/// How a URL becomes an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// As declared.
    Url,
    /// Everything from the first `?` on is dropped.
    Path,
}

/// `rateLimit`: token buckets, of calls and of items.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RateLimit {
    /// Buckets that each call takes one from.
    pub requests: Vec<Bucket>,
    /// Buckets that each item takes one from.
    pub urls: Vec<Bucket>,
}

/// `N/D`: holds `burst`, and refills that much in `period_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// At least 1.
    pub burst: u64,
    /// Milliseconds, at least 1.
    pub period_ms: u64,
}

/// `kind: Template`.
#[derive(Clone, Debug)]
pub struct TemplateSpec {
    /// Applies to all entries.
    pub revision: Option<String>,
    /// In declared order; blank and comment lines already dropped.
    pub urls: Vec<TemplateEntry>,
}

/// One line of a template.
#[derive(Clone, Debug)]
pub struct TemplateEntry {
    /// With its tokens.
    pub url: String,
    /// Of this entry alone.
    pub revision: Option<String>,
    /// Asset types it applies to; empty means every type.
    pub types: Vec<String>,
    /// Where it stands, inside a block too.
    pub place: Place,
}

/// `kind: AssetSet`.
#[derive(Clone, Debug)]
pub struct AssetSetSpec {
    /// Names of Cdns by tier, inner first; empty means the only one declared.
    pub cdns: Vec<Vec<String>>,
    /// What the next tier waits for.
    pub after: After,
    /// Names of Templates.
    pub templates: Vec<String>,
    /// Which presets to form URLs for.
    pub image_presets: PresetChoice,
    /// Applies to all items of the set.
    pub revision: Option<String>,
    /// Declared crops; `None` leaves it to the Cdn.
    pub smart_crops: Option<Vec<String>>,
    /// Assets in the manifest itself.
    pub assets: Vec<AssetSpec>,
    /// Assets from elsewhere.
    pub assets_from: Vec<AssetsFrom>,
    /// The file whose content is a revision of each asset: relative to the
    /// manifest's folder, inside its root, with `<ID>` for the asset's id.
    pub revision_file: Option<String>,
    /// Whole URLs.
    pub urls: Vec<UrlSpec>,
    /// Globs over declared URLs; only `*` is special.
    pub exclude: Vec<String>,
    /// Globs over asset ids.
    pub exclude_assets: Vec<String>,
    /// What may be sent without approval.
    pub limits: LimitsSpec,
    /// What a first sight of the set means.
    pub on_create: OnCreate,
    /// What it means that an item leaves the set.
    pub on_remove: OnRemove,
    /// Milliseconds since the epoch before which nothing is sent.
    pub not_before_ms: Option<i64>,
    /// Nothing is sent while true.
    pub suspend: bool,
    /// A bad row fails the set instead of being skipped.
    pub strict: bool,
    /// The account is asked whether it has the listed assets.
    pub check_assets: bool,
}

/// `imagePresets` of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresetChoice {
    /// Absent or `false`.
    None,
    /// `true`: all presets of the Cdn.
    All,
    /// Names; each may carry a revision that wins over the Cdn's.
    Named(Vec<PresetSpec>),
}

/// A preset by name, `{ name, revision }` or just the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresetSpec {
    /// As used in `?$name$`.
    pub name: String,
    /// Bumped when the preset is redefined.
    pub revision: Option<String>,
}

/// An asset declared in the manifest.
#[derive(Clone, Debug)]
pub struct AssetSpec {
    /// Goes into URLs for `<ID>`.
    pub id: String,
    /// Adobe's asset type, where given.
    pub kind: Option<String>,
    /// Of this asset alone.
    pub revision: Option<String>,
    /// Wins over the set's and the Cdn's.
    pub smart_crops: Option<Vec<String>>,
}

/// One source of assets.
#[derive(Clone, Debug)]
pub enum AssetsFrom {
    /// One id a line.
    Lines {
        /// Relative to the manifest's folder, inside its root.
        file: String,
        /// Type of all of them.
        kind: Option<String>,
        /// Revision of all of them.
        revision: Option<String>,
    },
    /// A table with a header.
    Csv {
        /// Relative to the manifest's folder, inside its root.
        file: String,
        /// Column of the id.
        id: String,
        /// Column of the revision.
        revision: Option<String>,
        /// Column of the type.
        kind: Option<String>,
        /// Columns that must hold exactly these texts.
        filter: BTreeMap<String, String>,
    },
    /// What the account of a Cdn lists.
    Search(SearchSpec),
}

/// A search in the account of the set's first Cdn that has assets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchSpec {
    /// Its path, as the account has it.
    pub folder: String,
    /// Folders inside it as well.
    pub subfolders: bool,
    /// Types of assets; empty means every type.
    pub types: Vec<String>,
    /// Whether assets are marked for publish; `None` is either.
    pub publish_state: Option<PublishState>,
    /// A glob over ids; only `*` is special.
    pub name: Option<String>,
    /// What is taken as each asset's revision.
    pub revision: Option<SearchRevision>,
    /// Milliseconds after which an answer is too old.
    pub poll_ms: u64,
}

/// `revision` of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchRevision {
    /// When it was last modified.
    Modified,
    /// When it was last published.
    Published,
}

/// `publishState` of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishState {
    /// Marked for publish.
    Marked,
    /// Not marked for publish.
    NotMarked,
}

/// A whole URL.
#[derive(Clone, Debug)]
pub struct UrlSpec {
    /// Byte for byte.
    pub url: String,
    /// Of this URL alone.
    pub revision: Option<String>,
}

/// `limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsSpec {
    /// Items sent without approval, per target, after folding.
    pub max_urls: u64,
    /// Share of a ledger with at least 100 entries, in percent; `None` is `off`.
    pub max_share_percent: Option<u32>,
}

/// `after`: what a tier waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// Everything in the tier before it was accepted and has settled.
    #[default]
    Accepted,
    /// It was also seen to have taken effect, or `verify.timeout` is over.
    Verified,
}

/// `onCreate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCreate {
    /// Send everything.
    Invalidate,
    /// Record everything as already fresh.
    Adopt,
}

/// `onRemove`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRemove {
    /// Nothing is sent.
    Ignore,
    /// The CDN is told once more.
    Invalidate,
}

/// A secret by reference; read when used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable's name.
    Env(String),
    /// A file's path.
    File(String),
}

/// All manifests that could be read, and all problems.
#[derive(Debug, Default)]
pub struct Catalog {
    /// By name.
    pub cdns: BTreeMap<String, Arc<Manifest<CdnSpec>>>,
    /// By name.
    pub templates: BTreeMap<String, Arc<Manifest<TemplateSpec>>>,
    /// By name.
    pub sets: BTreeMap<String, Arc<Manifest<AssetSetSpec>>>,
    /// Sets that were named but cannot be used: they keep their last good state.
    pub broken_sets: Vec<String>,
    /// Something could not be read so far that we know whose it is: while this
    /// holds, nothing counts as vanished.
    pub unreadable_files: bool,
    /// Every finding, in the order of files and lines.
    pub problems: Vec<super::problem::Problem>,
}
