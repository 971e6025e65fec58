//! Cdns, with their providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_yaml::Value;

use crate::digest::Digest;
use crate::expand;
use crate::manifest::{
    Bucket, CdnSpec, Manifest, Place, Problem, ProviderSchemas, RateLimit, Shape, Step, Verify,
    decode,
};
use crate::provider::{Provider, catalog};
use crate::wire::Wire;

/// A Cdn, with its provider.
#[derive(Debug)]
pub struct Cdn {
    /// `metadata.name`.
    pub name: String,
    /// Its codec.
    pub provider: Arc<dyn Provider>,
    /// How URLs become items.
    pub wire: Wire,
    /// Items of one batch, at most: by manifest and by provider.
    pub max_batch: u32,
    /// The rates to keep; what the manifest leaves out is the provider's default.
    pub rate: RateLimit,
    /// The rate of look-ups, which have a budget of their own.
    pub look_ups: Vec<Bucket>,
    /// Calls under way at once.
    pub concurrency: u32,
    /// Milliseconds from an acceptance to the next tier.
    pub settle_ms: u64,
    /// Nothing is sent while true.
    pub suspend: bool,
    /// Whether what it serves is looked at.
    pub verify: Option<Verify>,
    /// Scheme, host and port of what the edge fetches from, where declared.
    pub origin: Option<String>,
    /// Milliseconds that a new revision is held, at most, until the origin shows
    /// other bytes; it has an origin then.
    pub wait_for_origin_ms: Option<u64>,
    /// Milliseconds from an acceptance to sending again, each.
    pub repeat_ms: Vec<u64>,
    /// Of what the manifest says: a change lifts refusals.
    pub digest: Digest,
    /// Where it is declared.
    pub place: Place,
    /// Where its granularity is.
    pub(super) granularity: Place,
}

impl Cdn {
    /// Whether `url` is one of this Cdn's, as far as its root tells.
    pub fn covers(&self, url: &str) -> bool {
        let root = self.provider.addressing().and_then(|it| it.root.as_deref());
        expand::judge_url(url, root).is_ok()
    }
}

/// The Cdns whose provider block makes sense.
pub(super) fn declare_cdns(
    manifests: BTreeMap<String, Arc<Manifest<CdnSpec>>>,
    schemas: &ProviderSchemas,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Cdn> {
    let mut cdns = BTreeMap::new();
    for (name, manifest) in manifests {
        let provider = provider_of(&manifest, schemas).and_then(|provider| {
            let lacking = lacks_origin(&manifest).map(|problem| vec![problem]);
            lacking.map_or(Ok(provider), Err)
        });
        match provider {
            Ok(provider) => {
                let cdn = declare_cdn(&manifest, provider);
                problems.extend(cut_batch(&manifest, &cdn));
                cdns.insert(name, cdn);
            }
            Err(found) => problems.extend(found),
        }
    }
    cdns
}

fn provider_of(
    manifest: &Manifest<CdnSpec>,
    schemas: &ProviderSchemas,
) -> Result<Arc<dyn Provider>, Vec<Problem>> {
    let CdnSpec {
        provider, block, ..
    } = &manifest.spec;
    let schema = schemas
        .get(provider.as_str())
        .expect("the catalogue knows the providers by these schemas");
    let shape = Shape::new(schema.as_value());
    let value: Value = decode(&manifest.document, block, &shape, provider)?;
    let place_of = |path: &[Step<'_>]| {
        let block = [Step::Key("spec"), Step::Key(provider)];
        Some(manifest.place(&[&block[..], path].concat()))
    };
    catalog::decode(provider, value, &place_of)
}

/// That nobody says where new bytes are to be looked for.
fn lacks_origin(manifest: &Manifest<CdnSpec>) -> Option<Problem> {
    let spec = &manifest.spec;
    if spec.wait_for_origin_ms.is_none() || spec.origin.is_some() {
        return None;
    }
    let place = manifest.place(&[Step::Key("spec"), Step::KeyOf("waitForOrigin")]);
    let message = "`waitForOrigin` needs an `origin` to look at";
    let problem = Problem::error("no-origin", Some(place), message);
    Some(problem.hint("add `origin: https://...`, where the edge fetches from"))
}

/// That fewer items go into a batch than was declared.
fn cut_batch(manifest: &Manifest<CdnSpec>, cdn: &Cdn) -> Option<Problem> {
    let declared = manifest.spec.max_batch?;
    let most = cdn.max_batch;
    let path = [Step::Key("spec"), Step::Key("batch"), Step::Key("maxUrls")];
    let message = format!("a batch holds {most} URLs at most, so {declared} comes to {most}");
    let problem = Problem::warning("batch-size", Some(manifest.place(&path)), message);
    (most < declared).then(|| problem.hint(format!("write {most}, or leave it out")))
}

fn declare_cdn(manifest: &Manifest<CdnSpec>, provider: Arc<dyn Provider>) -> Cdn {
    let spec = &manifest.spec;
    let capacity = provider.capacity().max_items;
    Cdn {
        name: manifest.name.clone(),
        wire: Wire::new(&spec.granularity),
        max_batch: spec
            .max_batch
            .map_or(capacity, |declared| declared.min(capacity)),
        rate: rate_of(spec.rate_limit.as_ref(), provider.default_rate()),
        look_ups: match (&spec.look_ups[..], provider.as_library()) {
            ([], Some(library)) => library.default_rate(),
            (declared, _) => declared.to_vec(),
        },
        concurrency: spec.concurrency,
        settle_ms: spec.settle_ms,
        suspend: spec.suspend,
        verify: spec.verify,
        origin: spec.origin.clone(),
        wait_for_origin_ms: spec.wait_for_origin_ms,
        repeat_ms: spec.repeat_ms.clone(),
        digest: manifest.document.digest,
        place: manifest.place(&[Step::Key("metadata"), Step::Key("name")]),
        granularity: manifest.place(&[Step::Key("spec"), Step::Key("granularity")]),
        provider,
    }
}

/// Declared buckets of calls leave the default ones of items alone, and the
/// other way round.
fn rate_of(declared: Option<&RateLimit>, default: RateLimit) -> RateLimit {
    let Some(declared) = declared else {
        return default;
    };
    let or = |declared: &Vec<_>, default: Vec<_>| match &declared[..] {
        [] => default,
        buckets => buckets.to_vec(),
    };
    RateLimit {
        requests: or(&declared.requests, default.requests),
        urls: or(&declared.urls, default.urls),
    }
}
