//! Looking at what an edge serves, as a visitor would (edge: network).
//!
//! A look is a `GET`: what a cache answers to a `HEAD` may be neither its copy
//! nor leave one behind, and only bytes can be compared where no validator is
//! told. It says nothing that would make a cache go to its origin, carries no
//! credentials, follows no redirect, and reads no more than the beginning.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AGE, CONTENT_LENGTH, ETAG, HeaderMap, LAST_MODIFIED, LOCATION};
use reqwest::{Client, Response, redirect};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::transport::{Fault, SetUpError, choose_cryptography, is_loopback};
use crate::batch::verify::Sight;
use crate::digest::Digest;

/// Bytes of a body that are read and hashed.
const MOST_BYTES: usize = 1 << 20;
/// Looks under way at once.
const ABREAST: usize = 8;
/// For one look.
const PATIENCE: Duration = Duration::from_secs(5);
/// Characters of a header that are kept.
const MOST_CHARACTERS: usize = 200;

/// Headers in which caches tell what they did, lowercase.
const CACHE_HEADERS: [&str; 6] = [
    "x-cache",
    "x-cache-remote",
    "cf-cache-status",
    "cache-status",
    "cdn-cache",
    "x-proxy-cache",
];

/// What is said of an answer that did not come in time.
const LATE: &str = "no answer in time";

/// Looks at URLs.
#[derive(Clone, Debug)]
pub struct Lookout {
    system: Client,
    /// For loopback, as with calls.
    direct: Client,
}

impl Lookout {
    /// A lookout; proxies are taken from the environment as `curl` does.
    pub fn new() -> Result<Self, SetUpError> {
        choose_cryptography();
        let builder = || {
            Client::builder()
                .user_agent(concat!("freshen/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_gzip()
                .connect_timeout(PATIENCE)
                .timeout(PATIENCE)
        };
        Ok(Self {
            system: builder().build().map_err(SetUpError)?,
            direct: builder().no_proxy().build().map_err(SetUpError)?,
        })
    }

    /// Looks at one URL; `now_ms` is now.
    pub async fn look(&self, url: &str, now_ms: i64) -> Result<Sight, String> {
        let seen = timeout(PATIENCE, self.fetch(url, now_ms)).await;
        let seen = seen.map_err(|_| LATE.to_owned())?;
        seen.map_err(|error| Fault::from(error).to_string())
    }

    /// Looks at all of `urls`, in their order, for no longer than `limit`.
    pub async fn look_at_all(
        self,
        urls: Vec<String>,
        now_ms: i64,
        limit: Duration,
    ) -> Vec<Result<Sight, String>> {
        let started = Instant::now();
        let mut seen: Vec<_> = urls.iter().map(|_| Err(LATE.to_owned())).collect();
        let room = Arc::new(Semaphore::new(ABREAST));
        let mut looks = JoinSet::new();
        for (at, url) in urls.into_iter().enumerate() {
            let (lookout, room) = (self.clone(), Arc::clone(&room));
            looks.spawn(async move {
                let _place = room.acquire().await;
                let waited_ms = i64::try_from(started.elapsed().as_millis()).unwrap_or(0);
                (at, lookout.look(&url, now_ms + waited_ms).await)
            });
        }
        // What has not answered by then is dropped with `looks`.
        while let Ok(Some(joined)) = timeout_at(started + limit, looks.join_next()).await {
            if let Ok((at, sight)) = joined {
                seen[at] = sight;
            }
        }
        seen
    }

    async fn fetch(&self, url: &str, now_ms: i64) -> Result<Sight, reqwest::Error> {
        let client = if is_loopback(url) {
            &self.direct
        } else {
            &self.system
        };
        let mut response = client.get(url).send().await?;
        let mut sight = sight_of(&response, now_ms);
        sight.body = Some(hashed(&mut response).await?);
        Ok(sight)
    }
}

fn sight_of(response: &Response, now_ms: i64) -> Sight {
    let headers = response.headers();
    let number = |name| text(headers, name)?.trim().parse().ok();
    let told = CACHE_HEADERS.iter().flat_map(|name| headers.get_all(*name));
    let told: Vec<&str> = told.filter_map(|value| value.to_str().ok()).collect();
    Sight {
        asked_ms: now_ms,
        status: response.status().as_u16(),
        etag: text(headers, ETAG.as_str()),
        modified: text(headers, LAST_MODIFIED.as_str()),
        length: number(CONTENT_LENGTH.as_str()),
        age_s: number(AGE.as_str()),
        cache: (!told.is_empty()).then(|| shortened(&told.join(", "))),
        body: None,
    }
}

/// SHA-256 of where a redirect leads and of the body, as far as it is read.
async fn hashed(response: &mut Response) -> Result<String, reqwest::Error> {
    let mut hash = Sha256::new();
    hash.update(text(response.headers(), LOCATION.as_str()).unwrap_or_default());
    let mut left = MOST_BYTES;
    while left > 0
        && let Some(chunk) = response.chunk().await?
    {
        let read = chunk.len().min(left);
        hash.update(&chunk[..read]);
        left -= read;
    }
    Ok(Digest(hash.finalize().into()).to_string())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(shortened(value))
}

fn shortened(text: &str) -> String {
    text.chars()
        .filter(|one| !one.is_control())
        .take(MOST_CHARACTERS)
        .collect()
}
