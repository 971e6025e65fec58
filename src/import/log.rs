//! A line of an access log: what was asked for.
//!
//! Two forms are known. In one the request stands in quotes, `"GET /x HTTP/1.1"`,
//! and its status follows (Apache, nginx and what imitates them); in the other a
//! whole URL follows the word `GET` or `HEAD` (Squid). Where a URL stands
//! otherwise it may be a referrer's.

/// What a line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked<'l> {
    /// A whole URL, or a path with its query.
    Target(&'l str),
    /// Nothing that a cache would keep: another method, or a failure.
    Nothing,
    /// It is of neither form.
    Unclear,
}

/// Reads a line that holds blanks, and does not begin with a URL.
pub(super) fn asked(line: &str) -> Asked<'_> {
    let mut has_quotes = false;
    for (text, after) in quoted(line) {
        has_quotes = true;
        if let Some((method, target)) = request(text) {
            return if is_kept(method) && !is_failure(after) {
                Asked::Target(target)
            } else {
                Asked::Nothing
            };
        }
        // What spoke no HTTP at all is logged as a request that failed.
        if is_failure(after) {
            return Asked::Nothing;
        }
    }
    let (mut before, mut is_other) = (None, false);
    let unquoted = line.split('"').next().unwrap_or_default();
    for word in unquoted.split_whitespace() {
        if is_url(word) && before.is_some_and(is_kept) {
            return Asked::Target(word);
        }
        is_other |= is_method(word) && !is_kept(word);
        before = Some(word);
    }
    if is_other && !has_quotes {
        Asked::Nothing
    } else {
        Asked::Unclear
    }
}

/// The texts between quotes, each with what follows it. A quote behind a
/// backslash is one of the text.
fn quoted(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let (_, inside) = rest.split_once('"')?;
        let end = closing(inside)?;
        let after = &inside[end + 1..];
        rest = after;
        Some((&inside[..end], after))
    })
}

fn closing(inside: &str) -> Option<usize> {
    let mut is_escaped = false;
    inside.bytes().position(|byte| {
        let closes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        closes
    })
}

/// Method and target of `GET /x HTTP/1.1`.
fn request(text: &str) -> Option<(&str, &str)> {
    let mut words = text.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_request = is_method(method) && version.starts_with("HTTP/") && words.next().is_none();
    is_request.then_some((method, target))
}

/// Whether the next word is a status of 400 and more.
fn is_failure(after: &str) -> bool {
    let status = after.split_whitespace().next().unwrap_or_default();
    status.len() == 3 && status.parse().is_ok_and(|status: u16| status >= 400)
}

fn is_method(word: &str) -> bool {
    const METHODS: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "PURGE",
    ];
    METHODS.contains(&word)
}

fn is_kept(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// Whether `text` begins as a URL does.
pub(super) fn is_url(text: &str) -> bool {
    let begins_with = |scheme: &str| {
        let start = text.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    begins_with("http://") || begins_with("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "192.0.2.1 - - [10/Oct/2026:13:55:36 +0000]";

    fn check(line: &str, expected: Asked<'_>) {
        assert_eq!(asked(line), expected, "{line}");
    }

    fn check_request(rest: &str, expected: Asked<'_>) {
        check(&format!("{START} {rest}"), expected);
    }

    #[test]
    fn the_request_counts_and_not_the_referrer() {
        let referred = "\"https://www.acme.com/\" \"Mozilla/5.0 (X; \\\"y\\\")\"";
        check_request(
            &format!("\"GET /is/image/Acme/x?$p$ HTTP/1.1\" 200 512 {referred}"),
            Asked::Target("/is/image/Acme/x?$p$"),
        );
        check_request(
            &format!("\"HEAD https://s/x HTTP/2.0\" 304 - {referred}"),
            Asked::Target("https://s/x"),
        );
        check_request(
            &format!("\"GET /a\\\"b HTTP/1.1\" 200 1 {referred}"),
            Asked::Target("/a\\\"b"),
        );
    }

    #[test]
    fn what_no_cache_keeps_is_passed_over() {
        for rest in [
            "\"POST /x HTTP/1.1\" 200 1",
            "\"GET /x HTTP/1.1\" 404 1 \"https://www.acme.com/\"",
            "\"-\" 408 0",
            "\"\\x16\\x03\\x01\" 400 157 \"-\" \"-\"",
        ] {
            check_request(rest, Asked::Nothing);
        }
        check(
            "1286536308.7 9 192.0.2.1 TCP/200 4 CONNECT s:443",
            Asked::Nothing,
        );
    }

    #[test]
    fn a_whole_url_counts_where_it_follows_its_method() {
        check(
            "1286536308.7 9 192.0.2.1 TCP_MISS/200 411 GET HTTP://s/x - DIRECT",
            Asked::Target("HTTP://s/x"),
        );
    }

    #[test]
    fn where_a_url_may_be_a_referrers_the_line_is_unclear() {
        for line in [
            "2026-01-01 GET d.example.net /x 200 https://www.acme.com/",
            "2026-01-01 https://s/x",
            "to be done",
            "a \"b",
        ] {
            check(line, Asked::Unclear);
        }
    }
}
