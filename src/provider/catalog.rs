//! The list of providers.

use std::sync::Arc;

use schemars::Schema;
use serde_yaml::Value;

use super::{Places, Provider, dynamic_media};
use crate::manifest::{self, Problem};

/// A provider by the key of its block in a Cdn manifest.
struct Kind {
    name: &'static str,
    schema: fn() -> Schema,
    decode: fn(Value, &Places<'_>) -> Decoded,
}

/// A provider, or everything that is wrong with its block.
pub type Decoded = Result<Arc<dyn Provider>, Vec<Problem>>;

/// A new provider is one line here.
const KINDS: [Kind; 1] = [Kind {
    name: "dynamicMedia",
    schema: manifest::schema_of::<dynamic_media::Block>,
    decode: |block, places| {
        let block = shaped(block, places)?;
        Ok(Arc::new(dynamic_media::decode(block, places)?))
    },
}];

/// The keys that a Cdn manifest may have its provider block under.
pub fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name)
}

/// The JSON Schema (draft-07, self-contained) of every provider's block.
pub fn schemas() -> Vec<(&'static str, Schema)> {
    KINDS
        .iter()
        .map(|kind| (kind.name, (kind.schema)()))
        .collect()
}

/// The provider that `block`, found under the key `name`, describes. The block
/// has been checked against its schema; `places` tells where its values stand.
pub fn decode(name: &str, block: Value, places: &Places<'_>) -> Decoded {
    let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else {
        let message = format!("no provider is called `{name}`");
        return Err(vec![Problem::error(
            "unknown-provider",
            places(&[]),
            message,
        )]);
    };
    (kind.decode)(block, places)
}

/// The block as its own type; fails only where no schema check came first.
fn shaped<B: serde::de::DeserializeOwned>(
    block: Value,
    places: &Places<'_>,
) -> Result<B, Vec<Problem>> {
    serde_yaml::from_value(block)
        .map_err(|error| vec![Problem::error("schema", places(&[]), error.to_string())])
}
