//! Reads manifests and the files they name, from a folder or from a commit.
//!
//! A scan pins each root by a directory handle and reads everything through
//! it; at the end it looks whether anything changed meanwhile, and if so
//! starts again. The bytes that were hashed are the bytes that are expanded.

mod commit;
mod disk;
mod git;
mod scan;
mod store;
mod tree;
mod walk;

pub use crate::manifest::SourceFile;
pub use commit::{CommitError, at_commit, commit_of};
pub use scan::{LoadError, scan};
pub use store::ReadProblem;
pub use tree::{Contents, Hashed, PathInRoot, Tree, Visited};
