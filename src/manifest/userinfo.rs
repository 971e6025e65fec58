//! Credentials in URLs: what stands before an `@` may be a password, and is
//! shown nowhere, whatever else is wrong with the URL.

use std::borrow::Cow;

/// `url` for a message: without the credentials that it carries, or seems to.
pub fn without_userinfo(url: &str) -> Cow<'_, str> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match rest.rsplit_once('@') {
        Some((_, rest)) if has_userinfo(url) && scheme.is_empty() => format!("…@{rest}").into(),
        Some((_, rest)) if has_userinfo(url) => format!("{scheme}://…@{rest}").into(),
        _ => url.into(),
    }
}

/// Whether `text` may hold a URL with credentials.
pub(super) fn has_userinfo(text: &str) -> bool {
    let schemes = text.match_indices("://");
    let mut urls = schemes.map(|(at, scheme)| &text[at + scheme.len()..]);
    urls.any(follows_scheme) || text.split_whitespace().any(lacks_scheme)
}

/// A password may hold a slash, which ends the authority: the part of it that
/// comes before then looks like a port, but for its letters.
fn follows_scheme(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let is_port = port.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit());
    authority.contains('@') || (!is_port && rest.contains('@'))
}

/// `user:password@host`, without a scheme in front.
fn lacks_scheme(word: &str) -> bool {
    let before = word.rsplit_once('@').map_or("", |(before, _)| before);
    before.contains(':') && !before.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, shown: &str) {
        assert_eq!(without_userinfo(url), shown);
        assert_eq!(has_userinfo(url), url != shown, "{url}");
    }

    #[test]
    fn credentials_are_taken_out_wherever_they_may_end() {
        check("https://u:p@a.example/x", "https://…@a.example/x");
        check("https://u@a.example/x@2x", "https://…@2x");
        check("https://u:p/w@a.example/x", "https://…@a.example/x");
        check("https://u:p w#@a.example/x", "https://…@a.example/x");
        check("u:p@a.example/x", "…@a.example/x");
    }

    #[test]
    fn other_urls_stay_as_they_are() {
        for url in [
            "https://a.example/x@2x",
            "https://a.example:8080/x@2x",
            "https://[::1]:8080/x@2x",
            "a.example/x@2x",
            "is/image/x",
        ] {
            check(url, url);
        }
    }
}
