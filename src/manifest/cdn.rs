//! `kind: Cdn`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::node::{Document, Node};
use super::problem::Problem;
use super::scalar::{Duration, Formed, Host, Rate, Server};
use super::spec::{CdnSpec, Fold, Granularity, RateLimit, Step, Verify};
use super::wire::OneOrMany;

const SETTLE_MS: u64 = 5_000;
const SAMPLE: u32 = 20;
const TIMEOUT_MS: u64 = 5 * 60 * 1000;

/// A CDN account, and how it may be spoken to. Its provider block names the
/// kind of CDN.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CdnWire {
    /// How much of a URL one invalidation covers: `url`, `path` (everything
    /// from the first `?` on is dropped), or by host.
    granularity: Option<GranularityWire>,
    /// How many items go in one call.
    batch: Option<BatchWire>,
    /// How fast calls and items may follow each other; else the CDN's own limits.
    rate_limit: Option<RateLimitWire>,
    /// Calls under way at once.
    #[schemars(range(min = 1, max = 64))]
    concurrency: Option<u32>,
    /// How long to wait before the next tier; the CDN's own estimate wins when longer.
    settle: Option<Formed<Duration>>,
    /// Nothing is sent while true.
    suspend: Option<bool>,
    /// Looks at some URLs through the edge, before they are sent and after, and
    /// reports whether it took effect. Of use where this Cdn is what visitors
    /// meet: with another in front of it, that one's copies are seen.
    verify: Option<VerifyWire>,
    /// Where the edge fetches from, such as `https://origin.example.com`: what
    /// `explain --fetch` compares with. It is asked by this name, for the same
    /// path and query.
    origin: Option<Formed<Server>>,
    /// How long a new revision is held, at most, until the `origin` shows other
    /// bytes than before, such as `30m`: for manifests that are committed before
    /// the asset is published. Some URLs are looked at, as many as `verify` says.
    wait_for_origin: Option<Formed<Duration>>,
    /// What was accepted is sent again so much later, such as `[2m, 15m]`: for
    /// origins that publish after the manifest says so.
    repeat: Option<OneOrMany<Formed<Duration>>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VerifyWire {
    /// URLs of a batch that are looked at; 20 where left out.
    #[schemars(range(min = 1, max = 1000))]
    sample: Option<u32>,
    /// How long what does not show an effect is looked at, from when it should;
    /// `5m` where left out.
    timeout: Option<Formed<Duration>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum GranularityWire {
    All(FoldWire),
    ByHost(ByHostWire),
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum FoldWire {
    Url,
    Path,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ByHostWire {
    /// For hosts not named; `url` where left out.
    default: Option<FoldWire>,
    /// Hosts whose URLs are cut at the first `?`.
    path: Option<Vec<Formed<Host>>>,
    /// Hosts whose URLs are taken as they are.
    url: Option<Vec<Formed<Host>>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BatchWire {
    /// Items in one call, at most; never more than the CDN takes.
    #[schemars(range(min = 1, max = 1_000_000))]
    max_urls: Option<u32>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RateLimitWire {
    /// Calls: `6/1m` is a bucket of 6, refilled with 6 each minute; or several.
    requests: Option<OneOrMany<Formed<Rate>>>,
    /// Items, in the same way.
    urls: Option<OneOrMany<Formed<Rate>>>,
    /// Look-ups of assets and presets, which have a budget of their own;
    /// `60/1m` where left out.
    look_ups: Option<OneOrMany<Formed<Rate>>>,
}

/// The provider block that a Cdn has, or why there is not exactly one.
pub(super) fn provider<'d>(
    document: &'d Document,
    known: &[&'static str],
) -> Result<(&'static str, &'d Node), Box<Problem>> {
    let spec = document.root.get("spec");
    let mut found = known.iter().filter_map(|name| {
        let (key, block) = spec?.pair(name)?;
        Some((*name, key, block))
    });
    let Some((name, _, block)) = found.next() else {
        let place = document.place(&[Step::KeyOf("spec")]);
        let message = "the Cdn has no provider block";
        let problem = Problem::error("no-provider", Some(place), message);
        return Err(Box::new(
            problem.hint(format!("add one of: {}", known.join(", "))),
        ));
    };
    match found.next() {
        None => Ok((name, block)),
        Some((other, key, _)) => {
            let message = format!("two provider blocks, `{name}` and `{other}`");
            let place = Some(document.place_of(key));
            let problem = Problem::error("two-providers", place, message);
            Err(Box::new(problem.hint("declare a Cdn for each of them")))
        }
    }
}

/// The spec of a document that passed its check.
pub(super) fn to_spec(wire: CdnWire, provider: &str, block: &Node) -> CdnSpec {
    let look_ups = wire
        .rate_limit
        .as_ref()
        .and_then(|limit| limit.look_ups.clone());
    CdnSpec {
        provider: provider.to_owned(),
        block: block.clone(),
        granularity: to_granularity(wire.granularity),
        max_batch: wire.batch.and_then(|batch| batch.max_urls),
        look_ups: to_buckets(look_ups),
        rate_limit: wire.rate_limit.map(|limit| RateLimit {
            requests: to_buckets(limit.requests),
            urls: to_buckets(limit.urls),
        }),
        concurrency: wire.concurrency.unwrap_or(1),
        settle_ms: wire.settle.map_or(SETTLE_MS, |settle| settle.0.ms),
        suspend: wire.suspend.unwrap_or(false),
        origin: wire.origin.map(|origin| origin.0.url),
        wait_for_origin_ms: wire.wait_for_origin.map(|limit| limit.0.ms),
        repeat_ms: to_delays(wire.repeat),
        verify: wire.verify.as_ref().map(to_verify),
    }
}

fn to_delays(repeat: Option<OneOrMany<Formed<Duration>>>) -> Vec<u64> {
    let delays = repeat.map(OneOrMany::into_vec).unwrap_or_default();
    delays.into_iter().map(|delay| delay.0.ms).collect()
}

fn to_verify(wire: &VerifyWire) -> Verify {
    Verify {
        sample: wire.sample.unwrap_or(SAMPLE) as usize,
        timeout_ms: wire
            .timeout
            .as_ref()
            .map_or(TIMEOUT_MS, |timeout| timeout.0.ms),
    }
}

fn to_granularity(wire: Option<GranularityWire>) -> Granularity {
    let by_host = match wire {
        Some(GranularityWire::ByHost(by_host)) => by_host,
        Some(GranularityWire::All(fold)) => ByHostWire {
            default: Some(fold),
            path: None,
            url: None,
        },
        None => ByHostWire {
            default: None,
            path: None,
            url: None,
        },
    };
    Granularity {
        default: match by_host.default {
            Some(FoldWire::Path) => Fold::Path,
            Some(FoldWire::Url) | None => Fold::Url,
        },
        path_hosts: hosts(by_host.path),
        url_hosts: hosts(by_host.url),
    }
}

fn hosts(declared: Option<Vec<Formed<Host>>>) -> Vec<String> {
    let declared = declared.into_iter().flatten();
    declared.map(|host| host.0.name).collect()
}

fn to_buckets(rates: Option<OneOrMany<Formed<Rate>>>) -> Vec<super::spec::Bucket> {
    let rates = rates.map(OneOrMany::into_vec).unwrap_or_default();
    rates.into_iter().map(|rate| rate.0.bucket).collect()
}
