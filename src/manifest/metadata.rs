//! `metadata`: what all kinds have in common.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::node::Document;
use super::problem::Problem;
use super::scalar::{Formed, Name};
use super::spec::Step;
use super::suggest::nearest;
use super::wire::Text;
use crate::digest::Digest;

/// Approval by pull request: the id of the plan that may be sent.
pub const APPROVE: &str = "freshen/approve";

const ANNOTATIONS: [&str; 1] = [APPROVE];

/// Who this is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MetadataWire {
    /// The identity: unique among manifests of one kind, whatever the file.
    pub(super) name: Formed<Name>,
    /// Earlier names, whose records this one carries on.
    pub(super) formerly: Option<Vec<Formed<Name>>>,
    /// For people and tools; freshen does not read them.
    #[expect(dead_code, reason = "checked for their form, and for nothing else")]
    pub(super) labels: Option<BTreeMap<String, Text>>,
    /// Notes; those that start with `freshen/` are instructions.
    pub(super) annotations: Option<BTreeMap<String, Text>>,
}

/// Instructions that nobody would follow.
pub(super) fn check(document: &Document) -> Vec<Problem> {
    let path = [Step::Key("metadata"), Step::Key("annotations")];
    let pairs = document.root.at(&path).map_or(&[][..], |node| node.pairs());
    let mut problems = Vec::new();
    for (key, value) in pairs {
        let name = key.text().unwrap_or_default();
        let plan = value.text().unwrap_or_default();
        if name == APPROVE && !Digest::is_named_by(plan) {
            let message = format!("`{plan}` names no plan");
            let place = Some(document.place_of(value));
            let hint = "`freshen plan` shows the id, of which the first 12 digits are enough";
            problems.push(Problem::error("bad-approval", place, message).hint(hint));
        }
        if !name.starts_with("freshen/") || ANNOTATIONS.contains(&name) {
            continue;
        }
        let message = format!("unknown annotation `{name}`");
        let place = Some(document.place_of(key));
        let problem = Problem::error("unknown-annotation", place, message);
        problems.push(match nearest(name, ANNOTATIONS) {
            Some(known) => problem.hint(format!("did you mean `{known}`?")),
            None => problem.hint("annotations under `freshen/` are instructions to freshen"),
        });
    }
    problems
}
