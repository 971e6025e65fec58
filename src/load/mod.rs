//! Reads manifests and the files they name, from a folder or from a commit.
//!
//! A scan pins each root by a directory handle and reads everything through
//! it; at the end it looks whether anything changed meanwhile, and if so
//! starts again. The bytes that were hashed are the bytes that are expanded.

mod commit;
mod content;
mod disk;
mod footprint;
mod git;
mod index;
mod looks;
mod named;
mod scan;
mod stamp;
mod store;
mod tree;
mod walk;

pub use crate::manifest::SourceFile;
pub use commit::{CommitError, at_commit, commit_of};
pub use footprint::Footprint;
pub use index::{Index, Indexed};
pub use looks::Looks;
pub use named::Hashed;
pub use scan::{LoadError, scan, scan_with};
pub use stamp::Stamp;
pub use store::ReadProblem;
pub use tree::{Contents, PathInRoot, Tree, Visited};
