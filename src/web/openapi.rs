//! The `OpenAPI` document, made from the list of operations and the schemas of
//! what they take and answer.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::routes::{Content, Operation, operations};
use crate::report::api::ErrorDocument;

/// A type, by what the document says of it.
pub(super) struct Component {
    name: String,
    schema: Value,
}

impl Component {
    pub(super) fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let mut schema: Schema = settings.into_generator().into_root_schema_for::<T>();
        schema.remove("title");
        Self {
            name: T::schema_name().into_owned(),
            schema: schema.to_value(),
        }
    }

    fn reference(&self) -> Value {
        json!({ "$ref": format!("#/components/schemas/{}", self.name) })
    }
}

/// The whole document.
pub fn document() -> Value {
    let operations = operations();
    let refusal = Component::of::<ErrorDocument>();
    let mut paths = Map::new();
    for operation in &operations {
        let method = if operation.is_change { "post" } else { "get" };
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[method] = described(operation, &refusal);
    }
    let mut schemas = Map::new();
    for component in operations.into_iter().flat_map(components).chain([refusal]) {
        schemas.insert(component.name, component.schema);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "freshen",
            "description": "What a running daemon tells, and what it can be asked for.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "What is in the file that `--api-token-file` names.",
            } },
        },
    })
}

/// What is referred to by name.
fn components(operation: Operation) -> impl Iterator<Item = Component> {
    let answer = match operation.answer {
        Content::Document(component) => Some(component),
        Content::Json | Content::Text(_) => None,
    };
    operation.body.into_iter().chain(answer)
}

fn described(operation: &Operation, refusal: &Component) -> Value {
    let mut described = json!({
        "summary": operation.summary,
        "parameters": parameters(operation),
        "responses": {
            (operation.status.to_string()): answered(operation),
            "default": {
                "description": "Why not",
                "content": { "application/json": { "schema": refusal.reference() } },
            },
        },
    });
    if let Some(body) = &operation.body {
        described["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": body.reference() } },
        });
    }
    if operation.is_change {
        described["security"] = json!([{ "token": [] }]);
    }
    described
}

fn answered(operation: &Operation) -> Value {
    let (media, schema) = match &operation.answer {
        Content::Document(component) => ("application/json", component.reference()),
        Content::Json => ("application/json", json!({ "type": "object" })),
        Content::Text(media) => (*media, json!({ "type": "string" })),
    };
    let description = match operation.status {
        202 => "Asked for",
        _ => "What was asked about",
    };
    json!({ "description": description, "content": { media: { "schema": schema } } })
}

/// Those in the path, then those behind the `?`.
fn parameters(operation: &Operation) -> Vec<Value> {
    let parts = operation.path.split('/');
    let in_path = parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        let schema = json!({ "type": "string" });
        json!({ "in": "path", "name": name, "required": true, "schema": schema })
    });
    let query = operation.query.as_ref().map(|query| &query.schema);
    let properties = query.and_then(|query| query["properties"].as_object());
    let required = query.and_then(|query| query["required"].as_array());
    let in_query = properties.into_iter().flatten().map(|(name, schema)| {
        let is_required = required.is_some_and(|names| names.iter().any(|other| other == name));
        json!({ "in": "query", "name": name, "required": is_required, "schema": schema })
    });
    in_path.chain(in_query).collect()
}
