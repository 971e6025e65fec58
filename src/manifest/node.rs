//! A YAML document as a positioned tree; scalars keep their source text.

use std::sync::Arc;

use super::problem::Place;
use super::source::Source;
use super::spec::Step;
use crate::digest::Digest;

/// A positioned value.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands.
    pub span: Span,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text, a number, a truth value, or nothing.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys, all of them scalars and distinct, and values in declared order.
    Mapping(Vec<(Node, Node)>),
}

/// A scalar as it was written, without its quotes.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// Escapes resolved, lines joined as the style has it; never converted.
    pub text: Box<str>,
    /// How it was written.
    pub style: Style,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: `1.10` may be meant as a number.
    Plain,
    /// In quotes: always a text.
    Quoted,
    /// A block that keeps its lines: `|`.
    Literal,
    /// A block that joins its lines: `>`.
    Folded,
}

/// From the first character up to, not including, the end; counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Line of the first character.
    pub line: u32,
    /// Its column, in characters.
    pub column: u32,
    /// Line of the end.
    pub end_line: u32,
    /// Its column, in characters.
    pub end_column: u32,
}

impl Scalar {
    /// Whether it stands for nothing: empty without quotes, `~` or `null`.
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// The scalar's text; `None` for a list, a mapping or nothing.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            _ => None,
        }
    }

    /// The value of `key`, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.pair(key).map(|(_, value)| value)
    }

    /// Key and value of `key`, where this is a mapping that has it.
    pub fn pair(&self, key: &str) -> Option<&(Node, Node)> {
        self.pairs().iter().find(|(name, _)| name.is_named(key))
    }

    /// Keys and values; empty unless this is a mapping.
    pub fn pairs(&self) -> &[(Node, Node)] {
        match &self.value {
            Value::Mapping(pairs) => pairs,
            _ => &[],
        }
    }

    /// Items; empty unless this is a list.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The node at `path`, where there is one.
    pub fn at(&self, path: &[Step<'_>]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| node.step(*step))
    }

    /// The node at `path`, or the nearest enclosing one.
    pub fn nearest(&self, path: &[Step<'_>]) -> &Node {
        let mut node = self;
        for step in path {
            match node.step(*step) {
                Some(inner) => node = inner,
                None => break,
            }
        }
        node
    }

    fn step(&self, step: Step<'_>) -> Option<&Node> {
        match step {
            Step::Key(key) => self.get(key),
            Step::KeyOf(key) => self.pair(key).map(|(name, _)| name),
            Step::Index(index) => self.items().get(index),
        }
    }

    /// Whether this is a key spelt `key`.
    fn is_named(&self, key: &str) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if *scalar.text == *key)
    }
}

/// One YAML document and where it came from.
#[derive(Debug)]
pub struct Document {
    /// As a person would name it.
    pub file: Arc<str>,
    /// Which of the roots the file lies in.
    pub root_index: usize,
    /// The file's folder inside its root; empty for the root itself.
    pub folder: String,
    /// Of what the document says: comments, order of keys, line ends, quotes
    /// and the file's name do not change it.
    pub digest: Digest,
    /// The whole document.
    pub root: Node,
    pub(super) source: Arc<Source>,
}

impl Document {
    /// The place of the value at `path`, or of the nearest enclosing one.
    pub fn place(&self, path: &[Step<'_>]) -> Place {
        self.place_of(self.root.nearest(path))
    }

    /// The place of a node of this document.
    pub fn place_of(&self, node: &Node) -> Place {
        self.source.place(node.span)
    }

    /// The places of a scalar's lines, with their texts: of a block each line
    /// has its own, of any other scalar all have the scalar's.
    pub fn lines_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = (&'a str, Place)> {
        let scalar = match &node.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        };
        scalar.into_iter().flat_map(move |scalar| {
            let is_block = scalar.style == Style::Literal;
            // A block's span starts at its first line that is not blank.
            let blank = scalar.text.bytes().take_while(|byte| *byte == b'\n');
            let first = node.span.line.saturating_sub(blank.count() as u32);
            scalar.text.lines().enumerate().map(move |(index, text)| {
                let place = if is_block {
                    self.place_in_block(first + index as u32, text)
                } else {
                    self.place_of(node)
                };
                (text, place)
            })
        })
    }

    fn place_in_block(&self, line: u32, text: &str) -> Place {
        let indent = |text: &str| text.chars().take_while(|c| c.is_whitespace()).count();
        let column = self.source.line(line).map_or(1, |whole| indent(whole) + 1) as u32;
        self.source.place(Span {
            line,
            column,
            end_line: line,
            end_column: column + text.trim().chars().count() as u32,
        })
    }
}
