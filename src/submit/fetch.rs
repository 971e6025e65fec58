//! Fetching a URL as a visitor does: what the edge has, and since when.

use std::time::Duration;

use reqwest::header::{AGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::transport::{Fault, Transport};
use crate::digest::Digest;

/// A copy of what a URL stands for, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// Seconds since the edge had it from the origin, where it says so.
    pub age_s: Option<u64>,
    /// `ETag`, or else `Last-Modified`.
    pub validator: Option<String>,
    /// Of its bytes.
    pub digest: Digest,
    /// When it came.
    pub at: Instant,
}

impl Transport {
    /// Gets `url`, without any credentials; redirects are not followed.
    pub async fn fetch(&self, url: &str, limit: Duration) -> Result<Fetched, Fault> {
        let mut response = self.client(url).get(url).timeout(limit).send().await?;
        let (at, headers) = (Instant::now(), response.headers());
        let (age_s, validator) = (age_s(headers), validator(headers));
        let mut hash = Sha256::new();
        while let Some(chunk) = response.chunk().await? {
            hash.update(&chunk);
        }
        Ok(Fetched {
            status: response.status().as_u16(),
            age_s,
            validator,
            digest: Digest(hash.finalize().into()),
            at,
        })
    }
}

fn age_s(headers: &HeaderMap) -> Option<u64> {
    text(headers, &AGE)?.parse().ok()
}

fn validator(headers: &HeaderMap) -> Option<String> {
    let told = text(headers, &ETAG).or_else(|| text(headers, &LAST_MODIFIED));
    told.map(str::to_owned)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}
