//! The digest of what a document says, whatever way it is written.

use sha2::{Digest as _, Sha256};

use super::node::{Node, Value};
use crate::digest::Digest;

/// Hashing many tiny parts costs more than collecting them first.
const FLUSH: usize = 64 * 1024;

/// The digest of a tree: order of keys, comments, line ends and quotes do not
/// change it.
pub(super) fn digest(root: &Node) -> Digest {
    let mut writer = Writer {
        hasher: Sha256::new(),
        buffer: Vec::with_capacity(FLUSH),
    };
    writer.node(root);
    writer.hasher.update(&writer.buffer);
    Digest(writer.hasher.finalize().into())
}

struct Writer {
    hasher: Sha256,
    buffer: Vec<u8>,
}

impl Writer {
    fn node(&mut self, node: &Node) {
        match &node.value {
            Value::Scalar(scalar) => self.text(&scalar.text),
            Value::Sequence(items) => {
                self.head(b'l', items.len());
                for item in items {
                    self.node(item);
                }
            }
            Value::Mapping(pairs) => {
                let mut sorted: Vec<&(Node, Node)> = pairs.iter().collect();
                sorted.sort_by_key(|(key, _)| key.text());
                self.head(b'm', sorted.len());
                for (key, value) in sorted {
                    self.node(key);
                    self.node(value);
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.head(b's', text.len());
        self.buffer.extend_from_slice(text.as_bytes());
    }

    fn head(&mut self, kind: u8, length: usize) {
        if self.buffer.len() >= FLUSH {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
        self.buffer.push(kind);
        self.buffer
            .extend_from_slice(&(length as u64).to_be_bytes());
    }
}
