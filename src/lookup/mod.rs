//! Look-ups: what the account of a CDN is asked, and what it last answered.
//!
//! Nothing is asked here. An answer is a table with an age: it stands in for a
//! file that a manifest names, so that it is hashed once, covered by a set's
//! inputs, and in force until the next good one.

mod gather;
mod known;
mod pass;
mod publication;
mod schedule;
pub mod table;

pub use gather::{Gathering, Next, Page, Row};
pub use known::{Failure, Good, Known, Missing, Recorded, View};
pub use pass::Pass;
pub use publication::{Listed, Publication};
pub use schedule::due_ms;

use std::sync::Arc;

use crate::digest::Digest;
use crate::manifest::{PublishState, SearchRevision, SearchSpec};

/// What an account is asked. Two sets that want the same share its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The assets of a folder: rows of id, type and, where wanted, revision. An
    /// account lists no publications: see [`Listed`] for what it answers then.
    Assets(AssetQuery),
    /// The image presets of the account: rows of name and definition.
    Presets,
    /// Which of these ids the account has, sorted: rows of id and type. None of
    /// them is an answer too.
    Names(Arc<[String]>),
    /// When the asset of that handle was last published: one row of a time, or
    /// none. No set depends on it by itself.
    History(String),
}

/// Which assets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetQuery {
    /// Its path, as the account has it.
    pub folder: String,
    /// Folders inside it as well.
    pub subfolders: bool,
    /// Types of assets, sorted; empty means every type.
    pub types: Vec<String>,
    /// Whether assets are marked for publish; `None` is either.
    pub publish_state: Option<PublishState>,
    /// What is taken as each asset's revision.
    pub revision: Option<SearchRevision>,
}

impl AssetQuery {
    /// What the account has to be asked for `search`; ids are told apart later.
    pub fn of(search: &SearchSpec) -> Self {
        let mut types = search.types.clone();
        types.sort_unstable();
        types.dedup();
        Self {
            folder: search.folder.clone(),
            subfolders: search.subfolders,
            types,
            publish_state: search.publish_state,
            revision: search.revision,
        }
    }
}

impl Query {
    /// Tells it from every other; part of the state's format.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Assets(query) => {
                let state = match query.publish_state {
                    None => "any",
                    Some(PublishState::Marked) => "marked",
                    Some(PublishState::NotMarked) => "not marked",
                };
                let flag = |is_so: bool| if is_so { "yes" } else { "no" };
                let fixed = [
                    "assets",
                    &query.folder,
                    flag(query.subfolders),
                    state,
                    match query.revision {
                        None => "no",
                        Some(SearchRevision::Modified) => "yes",
                        Some(SearchRevision::Published) => "published",
                    },
                ];
                let types = query.types.iter().map(String::as_str);
                Digest::of_parts(fixed.into_iter().chain(types).map(str::as_bytes))
            }
            Self::Presets => Digest::of_parts([b"presets".as_slice()]),
            Self::Names(names) => {
                let names = names.iter().map(String::as_bytes);
                Digest::of_parts(std::iter::once(b"names".as_slice()).chain(names))
            }
            Self::History(handle) => Digest::of_parts([b"history".as_slice(), handle.as_bytes()]),
        }
    }

    /// What only judges comes after what sets are expanded from.
    pub fn is_check(&self) -> bool {
        matches!(self, Self::Names(_))
    }

    /// Whether its revisions are asked for one by one, after the list.
    pub fn wants_histories(&self) -> bool {
        matches!(self, Self::Assets(query) if query.revision == Some(SearchRevision::Published))
    }

    /// What it asks for, for people.
    pub fn about(&self) -> String {
        match self {
            Self::Assets(query) => format!("the assets of `{}`", query.folder),
            Self::Presets => "the image presets".to_owned(),
            Self::Names(names) => format!("{} listed ids", names.len()),
            Self::History(handle) => format!("the publish history of asset `{handle}`"),
        }
    }
}
