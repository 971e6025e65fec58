//! Wire values as one document, or as one object a line.

use serde::Serialize;
use serde_json::{Map, Value};

/// Indented, for programs and for a look with the eye.
pub fn document(wire: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(wire).expect("a wire value has only text keys");
    text.push('\n');
    text
}

/// The elements of every list as a line of their own, named by `type` after
/// the list; then all that is no list, as the `summary`.
pub fn lines(wire: &impl Serialize) -> String {
    let value = serde_json::to_value(wire).expect("a wire value has only text keys");
    let Value::Object(fields) = value else {
        return format!("{value}\n");
    };
    let mut text = String::new();
    let mut rest = typed("summary", Map::new());
    for (name, field) in fields {
        match field {
            Value::Array(elements) => {
                let name = name.strip_suffix('s').unwrap_or(&name);
                for element in elements {
                    text.push_str(&Value::Object(element_line(name, element)).to_string());
                    text.push('\n');
                }
            }
            other => {
                rest.insert(name, other);
            }
        }
    }
    text.push_str(&Value::Object(rest).to_string());
    text.push('\n');
    text
}

fn element_line(name: &str, element: Value) -> Map<String, Value> {
    match element {
        Value::Object(fields) => typed(name, fields),
        other => typed(name, Map::from_iter([("value".to_owned(), other)])),
    }
}

fn typed(name: &str, mut fields: Map<String, Value>) -> Map<String, Value> {
    fields.insert("type".to_owned(), Value::String(name.to_owned()));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_what_it_is_and_the_summary_comes_last() {
        let wire = serde_json::json!({
            "format": "freshen.example/v1",
            "sets": [{ "name": "a" }, { "name": "b" }],
            "urls": ["u"],
        });
        insta::assert_snapshot!(lines(&wire), @r#"
        {"name":"a","type":"set"}
        {"name":"b","type":"set"}
        {"type":"url","value":"u"}
        {"format":"freshen.example/v1","type":"summary"}
        "#);
    }
}
