//! Importing: what a person has already, as manifests.
//!
//! A list of URLs is read (`source`), told apart by account (`account`), cut
//! where asset ids stand (`cut`), grouped (`group`) and written as manifests
//! (`manifests`). Whether they say the same as the list is not believed but
//! proven (`proof`): by what they expand to once they are read back.

mod account;
mod cut;
mod group;
mod log;
mod manifests;
mod name;
mod proof;
mod sitemap;
mod source;
mod template;

use crate::provider::dynamic_media::{judge_root, judge_server};

pub use group::{Account, AssetGroup, Pattern, group};
pub use manifests::of_accounts;
pub use proof::{Unproven, prove};
pub use source::{Listing, read};
pub use template::{Screen, of_screen};

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Inside the folder of manifests, with `/` between folders.
    pub path: String,
    /// The whole of it.
    pub text: String,
}

/// Where editors find the schema of what is written.
pub const SCHEMA: &str = ".freshen/manifest.json";

/// Scheme and host that stand in front of paths, or why `text` is neither.
pub fn server(text: &str) -> Result<String, String> {
    let form = "write scheme and host only, such as https://s7d1.scene7.com";
    let judged = judge_server(text).map_err(|why| format!("{why}; {form}"));
    judged.map(|()| text.to_owned())
}

/// The name of a company that is the root of its URLs, or why `text` is none.
pub fn company(text: &str) -> Result<String, String> {
    judge_root(text).map(|()| text.to_owned())
}
