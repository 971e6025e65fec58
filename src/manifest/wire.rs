//! Pieces that the wire structs of all kinds, and of provider blocks, share.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};

use super::spec::SecretRef;

/// A text that may be written without quotes, whatever it looks like: `1.10`
/// stays `1.10`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Text(pub String);

impl JsonSchema for Text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"], "minLength": 1 })
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

/// The texts of an optional list.
pub(super) fn texts(list: Option<Vec<Text>>) -> Vec<String> {
    list.unwrap_or_default()
        .into_iter()
        .map(String::from)
        .collect()
}

/// A text that stands for the rest of its mapping: `a` for `{ name: a }`.
#[derive(Clone, Debug)]
pub enum Short<T> {
    /// Just the text.
    Text(String),
    /// The mapping.
    Full(T),
}

impl<T: JsonSchema> JsonSchema for Short<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("TextOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Text>();
        let full = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [text, full] })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShortVisitor(PhantomData))
    }
}

struct ShortVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ShortVisitor<T> {
    type Value = Short<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a mapping")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Short::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Short::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Short::Full)
    }
}

/// A switch, or a list in its stead: `true` for all, names for some.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Switch<T> {
    /// All or none.
    Flag(bool),
    /// These.
    List(Vec<T>),
}

/// One, or a list of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// Just one.
    One(T),
    /// The list.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// All of them.
    pub fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// A secret by reference, `{ env: NAME }` or `{ file: PATH }`; never inline.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("writeOnly" = true))]
pub enum SecretWire {
    /// In an environment variable.
    Env(SecretEnvWire),
    /// In a file.
    File(SecretFileWire),
}

/// `{ env: NAME }`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretEnvWire {
    /// The environment variable that holds the secret when it is used.
    pub env: Text,
}

/// `{ file: PATH }`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFileWire {
    /// The file that holds the secret when it is used.
    pub file: Text,
}

impl From<SecretWire> for SecretRef {
    fn from(wire: SecretWire) -> Self {
        match wire {
            SecretWire::Env(SecretEnvWire { env }) => Self::Env(env.0),
            SecretWire::File(SecretFileWire { file }) => Self::File(file.0),
        }
    }
}

/// An image preset: its name, or its name and revision.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PresetWire {
    /// As used in `?$name$`.
    pub name: Text,
    /// Bump it when the preset is redefined.
    pub revision: Option<Text>,
}

impl From<Short<PresetWire>> for super::spec::PresetSpec {
    fn from(wire: Short<PresetWire>) -> Self {
        match wire {
            Short::Text(name) => Self {
                name,
                revision: None,
            },
            Short::Full(PresetWire { name, revision }) => Self {
                name: name.0,
                revision: revision.map(String::from),
            },
        }
    }
}
