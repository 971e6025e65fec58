//! The origin: what was uploaded, and what of it was published.
#![expect(
    clippy::disallowed_methods,
    reason = "what is published carries the time of it"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::digest::Digest;

/// Uploading and publishing are two steps, as they are at Adobe: what was
/// uploaded is not served before it is published.
#[derive(Debug)]
pub(super) struct Origin {
    root: String,
    uploaded: BTreeMap<String, Arc<[u8]>>,
    published: BTreeMap<String, Published>,
}

#[derive(Clone, Debug)]
struct Published {
    bytes: Arc<[u8]>,
    at: SystemTime,
}

/// What a URL yields at one moment.
#[derive(Clone, Debug)]
pub(super) struct Representation {
    pub(super) body: Vec<u8>,
    pub(super) etag: String,
    pub(super) modified: SystemTime,
}

impl Origin {
    pub(super) fn new(root: &str) -> Self {
        Self {
            root: root.to_owned(),
            uploaded: BTreeMap::new(),
            published: BTreeMap::new(),
        }
    }

    pub(super) fn upload(&mut self, asset: &str, bytes: Vec<u8>) {
        self.uploaded.insert(asset.to_owned(), bytes.into());
    }

    /// Whether there is something to publish.
    pub(super) fn has(&self, asset: &str) -> bool {
        self.uploaded.contains_key(asset)
    }

    /// Serves what was last uploaded, where something was.
    pub(super) fn publish(&mut self, asset: &str) {
        if let Some(bytes) = self.uploaded.get(asset) {
            let published = Published {
                bytes: Arc::clone(bytes),
                at: SystemTime::now(),
            };
            self.published.insert(asset.to_owned(), published);
        }
    }

    /// What the path and query of a URL yield, if published.
    pub(super) fn get(&self, target: &str) -> Option<Representation> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let id = ["/is/image/", "/is/content/"]
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix))?
            .strip_prefix(&self.root)?
            .strip_prefix('/')?;
        let (published, crop) =
            self.published
                .get(id)
                .map(|found| (found, None))
                .or_else(|| {
                    let (id, crop) = id.rsplit_once(':')?;
                    Some((self.published.get(id)?, Some(crop)))
                })?;
        let body = render(&published.bytes, crop, query);
        Some(Representation {
            etag: format!("\"{}\"", Digest::of(&body).short()),
            body,
            modified: published.at,
        })
    }
}

/// A stand-in for image processing: other crops and presets, other bytes.
fn render(bytes: &[u8], crop: Option<&str>, query: Option<&str>) -> Vec<u8> {
    let mut body = bytes.to_vec();
    for (name, value) in [("crop", crop), ("query", query)] {
        if let Some(value) = value {
            body.extend_from_slice(format!("\n[{name} {value}]").as_bytes());
        }
    }
    body
}
