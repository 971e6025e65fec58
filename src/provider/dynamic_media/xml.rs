//! XML as IPS speaks it: a small tree of elements, read under a budget.
//!
//! Document types and entities other than the five of XML itself are refused,
//! so an answer can neither grow in memory nor fetch anything.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, escape};

/// Bytes of a document, at most: a thousand URLs of the longest kind fit.
const MAX_BYTES: usize = 8 << 20;
/// Elements in each other, at most.
const MAX_DEPTH: usize = 32;
/// Elements in all, at most, unless an answer is known to be long.
pub const MAX_ELEMENTS: usize = 20_000;

/// An element: its name, what it says, and what is in it. Attributes are of
/// no use here and are dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Empty where the name is bound to none.
    pub namespace: String,
    /// Without prefix.
    pub name: String,
    /// All text directly inside, unescaped.
    pub text: String,
    /// In document order.
    pub children: Vec<Element>,
}

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed, or cut off.
    #[error("the XML is not well-formed")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Cut off, empty, or more than one root.
    #[error("{0}")]
    Shape(&'static str),
    /// A document type, or an entity that it would have declared.
    #[error("the XML has a document type or an entity of its own")]
    Entity,
    /// Over a limit.
    #[error("the XML is too large or too deep")]
    Budget,
}

impl Element {
    /// Reads a whole document.
    pub fn parse(body: &[u8]) -> Result<Self, XmlError> {
        Self::parse_within(body, MAX_ELEMENTS)
    }

    /// Reads a whole document of so many elements, at most.
    pub fn parse_within(body: &[u8], max_elements: usize) -> Result<Self, XmlError> {
        if body.len() > MAX_BYTES {
            return Err(XmlError::Budget);
        }
        let text = std::str::from_utf8(body).map_err(malformed)?;
        let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}').trim_start());
        let mut tree = Tree {
            max_elements,
            ..Tree::default()
        };
        loop {
            let (namespace, event) = reader.read_resolved_event().map_err(malformed)?;
            match event {
                Event::Start(start) => tree.open(&namespace, &start)?,
                Event::Empty(start) => {
                    tree.open(&namespace, &start)?;
                    tree.close()?;
                }
                Event::End(_) => tree.close()?,
                Event::Text(text) => tree.text(&text.xml10_content())?,
                Event::CData(text) => tree.text(&text.xml10_content())?,
                Event::GeneralRef(reference) => tree.reference(&reference)?,
                Event::DocType(_) => return Err(XmlError::Entity),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => return tree.finish(),
            }
        }
    }

    /// The first child of that name, in this element's own namespace.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children
            .iter()
            .find(|child| child.name == name && child.namespace == self.namespace)
    }

    /// The text of that child, without outer blanks.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }
}

/// `text` as the content of an element: changed only where XML needs it.
pub fn escape_text(text: &str) -> std::borrow::Cow<'_, str> {
    escape::partial_escape(text)
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> XmlError {
    XmlError::Malformed(error.into())
}

/// The tree as far as it is read.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    max_elements: usize,
}

impl Tree {
    fn open(
        &mut self,
        namespace: &ResolveResult<'_>,
        start: &BytesStart<'_>,
    ) -> Result<(), XmlError> {
        self.elements += 1;
        if self.elements > self.max_elements || self.open.len() == MAX_DEPTH {
            return Err(XmlError::Budget);
        }
        if self.root.is_some() {
            return Err(XmlError::Shape("the XML has more than one root"));
        }
        let namespace = match namespace {
            ResolveResult::Bound(namespace) => namespace.0.to_owned(),
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(_) => {
                return Err(XmlError::Shape(
                    "the XML uses a prefix that it does not bind",
                ));
            }
        };
        self.open.push(Element {
            namespace,
            name: start.local_name().into_inner().to_owned(),
            ..Element::default()
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), XmlError> {
        let element = self
            .open
            .pop()
            .ok_or(XmlError::Shape("the XML closes what it has not opened"))?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(XmlError::Shape("there is text outside the XML's root")),
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), XmlError> {
        if let Some(character) = reference.resolve_char_ref().map_err(malformed)? {
            return self.text(character.encode_utf8(&mut [0; 4]));
        }
        let text = escape::resolve_predefined_entity(reference).ok_or(XmlError::Entity)?;
        self.text(text)
    }

    fn finish(self) -> Result<Element, XmlError> {
        if !self.open.is_empty() {
            return Err(XmlError::Shape("the XML is cut off"));
        }
        self.root.ok_or(XmlError::Shape("there is no XML"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(xml: &str) -> String {
        Element::parse(xml.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn text_comes_back_as_it_was_before_escaping() {
        let url = "https://x/is/image/a/b?$p$&c=<d>]]>\r{e},%24'\"";
        let xml = format!("<a><![CDATA[<&]]>{}</a>", escape_text(url));
        let element = Element::parse(xml.as_bytes()).unwrap();
        assert_eq!(element.text, format!("<&{url}"));
    }

    #[test]
    fn prefixes_do_not_matter_and_namespaces_do() {
        let xml = "<p:a xmlns:p='urn:1' xmlns='urn:2'><p:b>1</p:b><c>2</c></p:a>";
        let element = Element::parse(xml.as_bytes()).unwrap();
        assert_eq!(element.namespace, "urn:1");
        assert_eq!(element.text_of("b"), Some("1"));
        assert_eq!(element.text_of("c"), None);
    }

    #[test]
    fn what_is_cut_off_or_doubled_is_refused() {
        assert_eq!(refused("<a><b>"), "the XML is cut off");
        assert_eq!(refused("<a/><b/>"), "the XML has more than one root");
        assert_eq!(refused(""), "there is no XML");
        assert_eq!(
            refused("Service Unavailable"),
            "there is text outside the XML's root"
        );
        assert_eq!(
            refused("<p:a/>"),
            "the XML uses a prefix that it does not bind"
        );
    }

    #[test]
    fn entities_and_bombs_are_refused() {
        let refusal = "the XML has a document type or an entity of its own";
        assert_eq!(refused("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), refusal);
        assert_eq!(refused("<a>&nbsp;</a>"), refusal);
        let budget = "the XML is too large or too deep";
        assert_eq!(refused(&"<a>".repeat(200_000)), budget);
        assert_eq!(
            refused(&format!("<a>{}</a>", "<b/>".repeat(50_000))),
            budget
        );
    }
}
