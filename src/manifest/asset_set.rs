//! `kind: AssetSet`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{Formed, Share, Time};
use super::search::{self, SearchWire};
use super::spec::{
    After, AssetSetSpec, AssetSpec, AssetsFrom, LimitsSpec, OnCreate, OnRemove, PresetChoice,
    PresetSpec, UrlSpec,
};
use super::wire::{OneOrMany, PresetWire, Short, Switch, Text, texts};

const DEFAULT_LIMITS: LimitsSpec = LimitsSpec {
    max_urls: 10_000,
    max_share_percent: None,
};

/// What is kept fresh: assets and URLs, at their revisions, on which CDNs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AssetSetWire {
    /// Names of Cdns in tiers, inner first; a tier may be a list. May be left
    /// out where one Cdn is declared.
    cdns: Option<Vec<OneOrMany<Text>>>,
    /// What the next tier waits for: `accepted`, or `verified` to wait until what
    /// the one before it serves was looked at, as its Cdns' `verify` says, and has
    /// changed or was fetched anew as it was; for its `timeout` at most.
    after: Option<AfterWire>,
    /// Names of Templates to apply to every asset.
    templates: Option<Vec<Text>>,
    /// `true` for one URL for each image preset of the Cdn, or names of presets.
    image_presets: Option<Switch<Short<PresetWire>>>,
    /// Bump it to send again whatever the set yields.
    revision: Option<Text>,
    /// Smart crops of its assets, for `<CROP>`; an asset's own win.
    smart_crops: Option<Vec<Text>>,
    /// Assets: an id, or an id with its type, revision and crops.
    assets: Option<Vec<Short<AssetWire>>>,
    /// Assets listed in files beside the manifest, or by the CDN itself.
    assets_from: Option<Vec<AssetsFromWire>>,
    /// A file for each asset: whenever its content changes, the asset is sent again.
    revision_from: Option<RevisionFromWire>,
    /// Whole URLs.
    urls: Option<Vec<Short<UrlWire>>>,
    /// Declared URLs to leave out; `*` stands for any characters.
    exclude: Option<Vec<Text>>,
    /// Asset ids to leave out; `*` stands for any characters.
    exclude_assets: Option<Vec<Text>>,
    /// What may be sent without approval, for each CDN.
    limits: Option<LimitsWire>,
    /// What a first sight of this set means: `invalidate`, or `adopt` to
    /// record everything as already fresh.
    on_create: Option<OnCreateWire>,
    /// What it means that a URL leaves this set: `ignore`, or `invalidate` to
    /// send it once more, within `limits`. What is excluded or still declared
    /// by another set for the same Cdn is not sent.
    on_remove: Option<OnRemoveWire>,
    /// Nothing is sent before this time.
    not_before: Option<Formed<Time>>,
    /// Nothing is sent while true.
    suspend: Option<bool>,
    /// A bad row in a file fails the set instead of being skipped.
    strict: Option<bool>,
    /// Whether the account is asked if it has the listed assets, of their types;
    /// what it does not know is named, and fails the set where it is `strict`.
    check_assets: Option<bool>,
}

/// An asset.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AssetWire {
    /// Goes into URLs for `<ID>`.
    id: Text,
    /// Its type in Dynamic Media, such as `Image`.
    #[serde(rename = "type")]
    kind: Option<Text>,
    /// Bump it to send this asset again.
    revision: Option<Text>,
    /// Its smart crops, in place of the set's.
    smart_crops: Option<Vec<Text>>,
}

/// A source of assets.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum AssetsFromWire {
    Lines(LinesWire),
    Csv(CsvWire),
    DynamicMedia(Box<DynamicMediaWire>),
}

/// A file with one id a line.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LinesWire {
    /// Relative to the manifest, inside its root.
    file: Text,
    /// Type of all its assets.
    #[serde(rename = "type")]
    kind: Option<Text>,
    /// Bump it to send all its assets again.
    revision: Option<Text>,
}

/// A table with a header.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CsvWire {
    /// Relative to the manifest, inside its root.
    csv: Text,
    /// The column that holds the id.
    id: Text,
    /// The column that holds the revision.
    revision: Option<Text>,
    /// The column that holds the type.
    #[serde(rename = "type")]
    kind: Option<Text>,
    /// Only rows whose columns hold exactly these texts.
    #[serde(rename = "where")]
    filter: Option<BTreeMap<String, Text>>,
}

/// A search in the account of the set's first `dynamicMedia` Cdn.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DynamicMediaWire {
    /// What to search for.
    dynamic_media: SearchWire,
}

/// Where a revision of each asset comes from, besides those declared.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RevisionFromWire {
    /// Relative to the manifest, inside its root; `<ID>` stands for the id of
    /// the asset.
    file: Text,
}

/// A URL.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UrlWire {
    /// As it is requested, byte for byte.
    url: Text,
    /// Bump it to send this URL again.
    revision: Option<Text>,
}

/// Beyond these, approval is asked for.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LimitsWire {
    /// Items sent at once.
    #[schemars(range(max = 1_000_000_000))]
    max_urls: Option<u64>,
    /// Share of what was sent before, such as `30%`; or `off`.
    max_share: Option<Formed<Share>>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum AfterWire {
    Accepted,
    Verified,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum OnCreateWire {
    Invalidate,
    Adopt,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum OnRemoveWire {
    Ignore,
    Invalidate,
}

/// The spec of a document that passed its check.
pub(super) fn to_spec(wire: AssetSetWire) -> AssetSetSpec {
    let assets = wire.assets.unwrap_or_default();
    let sources = wire.assets_from.unwrap_or_default();
    let urls = wire.urls.unwrap_or_default();
    AssetSetSpec {
        cdns: to_tiers(wire.cdns),
        after: match wire.after {
            Some(AfterWire::Verified) => After::Verified,
            Some(AfterWire::Accepted) | None => After::Accepted,
        },
        templates: texts(wire.templates),
        image_presets: to_presets(wire.image_presets),
        revision: wire.revision.map(String::from),
        smart_crops: wire.smart_crops.map(|crops| texts(Some(crops))),
        assets: assets.into_iter().map(to_asset).collect(),
        assets_from: sources.into_iter().map(to_source).collect(),
        revision_file: wire.revision_from.map(|from| from.file.0),
        urls: urls.into_iter().map(to_url).collect(),
        exclude: texts(wire.exclude),
        exclude_assets: texts(wire.exclude_assets),
        limits: wire.limits.map_or(DEFAULT_LIMITS, to_limits),
        on_create: match wire.on_create {
            Some(OnCreateWire::Adopt) => OnCreate::Adopt,
            Some(OnCreateWire::Invalidate) | None => OnCreate::Invalidate,
        },
        on_remove: match wire.on_remove {
            Some(OnRemoveWire::Invalidate) => OnRemove::Invalidate,
            Some(OnRemoveWire::Ignore) | None => OnRemove::Ignore,
        },
        not_before_ms: wire.not_before.map(|time| time.0.ms),
        suspend: wire.suspend.unwrap_or(false),
        strict: wire.strict.unwrap_or(false),
        check_assets: wire.check_assets.unwrap_or(false),
    }
}

fn to_tiers(wire: Option<Vec<OneOrMany<Text>>>) -> Vec<Vec<String>> {
    let tiers = wire.unwrap_or_default().into_iter();
    tiers.map(|tier| texts(Some(tier.into_vec()))).collect()
}

fn to_presets(wire: Option<Switch<Short<PresetWire>>>) -> PresetChoice {
    match wire {
        None | Some(Switch::Flag(false)) => PresetChoice::None,
        Some(Switch::Flag(true)) => PresetChoice::All,
        Some(Switch::List(presets)) => {
            PresetChoice::Named(presets.into_iter().map(PresetSpec::from).collect())
        }
    }
}

fn to_asset(wire: Short<AssetWire>) -> AssetSpec {
    match wire {
        Short::Text(id) => AssetSpec {
            id,
            kind: None,
            revision: None,
            smart_crops: None,
        },
        Short::Full(asset) => AssetSpec {
            id: asset.id.0,
            kind: asset.kind.map(String::from),
            revision: asset.revision.map(String::from),
            smart_crops: asset.smart_crops.map(|crops| texts(Some(crops))),
        },
    }
}

fn to_source(wire: AssetsFromWire) -> AssetsFrom {
    match wire {
        AssetsFromWire::Lines(lines) => AssetsFrom::Lines {
            file: lines.file.0,
            kind: lines.kind.map(String::from),
            revision: lines.revision.map(String::from),
        },
        AssetsFromWire::Csv(csv) => AssetsFrom::Csv {
            file: csv.csv.0,
            id: csv.id.0,
            revision: csv.revision.map(String::from),
            kind: csv.kind.map(String::from),
            filter: to_filter(csv.filter),
        },
        AssetsFromWire::DynamicMedia(search) => {
            AssetsFrom::Search(search::to_spec(search.dynamic_media))
        }
    }
}

fn to_filter(wire: Option<BTreeMap<String, Text>>) -> BTreeMap<String, String> {
    let pairs = wire.unwrap_or_default().into_iter();
    pairs.map(|(column, text)| (column, text.0)).collect()
}

fn to_url(wire: Short<UrlWire>) -> UrlSpec {
    match wire {
        Short::Text(url) => UrlSpec {
            url,
            revision: None,
        },
        Short::Full(full) => UrlSpec {
            url: full.url.0,
            revision: full.revision.map(String::from),
        },
    }
}

fn to_limits(wire: LimitsWire) -> LimitsSpec {
    LimitsSpec {
        max_urls: wire.max_urls.unwrap_or(DEFAULT_LIMITS.max_urls),
        max_share_percent: match wire.max_share {
            Some(share) => share.0.percent,
            None => DEFAULT_LIMITS.max_share_percent,
        },
    }
}
