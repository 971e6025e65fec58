//! `kind: Template`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::node::{Document, Node, Style, Value};
use super::problem::Problem;
use super::spec::{Step, TemplateEntry, TemplateSpec};
use super::wire::{Short, Text, texts};

const URLS: [Step<'static>; 2] = [Step::Key("spec"), Step::Key("urls")];

/// Forms of URLs, each applied to every asset of the sets that name it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateWire {
    /// Bump it to send again whatever any entry yields.
    revision: Option<Text>,
    /// A block (`|`) with one entry a line, or a list of entries.
    urls: EntriesWire,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum EntriesWire {
    Block(#[expect(dead_code, reason = "the tree has its lines with their places")] Text),
    List(Vec<Short<EntryWire>>),
}

/// One entry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EntryWire {
    /// With its tokens: `<ID>`, `<SERVER>`, `<COMPANY>`, `<CROP>`, `<PRESET>`.
    url: Text,
    /// Bump it to send again whatever this entry yields.
    revision: Option<Text>,
    /// Asset types that it applies to; all where left out.
    types: Option<Vec<Text>>,
}

/// What the schema cannot say about entries.
pub(super) fn check(document: &Document) -> Vec<Problem> {
    let Some(node) = document.root.at(&URLS) else {
        return Vec::new();
    };
    let place = Some(document.place(&[Step::Key("spec"), Step::KeyOf("urls")]));
    let problem = match &node.value {
        Value::Scalar(scalar) if joins_lines(scalar.style, node) => Problem::error(
            "folded-block",
            place,
            "`urls` is a block whose lines are joined into one",
        )
        .hint("start it with `urls: |`, which keeps one entry a line"),
        Value::Scalar(_) if block_entries(document, node).next().is_none() => {
            Problem::error("empty-value", place, "`urls` holds no entry")
        }
        Value::Sequence(items) if items.is_empty() => {
            Problem::error("empty-value", place, "`urls` holds no entry")
        }
        _ => return Vec::new(),
    };
    vec![problem]
}

fn joins_lines(style: Style, node: &Node) -> bool {
    let is_long = node.span.end_line > node.span.line;
    style == Style::Folded || is_long && style != Style::Literal
}

/// The spec of a document that passed its check.
pub(super) fn to_spec(wire: TemplateWire, document: &Document) -> TemplateSpec {
    let urls = match wire.urls {
        EntriesWire::Block(_) => {
            let node = document.root.nearest(&URLS);
            block_entries(document, node).collect()
        }
        EntriesWire::List(entries) => {
            let nodes = document.root.nearest(&URLS).items();
            let entries = entries.into_iter().zip(nodes);
            entries
                .map(|(entry, node)| to_entry(entry, document, node))
                .collect()
        }
    };
    TemplateSpec {
        revision: wire.revision.map(String::from),
        urls,
    }
}

fn block_entries<'a>(
    document: &'a Document,
    node: &'a Node,
) -> impl Iterator<Item = TemplateEntry> + 'a {
    document.lines_of(node).filter_map(|(line, place)| {
        let url = line.trim();
        let is_entry = !url.is_empty() && !url.starts_with('#');
        is_entry.then(|| TemplateEntry {
            url: url.to_owned(),
            revision: None,
            types: Vec::new(),
            place,
        })
    })
}

fn to_entry(wire: Short<EntryWire>, document: &Document, node: &Node) -> TemplateEntry {
    let url_node = node.get("url").unwrap_or(node);
    let place = document.place_of(url_node);
    match wire {
        Short::Text(url) => TemplateEntry {
            url,
            revision: None,
            types: Vec::new(),
            place,
        },
        Short::Full(entry) => TemplateEntry {
            url: entry.url.0,
            revision: entry.revision.map(String::from),
            types: texts(entry.types),
            place,
        },
    }
}
