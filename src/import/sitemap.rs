//! A sitemap: the text of every `loc`, images' and videos' included.

use std::sync::Arc;

use quick_xml::events::{BytesRef, Event};
use quick_xml::{Reader, escape};

use super::source::Intake;
use crate::manifest::node::Span;
use crate::manifest::source::Source;
use crate::manifest::{Place, Problem};

/// Takes the URLs of a document in.
pub(super) fn take(intake: &mut Intake, bytes: Vec<u8>) {
    let name = Arc::clone(&intake.name);
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let place = Some(Place::file(name));
            let why = error.utf8_error();
            let problem =
                Problem::error("import", place, format!("the sitemap is not UTF-8: {why}"));
            return intake.report(problem.hint("save it as UTF-8"));
        }
    };
    let mut sitemap = Sitemap {
        source: Source::new(name, text.as_bytes().into()),
        text: &text,
        seen: Point::default(),
        location: None,
    };
    sitemap.read(intake);
}

struct Sitemap<'t> {
    source: Source,
    text: &'t str,
    seen: Point,
    /// Inside a `loc`: where its text begins, and what was read of it.
    location: Option<(usize, String)>,
}

/// A byte, and the line that it is in, counted from 1.
#[derive(Clone, Copy)]
struct Point {
    at: usize,
    line: u32,
    line_start: usize,
}

impl Default for Point {
    fn default() -> Self {
        Self {
            at: 0,
            line: 1,
            line_start: 0,
        }
    }
}

impl Sitemap<'_> {
    fn read(&mut self, intake: &mut Intake) {
        let mut reader = Reader::from_str(self.text);
        loop {
            let event = reader.read_event();
            let at = reader.buffer_position() as usize;
            match event {
                Ok(Event::Start(start)) => match start.local_name().into_inner() {
                    "loc" => self.location = Some((at, String::new())),
                    "sitemapindex" => {
                        let place = Some(self.place(at, 1));
                        let message = "this is an index: it lists sitemaps, not URLs";
                        let problem = Problem::error("import", place, message);
                        return intake.report(problem.hint("import each of the sitemaps"));
                    }
                    _ => {}
                },
                Ok(Event::End(_)) => self.close(intake),
                Ok(Event::Text(text)) => self.add(&text.xml10_content()),
                Ok(Event::CData(text)) => self.add(&text.xml10_content()),
                Ok(Event::GeneralRef(reference)) => self.refer(intake, &reference, at),
                Ok(Event::Eof) => return,
                Ok(_) => {}
                Err(error) => {
                    let at = reader.error_position() as usize;
                    let place = Some(self.place(at.min(self.text.len()), 1));
                    let message = format!("not well-formed from here on: {error}");
                    return intake.report(Problem::error("import", place, message));
                }
            }
        }
    }

    fn add(&mut self, text: &str) {
        if let Some((_, location)) = &mut self.location {
            location.push_str(text);
        }
    }

    fn refer(&mut self, intake: &mut Intake, reference: &BytesRef<'_>, at: usize) {
        if self.location.is_none() {
            return;
        }
        if let Ok(Some(character)) = reference.resolve_char_ref() {
            return self.add(character.encode_utf8(&mut [0; 4]));
        }
        if let Some(text) = escape::resolve_predefined_entity(reference) {
            return self.add(text);
        }
        let place = Some(self.place(at - 1, 1));
        intake.report(Problem::error("import", place, "XML has no such entity"));
        self.location = None;
    }

    fn close(&mut self, intake: &mut Intake) {
        let Some((at, location)) = self.location.take() else {
            return;
        };
        let blank = self.text[at..].len() - self.text[at..].trim_start().len();
        let url = location.trim();
        let place = self.place(at + blank, url.chars().count());
        intake.take(url, || place);
    }

    /// The place of `width` characters from byte `at` on.
    fn place(&mut self, at: usize, width: usize) -> Place {
        let between = self.text.as_bytes().get(self.seen.at..at);
        for (index, byte) in between.unwrap_or_default().iter().enumerate() {
            if *byte == b'\n' {
                self.seen.line += 1;
                self.seen.line_start = self.seen.at + index + 1;
            }
        }
        self.seen.at = self.seen.at.max(at);
        let before = self.text.get(self.seen.line_start..at).unwrap_or_default();
        let column = before.chars().count() as u32 + 1;
        self.source.place(Span {
            line: self.seen.line,
            column,
            end_line: self.seen.line,
            end_column: column + width.max(1) as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::import::source::read;

    fn check(text: &str, urls: &[&str], problems: &[&str]) {
        let found = read(&mut text.as_bytes(), &"f".into(), None).unwrap();
        let listed: Vec<&str> = found.urls.iter().map(|url| &**url).collect();
        assert_eq!(listed, urls, "{text}");
        let named: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        assert_eq!(named, problems, "{text}");
    }

    #[test]
    fn pages_and_their_images_are_taken() {
        check(
            "\n<?xml version=\"1.0\"?>\n<urlset xmlns:i=\"urn:i\"><url>\n\
             <loc>\n https://w/a?b&amp;c&#x3d;%24 </loc><lastmod>2026</lastmod>\n\
             <i:image><i:loc><![CDATA[https://s/x?a&b]]></i:loc></i:image></url></urlset>",
            &["https://s/x?a&b", "https://w/a?b&c=%24"],
            &[],
        );
    }

    #[test]
    fn what_is_wrong_is_named_where_it_stands() {
        check(
            "<urlset>\n <loc>https://s/a</loc>\n <loc>/b</loc><loc></loc>\n <loc>&nbsp;</loc>\n <loc>x</url>",
            &["https://s/a"],
            &[
                "f:3:7: url: Some URLs are not defined correctly: \"/b\": it is not an absolute http or https URL (write it out from https:// on, or begin with <ID> or <SERVER>)",
                "f:3:20: url: Some URLs are not defined correctly: \"\": it is not an absolute http or https URL (write it out from https:// on, or begin with <ID> or <SERVER>)",
                "f:4:12: import: XML has no such entity",
                "f:5:8: import: not well-formed from here on: ill-formed document: expected `</loc>`, but `</url>` was found",
            ],
        );
    }

    #[test]
    fn an_index_of_sitemaps_is_none() {
        check(
            "<sitemapindex><sitemap><loc>https://s/1.xml</loc></sitemap></sitemapindex>",
            &[],
            &[
                "f:1:15: import: this is an index: it lists sitemaps, not URLs (import each of the sitemaps)",
            ],
        );
    }
}
