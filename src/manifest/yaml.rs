//! From text to positioned trees: one pass over the parser's events, under a
//! budget, so that no file can cost more than its length deserves.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::node::{Node, Scalar, Span, Style, Value};
use super::plaintext::{conflict_marker, not_utf8, point};
use super::problem::Problem;
use super::source::Source;

/// Manifests nest about 6 deep.
const MAX_DEPTH: usize = 32;

/// Anchors, and aliases to them, in one file.
const MAX_ANCHORS: usize = 100;

/// What all aliases of a file may add to its tree.
const MAX_ALIASED: Weight = Weight {
    nodes: 10_000,
    bytes: 1 << 20,
    depth: MAX_DEPTH,
};

/// A tree may have this many nodes, and one more for each 4 bytes of text.
const FREE_NODES: usize = 100_000;

/// Up to here, comparing all keys is cheaper than hashing them.
const SMALL_MAPPING: usize = 16;

/// What one file holds.
pub(super) struct Parsed {
    pub(super) documents: Vec<Tree>,
    /// Why the file could not be read to its end, if so.
    pub(super) failure: Option<Problem>,
}

/// One document's tree, without what is wrong in it.
pub(super) struct Tree {
    pub(super) root: Node,
    pub(super) problems: Vec<Problem>,
}

/// Every document of `source` that is not empty, up to the first place where
/// the text stops being YAML.
pub(super) fn parse(source: &Source, bytes: &[u8]) -> Parsed {
    let mut documents = Vec::new();
    let failure = match source.text() {
        None => Some(not_utf8(source, bytes)),
        Some(text) => conflict_marker(source, text)
            .or_else(|| read_events(source, text, &mut documents).err()),
    };
    Parsed { documents, failure }
}

fn read_events(source: &Source, text: &str, documents: &mut Vec<Tree>) -> Result<(), Problem> {
    let mut builder = Builder::new(source, text.len());
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| not_yaml(source, &error))?;
        let is_end = matches!(event, Event::DocumentEnd);
        builder.take(event, to_span(span))?;
        if is_end {
            documents.extend(builder.finish());
        }
    }
    Ok(())
}

struct Builder<'s> {
    source: &'s Source,
    /// Collections that have not ended, outermost first.
    open: Vec<Open>,
    root: Option<Node>,
    problems: Vec<Problem>,
    anchors: HashMap<usize, Node>,
    aliases: usize,
    aliased: Weight,
    nodes_left: usize,
}

struct Open {
    anchor: usize,
    span: Span,
    content: Content,
}

enum Content {
    Items(Vec<Node>),
    Pairs(Vec<(Node, Node)>, Option<Node>),
}

impl<'s> Builder<'s> {
    fn new(source: &'s Source, length: usize) -> Self {
        Self {
            source,
            open: Vec::new(),
            root: None,
            problems: Vec::new(),
            anchors: HashMap::new(),
            aliases: 0,
            aliased: Weight::default(),
            nodes_left: FREE_NODES + length / 4,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = self.style(style, tag.as_deref(), span);
                let text = text.into_owned().into_boxed_str();
                let value = Value::Scalar(Scalar { text, style });
                self.put(anchor, Node { value, span })
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span);
                self.open(anchor, span, Content::Items(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span);
                self.open(anchor, span, Content::Pairs(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    /// The finished document, unless it is empty.
    fn finish(&mut self) -> Option<Tree> {
        self.anchors.clear();
        let problems = std::mem::take(&mut self.problems);
        let root = self.root.take()?;
        let is_empty = matches!(&root.value, Value::Scalar(scalar) if scalar.is_null());
        (!is_empty || !problems.is_empty()).then_some(Tree { root, problems })
    }

    fn open(&mut self, anchor: usize, span: Span, content: Content) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        self.open.push(Open {
            anchor,
            span,
            content,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Problem> {
        let open = self
            .open
            .pop()
            .expect("the parser ends only what it started");
        let span = Span {
            end_line: end.end_line,
            end_column: end.end_column,
            ..open.span
        };
        let value = match open.content {
            Content::Items(mut items) => {
                // A daemon keeps them for as long as nothing changes.
                items.shrink_to_fit();
                Value::Sequence(items)
            }
            Content::Pairs(pairs, _) => Value::Mapping(self.distinct(pairs)),
        };
        self.put(open.anchor, Node { value, span })
    }

    fn put(&mut self, anchor: usize, node: Node) -> Result<(), Problem> {
        let Some(left) = self.nodes_left.checked_sub(1) else {
            return Err(self.error("yaml-budget", node.span, "too many values for its length"));
        };
        self.nodes_left = left;
        if anchor > 0 {
            if self.anchors.len() >= MAX_ANCHORS {
                let message = format!("more than {MAX_ANCHORS} anchors");
                return Err(self.error("yaml-budget", node.span, message));
            }
            self.anchors.insert(anchor, node.clone());
        }
        self.attach(node);
        Ok(())
    }

    fn attach(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::Items(items)) => items.push(node),
            Some(Content::Pairs(pairs, key)) => match key.take() {
                None => *key = Some(node),
                Some(key) => pairs.push((key, node)),
            },
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Problem> {
        let Some(node) = self.anchors.get(&anchor) else {
            let message = "an alias stands inside what it names";
            return Err(self.error("yaml-syntax", span, message));
        };
        let weight = weigh(node);
        if self.open.len() + weight.depth > MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        self.aliases += 1;
        self.aliased.nodes += weight.nodes;
        self.aliased.bytes += weight.bytes;
        if self.aliases > MAX_ANCHORS
            || self.aliased.nodes > MAX_ALIASED.nodes
            || self.aliased.bytes > MAX_ALIASED.bytes
        {
            let problem = self.error("yaml-budget", span, "aliases add too much to this file");
            return Err(problem.hint("write the values out, or move them into a file of ids"));
        }
        let node = node.clone();
        self.attach(node);
        Ok(())
    }

    /// The pairs without those that cannot be fields, each of them reported.
    fn distinct(&mut self, pairs: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
        let is_small = pairs.len() <= SMALL_MAPPING;
        let mut seen: HashMap<Box<str>, Span> = HashMap::new();
        let mut kept: Vec<(Node, Node)> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let Some(name) = self.field_name(&key) else {
                continue;
            };
            let first = if is_small {
                let same = |(other, _): &&(Node, Node)| other.text() == Some(name);
                kept.iter().find(same).map(|(other, _)| other.span)
            } else {
                seen.insert(name.into(), key.span)
            };
            match first {
                Some(first) => self.report_duplicate(name, first, key.span),
                None => kept.push((key, value)),
            }
        }
        kept
    }

    fn report_duplicate(&mut self, name: &str, first: Span, second: Span) {
        let message = format!(
            "duplicate key `{name}`, first at {}:{}",
            first.line, first.column
        );
        self.report("duplicate-key", second, message, "keep one of the two");
    }

    fn field_name<'k>(&mut self, key: &'k Node) -> Option<&'k str> {
        match &key.value {
            Value::Scalar(scalar) if scalar.style == Style::Plain && &*scalar.text == "<<" => {
                let hint = "write the fields out";
                self.report("merge-key", key.span, "merge keys are not supported", hint);
                None
            }
            Value::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            _ => {
                let hint = "name the field, or quote what is no key";
                self.report("bad-key", key.span, "a key must be a text", hint);
                None
            }
        }
    }

    fn style(&mut self, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Style {
        if tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str") {
            return Style::Quoted;
        }
        self.refuse_tag(tag, span);
        match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, span: Span) {
        if let Some(tag) = tag {
            let message = format!("tag `{tag}` is not supported");
            let hint = "remove it; quote the value where a text is meant";
            self.report("yaml-tag", span, message, hint);
        }
    }

    fn report(&mut self, code: &'static str, span: Span, message: impl Into<String>, hint: &str) {
        let problem = self.error(code, span, message).hint(hint);
        self.problems.push(problem);
    }

    fn error(&self, code: &'static str, span: Span, message: impl Into<String>) -> Problem {
        Problem::error(code, Some(self.source.place(span)), message)
    }

    fn too_deep(&self, span: Span) -> Problem {
        too_deep(self.source, span)
    }
}

fn too_deep(source: &Source, span: Span) -> Problem {
    let message = format!("nested deeper than {MAX_DEPTH} levels");
    Problem::error("yaml-budget", Some(source.place(span)), message)
        .hint("no manifest nests like that; check its brackets and its indentation")
}

/// What a subtree costs.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

fn weigh(node: &Node) -> Weight {
    let mut total = Weight {
        nodes: 1,
        ..Weight::default()
    };
    let mut add = |inner: &Node| {
        let weight = weigh(inner);
        total.nodes += weight.nodes;
        total.bytes += weight.bytes;
        total.depth = total.depth.max(weight.depth + 1);
    };
    match &node.value {
        Value::Scalar(scalar) => total.bytes = scalar.text.len(),
        Value::Sequence(items) => items.iter().for_each(add),
        Value::Mapping(pairs) => pairs.iter().for_each(|(key, value)| {
            add(key);
            add(value);
        }),
    }
    total
}

fn to_span(span: saphyr_parser::Span) -> Span {
    Span {
        line: span.start.line() as u32,
        column: span.start.col() as u32 + 1,
        end_line: span.end.line() as u32,
        end_column: span.end.col() as u32 + 1,
    }
}

fn not_yaml(source: &Source, error: &ScanError) -> Problem {
    let at = point(error.marker().line(), error.marker().col() + 1);
    // The parser reads ahead, and may meet its own limit before ours is met.
    if error.info().contains("recursion limit") {
        return too_deep(source, at);
    }
    let message = format!("not valid YAML: {}", error.info());
    let hint = if error.info().contains("tab") {
        "indent with spaces, never with tabs"
    } else {
        "look at brackets, quotes and indentation here and in the lines above"
    };
    Problem::error("yaml-syntax", Some(source.place(at)), message).hint(hint)
}
