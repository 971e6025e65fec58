//! The JSON Schema of manifests, generated from the wire structs, and its
//! compiled form that trees are checked against.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::asset_set::AssetSetWire;
use super::cdn::CdnWire;
use super::scalar::Format;
use super::template::TemplateWire;

/// The `apiVersion` of every manifest.
pub const API_VERSION: &str = "freshen/v1";

/// Provider blocks by their key in `Cdn.spec`, as [`schema_of`] gives them.
pub type ProviderSchemas = BTreeMap<&'static str, Schema>;

/// The schema of `T`, draft-07, without references; null is never a value.
pub fn schema_of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft07()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(WithoutNull);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema
}

/// The schema of one manifest document of any kind.
pub fn manifest_schema(providers: &ProviderSchemas) -> Value {
    let kinds = Kinds::new(providers);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "freshen manifest",
        "description": "One YAML document that declares a Cdn, a Template or an AssetSet.",
        "oneOf": [kinds.cdn, kinds.template, kinds.asset_set],
    })
}

/// The schemas of the three kinds of document.
pub(super) struct Kinds {
    pub(super) cdn: Value,
    pub(super) template: Value,
    pub(super) asset_set: Value,
}

impl Kinds {
    pub(super) fn new(providers: &ProviderSchemas) -> Self {
        let mut cdn = schema_of::<CdnWire>().to_value();
        add_providers(&mut cdn, providers);
        Self {
            cdn: document("Cdn", &cdn),
            template: document("Template", schema_of::<TemplateWire>().as_value()),
            asset_set: document("AssetSet", schema_of::<AssetSetWire>().as_value()),
        }
    }
}

fn document(kind: &str, spec: &Value) -> Value {
    json!({
        "title": kind,
        "type": "object",
        "properties": {
            "apiVersion": { "description": "The version of this format.", "const": API_VERSION },
            "kind": { "description": "What is declared.", "const": kind },
            "metadata": schema_of::<super::metadata::MetadataWire>(),
            "spec": spec,
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": false,
    })
}

fn add_providers(cdn: &mut Value, providers: &ProviderSchemas) {
    let properties = cdn["properties"]
        .as_object_mut()
        .expect("a struct's schema has properties");
    for (name, schema) in providers {
        properties.insert((*name).to_owned(), schema.as_value().clone());
    }
    // Editors show this; the check of our own words it better.
    let choices: Vec<Value> = providers
        .keys()
        .map(|name| json!({ "required": [name] }))
        .collect();
    if !choices.is_empty() {
        cdn["oneOf"] = Value::Array(choices);
    }
}

/// Absent is absent: no field may be declared as null.
#[derive(Clone, Debug)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if schema.get("default").is_some_and(Value::is_null) {
            schema.remove("default");
        }
        let Some(object) = schema.as_object_mut() else {
            return;
        };
        if let Some(Value::Array(kinds)) = object.get_mut("type") {
            kinds.retain(|kind| kind != "null");
            if let [only] = kinds.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(values)) = object.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
        without_null_branch(object);
    }
}

fn without_null_branch(object: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = object.get_mut("anyOf") else {
        return;
    };
    branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
    if branches.len() > 1 {
        return;
    }
    if let Some(Value::Object(only)) = branches.pop() {
        object.remove("anyOf");
        for (key, value) in only {
            // The description beside a reference is the field's own: it wins.
            object.entry(key).or_insert(value);
        }
    }
}

/// A schema, compiled: what a scalar, a list and a mapping may be here.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    pub(super) scalar: Option<ScalarShape>,
    pub(super) sequence: Option<Box<SequenceShape>>,
    /// Several are told apart by their first required field.
    pub(super) mappings: Vec<MappingShape>,
    /// Anything goes.
    pub(super) any: bool,
    /// Its text must not be shown.
    pub(super) is_secret: bool,
}

/// What a scalar may be.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a schema may allow any combination of these"
)]
pub(super) struct ScalarShape {
    pub(super) text: bool,
    pub(super) boolean: bool,
    pub(super) integer: bool,
    pub(super) options: Vec<String>,
    pub(super) format: Option<Format>,
    pub(super) not_empty: bool,
    pub(super) minimum: Option<u64>,
    pub(super) maximum: Option<u64>,
}

/// What a list may hold.
#[derive(Clone, Debug)]
pub(super) struct SequenceShape {
    pub(super) items: Shape,
    pub(super) not_empty: bool,
}

/// What a mapping may hold.
#[derive(Clone, Debug, Default)]
pub(super) struct MappingShape {
    pub(super) fields: BTreeMap<String, Shape>,
    pub(super) required: Vec<String>,
    /// Of fields not listed; `None` refuses them.
    pub(super) others: Option<Box<Shape>>,
}

impl Shape {
    /// Compiles a schema made of what [`schema_of`] generates.
    pub fn new(schema: &Value) -> Self {
        let mut shape = Self::default();
        let is_open = match schema {
            Value::Object(object) => shape.add(object),
            _ => true,
        };
        shape.any = is_open;
        shape
    }

    /// Adds what `schema` allows; `true` where it says nothing about kinds.
    fn add(&mut self, schema: &Map<String, Value>) -> bool {
        self.is_secret |= schema.get("writeOnly") == Some(&Value::Bool(true));
        let mut is_open = true;
        for branch in branches(schema) {
            self.add(branch);
            is_open = false;
        }
        if schema.contains_key("enum") || schema.contains_key("const") {
            self.add_options(schema);
            return false;
        }
        for kind in kinds(schema) {
            is_open = false;
            match kind {
                "object" => self.mappings.push(MappingShape::new(schema)),
                "array" => self.sequence = Some(Box::new(SequenceShape::new(schema))),
                _ => self.add_scalar(kind, schema),
            }
        }
        is_open
    }

    fn add_options(&mut self, schema: &Map<String, Value>) {
        let scalar = self.scalar.get_or_insert_default();
        let listed = schema.get("enum").and_then(Value::as_array);
        let values = listed.into_iter().flatten().chain(schema.get("const"));
        let texts = values.filter_map(Value::as_str).map(str::to_owned);
        scalar.text = true;
        scalar.options.extend(texts);
    }

    fn add_scalar(&mut self, kind: &str, schema: &Map<String, Value>) {
        let scalar = self.scalar.get_or_insert_default();
        scalar.text |= kind == "string";
        scalar.boolean |= kind == "boolean";
        scalar.integer |= kind == "integer";
        let number = |key: &str| schema.get(key).and_then(Value::as_u64);
        scalar.minimum = number("minimum").or(scalar.minimum);
        scalar.maximum = number("maximum").or(scalar.maximum);
        scalar.not_empty |= number("minLength").is_some_and(|length| length > 0);
        let format = schema.get("format").and_then(Value::as_str);
        scalar.format = format.and_then(Format::named).or(scalar.format);
    }
}

impl SequenceShape {
    fn new(schema: &Map<String, Value>) -> Self {
        Self {
            items: schema.get("items").map_or_else(Shape::anything, Shape::new),
            not_empty: schema.get("minItems").and_then(Value::as_u64) > Some(0),
        }
    }
}

impl MappingShape {
    fn new(schema: &Map<String, Value>) -> Self {
        let fields = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array);
        let others = match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            Some(schema) => Some(Box::new(Shape::new(schema))),
            None => Some(Box::new(Shape::anything())),
        };
        Self {
            fields: fields
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), Shape::new(schema)))
                .collect(),
            required: required
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            others,
        }
    }
}

impl Shape {
    /// Allows everything.
    pub(super) fn anything() -> Self {
        Self {
            any: true,
            ..Self::default()
        }
    }

    /// The shape of a field that every mapping of this shape has.
    pub(super) fn field(&self, name: &str) -> &Shape {
        let mut fields = self.mappings.iter().map(|mapping| &mapping.fields);
        fields
            .find_map(|fields| fields.get(name))
            .expect("only asked for fields of all manifests")
    }
}

/// The alternatives of a schema, without those that only require a field.
fn branches(schema: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema.get(key).and_then(Value::as_array))
        .flatten()
        .filter_map(Value::as_object)
        .filter(|branch| !(branch.len() == 1 && branch.contains_key("required")))
}

fn kinds(schema: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match schema.get("type") {
        Some(Value::String(kind)) => (Some(kind.as_str()), None),
        Some(Value::Array(kinds)) => (None, Some(kinds.iter().filter_map(Value::as_str))),
        _ => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten())
}
