//! What is to be fetched of what was explained.

use std::collections::BTreeSet;

use url::Url;

use crate::batch::origin::at;
use crate::batch::verify::Sight;
use crate::declare::{Cdn, Declared};
use crate::digest::{ItemKind, Key};
use crate::report::explain::Explained;
use crate::state::{Records, StateError};

/// URLs that are fetched, at most.
const MOST: usize = 20;

/// A URL to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As a visitor asks for it.
    pub url: String,
    /// The Cdn that it belongs to.
    pub cdn: String,
    /// The same at the Cdn's `origin`, where it declares one.
    pub at_origin: Option<String>,
    /// What the edge served before it was last sent, where somebody looked.
    pub before: Option<Sight>,
}

/// The URLs that were found, or the subject where it is one that a Cdn takes.
pub fn wanted(
    declared: &Declared,
    records: Option<&Records>,
    explained: &Explained,
) -> Result<Vec<Wanted>, StateError> {
    let found = explained.urls.iter();
    let mut all: BTreeSet<(&str, &str)> = found
        .map(|url| (url.url.as_str(), url.cdn.as_str()))
        .collect();
    let subject = explained.subject.as_str();
    let is_declared = all.iter().any(|(url, _)| *url == subject);
    if Url::parse(subject).is_ok() && !is_declared {
        let cdns = declared.cdns.values().filter(|cdn| cdn.covers(subject));
        all = cdns.map(|cdn| (subject, cdn.name.as_str())).collect();
    }
    let all = all.into_iter().take(MOST);
    let all = all.filter_map(|(url, cdn)| Some((url, declared.cdns.get(cdn)?)));
    all.map(|(url, cdn)| one(records, url, cdn)).collect()
}

fn one(records: Option<&Records>, url: &str, cdn: &Cdn) -> Result<Wanted, StateError> {
    let key = Key::of(ItemKind::Url, cdn.wire.item(url.as_bytes()));
    let mut before = None;
    if let Some(records) = records
        && let Some(target) = records.target_id(cdn.provider.target())?
    {
        before = records
            .last_probe(target, key)?
            .and_then(|probe| probe.before);
    }
    let origin = cdn.origin.as_deref();
    Ok(Wanted {
        url: url.to_owned(),
        cdn: cdn.name.clone(),
        at_origin: origin.and_then(|origin| at(origin, url)),
        before,
    })
}
