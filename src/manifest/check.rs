//! Checks a positioned tree against a compiled schema, for all findings.

use std::fmt;

use super::node::{Document, Node, Scalar, Style, Value};
use super::problem::Problem;
use super::schema::{MappingShape, ScalarShape, SequenceShape, Shape};
use super::suggest::nearest;

/// Longer lists of known fields are left to the schema.
const MAX_LISTED: usize = 12;

/// Everything in `node` that `shape` does not allow. `name` is the field that
/// holds it, and `key` where that is written.
pub(super) fn check(
    document: &Document,
    node: &Node,
    shape: &Shape,
    name: &str,
    key: &Node,
) -> Vec<Problem> {
    let mut checker = Checker {
        document,
        problems: Vec::new(),
        is_secret: false,
    };
    let field = Field {
        name,
        key,
        is_item: false,
    };
    checker.value(node, shape, field);
    checker.problems
}

/// What a message calls a value.
#[derive(Clone, Copy)]
struct Field<'a> {
    name: &'a str,
    key: &'a Node,
    is_item: bool,
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_item {
            write!(f, "an item of ")?;
        }
        write!(f, "`{}`", self.name)
    }
}

struct Checker<'d> {
    document: &'d Document,
    problems: Vec<Problem>,
    /// Whether excerpts could show a secret that was written inline.
    is_secret: bool,
}

impl Checker<'_> {
    fn value(&mut self, node: &Node, shape: &Shape, field: Field<'_>) {
        let was_secret = self.is_secret;
        self.is_secret |= shape.is_secret;
        match &node.value {
            Value::Scalar(scalar) if scalar.is_null() => self.nothing(node, field),
            _ if shape.any => {}
            Value::Scalar(scalar) => self.scalar(node, scalar, shape, field),
            Value::Sequence(items) => match &shape.sequence {
                Some(sequence) => self.sequence(node, items, sequence, field),
                None => self.wrong_kind(node, shape, field),
            },
            Value::Mapping(pairs) => match shape.mappings.as_slice() {
                [] => self.wrong_kind(node, shape, field),
                [only] => self.mapping(node, pairs, only, field),
                several => self.alternatives(node, pairs, several, field),
            },
        }
        self.is_secret = was_secret;
    }

    fn scalar(&mut self, node: &Node, scalar: &Scalar, shape: &Shape, field: Field<'_>) {
        let text = &*scalar.text;
        match &shape.scalar {
            Some(allowed) if allowed.text => self.text(node, text, allowed, field),
            Some(allowed) if allowed.integer && is_whole(scalar) => {
                self.whole_number(node, text, allowed, field);
            }
            Some(allowed) if allowed.boolean && is_flag(scalar) => {}
            _ => self.wrong_kind(node, shape, field),
        }
    }

    fn text(&mut self, node: &Node, text: &str, allowed: &ScalarShape, field: Field<'_>) {
        let options = &allowed.options;
        if !options.is_empty() && !options.iter().any(|option| option == text) {
            let message = format!("{field} must be {}", one_of(options, "or"));
            let hint = nearest(text, options.iter().map(String::as_str));
            let hint = hint.map(|option| format!("did you mean `{option}`?"));
            self.report("bad-value", node, message, hint);
        } else if allowed.not_empty && text.is_empty() {
            let message = format!("{field} must not be empty");
            let hint = Some("give it a text, or remove it".to_owned());
            self.report("empty-value", node, message, hint);
        } else if let Some(Err(expected)) = allowed.format.map(|format| format.check(text)) {
            let message = format!("{field}: {expected}");
            self.report("bad-value", node, message, None);
        }
    }

    fn whole_number(&mut self, node: &Node, text: &str, allowed: &ScalarShape, field: Field<'_>) {
        let minimum = allowed.minimum.unwrap_or(0);
        let maximum = allowed.maximum.unwrap_or(u64::from(u32::MAX));
        let is_in_range = text
            .parse()
            .is_ok_and(|number: u64| (minimum..=maximum).contains(&number));
        if !is_in_range {
            let message = format!("{field} must be from {minimum} to {maximum}");
            self.report("bad-value", node, message, None);
        }
    }

    fn sequence(&mut self, node: &Node, items: &[Node], shape: &SequenceShape, field: Field<'_>) {
        if shape.not_empty && items.is_empty() {
            let message = format!("{field} must not be empty");
            let hint = Some("list something in it, or remove it".to_owned());
            self.report("empty-value", node, message, hint);
        }
        for item in items {
            let field = Field {
                name: field.name,
                key: item,
                is_item: true,
            };
            self.value(item, &shape.items, field);
        }
    }

    fn mapping(
        &mut self,
        node: &Node,
        pairs: &[(Node, Node)],
        shape: &MappingShape,
        field: Field<'_>,
    ) {
        for (key, value) in pairs {
            let name = key.text().unwrap_or_default();
            let inner = Field {
                name,
                key,
                is_item: false,
            };
            match shape.fields.get(name).or(shape.others.as_deref()) {
                Some(shape) => self.value(value, shape, inner),
                None => self.unknown(inner, &[shape], field),
            }
        }
        for name in &shape.required {
            if node.get(name).is_none() {
                let message = format!("{field} lacks the field `{name}`");
                self.report("missing-field", field.key, message, None);
            }
        }
    }

    /// One of several forms, told apart by the field each of them starts with.
    fn alternatives(
        &mut self,
        node: &Node,
        pairs: &[(Node, Node)],
        several: &[MappingShape],
        field: Field<'_>,
    ) {
        let is_meant = |shape: &&MappingShape| {
            let tag = shape.required.first();
            tag.is_some_and(|tag| node.get(tag).is_some())
        };
        let meant: Vec<&MappingShape> = several.iter().filter(is_meant).collect();
        if let [only] = meant[..] {
            self.mapping(node, pairs, only, field);
            return;
        }
        let all: Vec<&MappingShape> = several.iter().collect();
        let tags = tags(if meant.is_empty() { &all } else { &meant });
        if meant.is_empty() {
            let message = format!("{field} needs {}", one_of(&tags, "or"));
            self.report("missing-field", field.key, message, None);
        } else {
            let message = format!("{field} may have only one of {}", one_of(&tags, "and"));
            let hint = Some("remove the others".to_owned());
            self.report("exclusive-fields", field.key, message, hint);
        }
        for (key, _) in pairs {
            let name = key.text().unwrap_or_default();
            if !all.iter().any(|shape| shape.fields.contains_key(name)) {
                let inner = Field {
                    name,
                    key,
                    is_item: false,
                };
                self.unknown(inner, &all, field);
            }
        }
    }

    fn unknown(&mut self, inner: Field<'_>, shapes: &[&MappingShape], outer: Field<'_>) {
        let message = format!("unknown field {inner} in {outer}");
        let mut known: Vec<&str> = shapes
            .iter()
            .flat_map(|shape| shape.fields.keys().map(String::as_str))
            .collect();
        known.sort_unstable();
        known.dedup();
        let hint = match nearest(inner.name, known.iter().copied()) {
            Some(name) => Some(format!("did you mean `{name}`?")),
            None if known.len() <= MAX_LISTED => {
                let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
                Some(format!("known here: {}", one_of(&known, "and")))
            }
            None => None,
        };
        self.report("unknown-field", inner.key, message, hint);
    }

    fn nothing(&mut self, node: &Node, field: Field<'_>) {
        let place = if node.span.column == node.span.end_column {
            field.key
        } else {
            node
        };
        let message = format!("{field} has no value");
        let hint = "give it one, or remove it; a text that reads as nothing needs quotes";
        self.report("empty-value", place, message, Some(hint.to_owned()));
    }

    fn wrong_kind(&mut self, node: &Node, shape: &Shape, field: Field<'_>) {
        let found = match &node.value {
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Scalar(_) => "a text",
        };
        let message = format!("{field}: expected {}, found {found}", expected(shape));
        let wants_flag = shape.scalar.as_ref().is_some_and(|scalar| scalar.boolean);
        let is_word = matches!(
            node.text(),
            Some("yes" | "no" | "on" | "off" | "True" | "False")
        );
        let hint = if self.is_secret {
            Some("name where it is kept: `{ env: NAME }` or `{ file: PATH }`".to_owned())
        } else {
            (wants_flag && is_word).then(|| "write `true` or `false`".to_owned())
        };
        self.report("wrong-type", node, message, hint);
    }

    fn report(&mut self, code: &'static str, node: &Node, message: String, hint: Option<String>) {
        let mut place = self.document.place_of(node);
        if self.is_secret {
            place.excerpt = None;
        }
        let mut problem = Problem::error(code, Some(place), message);
        problem.hint = hint;
        self.problems.push(problem);
    }
}

fn is_whole(scalar: &Scalar) -> bool {
    scalar.style == Style::Plain
        && !scalar.text.is_empty()
        && scalar.text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_flag(scalar: &Scalar) -> bool {
    scalar.style == Style::Plain && matches!(&*scalar.text, "true" | "false")
}

fn tags(shapes: &[&MappingShape]) -> Vec<String> {
    let firsts = shapes.iter().map(|shape| shape.required.first());
    firsts.flatten().cloned().collect()
}

fn expected(shape: &Shape) -> String {
    let scalar = shape.scalar.clone().unwrap_or_default();
    let kinds = [
        (scalar.text, "a text"),
        (scalar.integer, "a whole number"),
        (scalar.boolean && !scalar.text, "true or false"),
        (shape.sequence.is_some(), "a list"),
        (!shape.mappings.is_empty(), "a mapping"),
    ];
    let names = kinds.iter().filter(|(holds, _)| *holds);
    let names: Vec<&str> = names.map(|(_, name)| *name).collect();
    names.join(" or ")
}

/// `a`, `b` or `c`.
fn one_of(names: &[String], word: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {word} {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
