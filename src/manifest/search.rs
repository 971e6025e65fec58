//! `assetsFrom: - dynamicMedia`: assets as the account itself lists them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{Formed, Poll};
use super::spec::{PublishState, SearchRevision, SearchSpec};
use super::wire::{Text, texts};

/// How often an account is asked, where a manifest does not say.
pub const POLL_MS: u64 = 5 * 60 * 1000;

/// Which assets of the account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SearchWire {
    /// Path of the folder as Dynamic Media shows it, such as `AcmeCorp/Spring`.
    folder: Text,
    /// Folders inside it as well; `true` where left out.
    subfolders: Option<bool>,
    /// Types of assets, such as `Image`; all types where left out.
    types: Option<Vec<Text>>,
    /// Whether assets are marked for publish; `MarkedForPublish` where left out.
    publish_state: Option<PublishStateWire>,
    /// Only ids of this form; `*` stands for any characters.
    name: Option<Text>,
    /// What is taken as each asset's revision; none where left out.
    /// `lastPublished` moves when new bytes can be had, and costs one question
    /// to the account for each asset that was modified. `lastModified` moves at
    /// the upload, before the new bytes are published: what is sent then may
    /// fill the cache with the old ones once more.
    revision: Option<SearchRevisionWire>,
    /// How often to ask, at least a second apart; `5m` where left out.
    poll: Option<Formed<Poll>>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
enum PublishStateWire {
    MarkedForPublish,
    NotMarkedForPublish,
    #[serde(rename = "any")]
    Any,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum SearchRevisionWire {
    /// Moves at the upload, which is before the new bytes are published.
    LastModified,
    /// The latest time in the asset's publish history, whatever the server.
    LastPublished,
}

pub(super) fn to_spec(wire: SearchWire) -> SearchSpec {
    SearchSpec {
        folder: wire.folder.0,
        subfolders: wire.subfolders.unwrap_or(true),
        types: texts(wire.types),
        publish_state: match wire.publish_state {
            Some(PublishStateWire::NotMarkedForPublish) => Some(PublishState::NotMarked),
            Some(PublishStateWire::Any) => None,
            Some(PublishStateWire::MarkedForPublish) | None => Some(PublishState::Marked),
        },
        name: wire.name.map(String::from),
        revision: wire.revision.map(|revision| match revision {
            SearchRevisionWire::LastModified => SearchRevision::Modified,
            SearchRevisionWire::LastPublished => SearchRevision::Published,
        }),
        poll_ms: wire.poll.map_or(POLL_MS, |poll| poll.0.ms),
    }
}
