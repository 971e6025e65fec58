//! Manifests: from text to checked values, with every problem in its place.
//!
//! A file becomes positioned trees (`yaml`), each tree is checked against
//! the schema of its kind (`check`), a clean tree becomes a spec, and the
//! catalogue of all of them is checked for what they say of each other.

mod asset_set;
mod canonical;
mod catalog;
mod cdn;
mod check;
mod convert;
mod metadata;
pub mod node;
mod plaintext;
pub mod problem;
mod reading;
mod readings;
mod references;
pub mod scalar;
pub mod schema;
mod search;
pub mod source;
pub mod spec;
mod suggest;
mod template;
mod userinfo;
pub mod wire;
mod yaml;

pub use catalog::{read_again, read_catalog};
pub use convert::decode;
pub use metadata::APPROVE;
pub use node::{Document, Node};
pub use problem::{Place, Problem, Severity, distinct};
pub use readings::Readings;
pub use schema::{ProviderSchemas, Shape, manifest_schema, schema_of};
pub use search::POLL_MS;
pub use source::SourceFile;
pub use spec::*;
pub use suggest::nearest;
pub use userinfo::without_userinfo;
