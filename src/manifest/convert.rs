//! From a tree that passed its check to a wire struct, through `serde_yaml`.

use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value as Yaml};

use super::check::check;
use super::node::{Document, Node, Scalar, Value};
use super::problem::Problem;
use super::schema::{MappingShape, Shape};

/// Checks a block of a document against its schema and reads it, such as a
/// provider's; `name` is the field that holds it.
pub fn decode<T: DeserializeOwned>(
    document: &Document,
    node: &Node,
    shape: &Shape,
    name: &str,
) -> Result<T, Vec<Problem>> {
    let problems = check(document, node, shape, name, node);
    if !problems.is_empty() {
        return Err(problems);
    }
    convert(document, node, shape).map_err(|problem| vec![*problem])
}

/// Reads a tree that passed the check of `shape`.
pub(super) fn convert<T: DeserializeOwned>(
    document: &Document,
    node: &Node,
    shape: &Shape,
) -> Result<T, Box<Problem>> {
    serde_yaml::from_value(to_yaml(node, shape)).map_err(|error| {
        // Reached only where a schema allows more than its struct.
        let place = Some(document.place_of(node));
        Box::new(Problem::error("bad-value", place, error.to_string()))
    })
}

/// The schema steers what a scalar is, so that a text stays as it was written.
fn to_yaml(node: &Node, shape: &Shape) -> Yaml {
    match &node.value {
        Value::Scalar(scalar) => scalar_to_yaml(scalar, shape),
        Value::Sequence(items) => {
            let anything = Shape::anything();
            let shape = shape
                .sequence
                .as_ref()
                .map_or(&anything, |list| &list.items);
            Yaml::Sequence(items.iter().map(|item| to_yaml(item, shape)).collect())
        }
        Value::Mapping(pairs) => {
            let anything = Shape::anything();
            let fields = fields_of(node, &shape.mappings);
            let mut mapping = Mapping::with_capacity(pairs.len());
            for (key, value) in pairs {
                let name = key.text().unwrap_or_default();
                let shape = fields
                    .and_then(|shape| shape.fields.get(name).or(shape.others.as_deref()))
                    .unwrap_or(&anything);
                mapping.insert(Yaml::String(name.to_owned()), to_yaml(value, shape));
            }
            Yaml::Mapping(mapping)
        }
    }
}

fn fields_of<'s>(node: &Node, shapes: &'s [MappingShape]) -> Option<&'s MappingShape> {
    if let [only] = shapes {
        return Some(only);
    }
    let is_meant = |shape: &&MappingShape| {
        let tag = shape.required.first();
        tag.is_some_and(|tag| node.get(tag).is_some())
    };
    shapes.iter().find(is_meant)
}

fn scalar_to_yaml(scalar: &Scalar, shape: &Shape) -> Yaml {
    let allowed = shape.scalar.as_ref().filter(|allowed| !allowed.text);
    if let Some(allowed) = allowed {
        if let (true, Ok(number)) = (allowed.integer, scalar.text.parse::<u64>()) {
            return Yaml::Number(number.into());
        }
        if allowed.boolean {
            return Yaml::Bool(&*scalar.text == "true");
        }
    }
    Yaml::String(scalar.text.to_string())
}
