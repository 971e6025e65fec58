//! Reading: a list of URLs, a sitemap or an access log, told apart by what
//! they hold.
//!
//! What begins with `<` is a sitemap. Anything else is read line by line: blank
//! lines and those that begin with `#` say nothing; a line that begins as a URL
//! does, or has no blanks inside, is one; any other is a line of an access log.

use std::io::{self, BufRead, BufReader};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use rayon::prelude::*;

use super::log::{Asked, asked, is_url};
use super::sitemap;
use crate::expand::url_problem;
use crate::manifest::{Place, Problem};

/// What is wrong is named this often; the rest is counted.
const NAMED: u64 = 1000;

/// URLs that are gathered before repeated ones are looked for.
const ROOM: usize = 1 << 20;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What was read.
#[derive(Debug, Default)]
pub struct Listing {
    /// Sorted, each once.
    pub urls: Vec<Box<str>>,
    /// All that could not be taken for a URL.
    pub problems: Vec<Problem>,
    /// Lines of a log that are no successful `GET` or `HEAD`.
    pub passed_over: u64,
}

/// Reads `input`, which people know as `name`; `server` stands in front of the
/// paths of a log. What is compressed with gzip is unpacked.
pub fn read(input: &mut dyn BufRead, name: &Arc<str>, server: Option<&str>) -> io::Result<Listing> {
    if input.fill_buf()?.starts_with(b"\x1f\x8b") {
        let mut unpacked = BufReader::new(MultiGzDecoder::new(input));
        return read_plain(&mut unpacked, name, server);
    }
    read_plain(input, name, server)
}

fn read_plain(
    input: &mut dyn BufRead,
    name: &Arc<str>,
    server: Option<&str>,
) -> io::Result<Listing> {
    let start = input.fill_buf()?;
    let bom = if start.starts_with(BOM) { BOM.len() } else { 0 };
    let is_xml = start[bom..].trim_ascii_start().starts_with(b"<");
    input.consume(bom);
    let mut intake = Intake {
        name: Arc::clone(name),
        listing: Listing::default(),
        room: ROOM,
        unnamed: 0,
    };
    if is_xml {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes)?;
        sitemap::take(&mut intake, bytes);
    } else {
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if input.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            intake.take_line(&String::from_utf8_lossy(&line), number, server);
        }
    }
    Ok(intake.finish())
}

/// A listing being filled.
pub(super) struct Intake {
    pub(super) name: Arc<str>,
    listing: Listing,
    /// How many URLs there may be before repeated ones are looked for.
    room: usize,
    unnamed: u64,
}

impl Intake {
    fn take_line(&mut self, line: &str, number: u32, server: Option<&str>) {
        let line = line.trim_end_matches(['\n', '\r']);
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            return;
        }
        let target = if text.contains(char::is_whitespace) && !is_url(text) {
            match asked(text) {
                Asked::Target(target) => target,
                Asked::Nothing => {
                    self.listing.passed_over += 1;
                    return;
                }
                Asked::Unclear => {
                    let place = place(&self.name, number, line, text);
                    let problem = Problem::error("import", Some(place), "no URL is found here");
                    self.report(problem.hint(
                        "give a list of URLs, a sitemap, or a log with requests such as \
                         \"GET /path HTTP/1.1\"",
                    ));
                    return;
                }
            }
        } else {
            text
        };
        let name = Arc::clone(&self.name);
        let place = || place(&name, number, line, target);
        if target.len() < text.len() {
            self.take_target(target, server, place);
        } else {
            self.take(target, place);
        }
    }

    /// Takes what a log says was asked for.
    fn take_target(&mut self, target: &str, server: Option<&str>, place: impl FnOnce() -> Place) {
        if target.contains('\\') {
            let problem = Problem::error("import", Some(place()), "the log escapes bytes here");
            self.report(problem.hint("write out the URL as it was requested"));
        } else if !target.starts_with('/') {
            self.take(target, place);
        } else if let Some(server) = server {
            self.take(&[server, target].concat(), place);
        } else {
            let message = "the log holds a path, and its server is not known";
            let problem = Problem::error("import", Some(place()), message);
            self.report(problem.hint("name it: --server https://host"));
        }
    }

    /// Takes a URL, unless it is none.
    pub(super) fn take(&mut self, url: &str, place: impl FnOnce() -> Place) {
        if let Some(problem) = url_problem(url, place) {
            return self.report(problem);
        }
        self.listing.urls.push(url.into());
        if self.listing.urls.len() >= self.room {
            self.forget_repeated();
            self.room = self.room.max(2 * self.listing.urls.len());
        }
    }

    pub(super) fn report(&mut self, problem: Problem) {
        if (self.listing.problems.len() as u64) < NAMED {
            self.listing.problems.push(problem);
        } else {
            self.unnamed += 1;
        }
    }

    fn forget_repeated(&mut self) {
        self.listing.urls.par_sort_unstable();
        self.listing.urls.dedup();
    }

    fn finish(mut self) -> Listing {
        self.forget_repeated();
        if self.unnamed > 0 {
            let message = format!("{} more lines like these", self.unnamed);
            let place = Some(Place::file(Arc::clone(&self.name)));
            let problem = Problem::error("import", place, message);
            self.listing.problems.push(problem);
        }
        self.listing
    }
}

/// Where `part`, which is a slice of `line`, stands.
fn place(name: &Arc<str>, number: u32, line: &str, part: &str) -> Place {
    let start = part.as_ptr() as usize - line.as_ptr() as usize;
    let column = line[..start].chars().count() + 1;
    Place::in_line(
        name,
        (number, line),
        (column as u32, part.chars().count() as u32),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn read(bytes: &[u8], server: Option<&str>) -> Listing {
        super::read(&mut &bytes[..], &Arc::from("f"), server).unwrap()
    }

    fn check(text: &str, urls: &[&str], problems: &[&str]) {
        let found = read(text.as_bytes(), Some("https://s"));
        let of = |listing: &Listing| -> Vec<String> {
            listing.urls.iter().map(ToString::to_string).collect()
        };
        assert_eq!(of(&found), urls, "{text}");
        let named: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
        assert_eq!(named, problems, "{text}");
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(of(&read(&packed, Some("https://s"))), urls, "{text}");
    }

    #[test]
    fn a_list_may_have_comments_blank_lines_and_any_line_ends() {
        check(
            "\u{feff}# all\r\n\r\n  https://s/b?\r\nhttps://s/a/\nhttps://s/b?",
            &["https://s/a/", "https://s/b?"],
            &[],
        );
    }

    #[test]
    fn every_line_that_is_no_url_is_named_where_it_stands() {
        check(
            "https://s/a\n\tftp://s/b\n<x\nhttps://u:p@s/\n a b\nhttps://s/a b\n",
            &["https://s/a"],
            &[
                "f:2:2: url: Some URLs are not defined correctly: \"ftp://s/b\": it is not an absolute http or https URL (write it out from https:// on, or begin with <ID> or <SERVER>)",
                "f:3:1: url: Some URLs are not defined correctly: \"<x\": it holds '<', which no URL may (tokens such as <ID> belong into the `urls` of a Template; percent-encode a bracket that is meant)",
                "f:4:1: url: Some URLs are not defined correctly: \"https://…@s/\": it carries credentials (remove what stands before the @)",
                "f:5:2: import: no URL is found here (give a list of URLs, a sitemap, or a log with requests such as \"GET /path HTTP/1.1\")",
                "f:6:1: url: Some URLs are not defined correctly: \"https://s/a b\": it holds ' ', which no URL may (percent-encode it)",
            ],
        );
    }

    #[test]
    fn a_line_that_is_not_utf_8_stops_no_other() {
        let found = read(b"https://s/\xff\nhttps://s/a\n", None);
        assert_eq!(found.urls, [Box::from("https://s/a")]);
        assert_eq!(found.problems.len(), 1);
    }

    #[test]
    fn the_paths_of_a_log_get_their_server() {
        let log = "h - - [t] \"GET /a?b HTTP/1.1\" 200 1\nh - - [t] \"GET http://t/ HTTP/1.1\" 200 1\nh - - [t] \"PUT /c HTTP/1.1\" 200 1\n";
        check(log, &["http://t/", "https://s/a?b"], &[]);
        let without = read(log.as_bytes(), None);
        assert_eq!(without.passed_over, 1);
        assert_eq!(
            without.problems[0].to_string(),
            "f:1:16: import: the log holds a path, and its server is not known (name it: --server https://host)"
        );
    }

    #[test]
    fn bytes_that_a_log_has_rewritten_are_not_guessed() {
        check(
            "h [t] \"GET /a\\x22 HTTP/1.1\" 200 1",
            &[],
            &["f:1:12: import: the log escapes bytes here (write out the URL as it was requested)"],
        );
    }

    #[test]
    fn beyond_a_thousand_bad_lines_are_counted() {
        let found = read(&b"x\n".repeat(1003), None);
        assert_eq!(found.problems.len(), 1001);
        assert_eq!(found.problems[1000].message, "3 more lines like these");
    }
}
