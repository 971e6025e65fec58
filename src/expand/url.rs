//! What a URL must be like, judged once for each pattern.

use super::template::Pattern;

/// Bytes of a URL, at most.
pub(super) const MAX_LENGTH: usize = 4096;

/// What is wrong with a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UrlFault {
    #[error("it is not an absolute http or https URL")]
    NotAbsolute,
    #[error("it has no host")]
    NoHost,
    #[error("its host is not fixed text")]
    OpenHost,
    #[error("its port is not a number up to 65535")]
    Port,
    #[error("it carries credentials")]
    Credentials,
    #[error("it has a fragment, which no server ever sees")]
    Fragment,
    #[error("it holds {0:?}, which no URL may")]
    Forbidden(char),
    #[error("it is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("it is not under /is/image/{0}/ or /is/content/{0}/")]
    OutsideRoot(String),
}

impl UrlFault {
    /// What to do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::NotAbsolute => "write it out from https:// on, or begin with <ID> or <SERVER>",
            Self::NoHost | Self::Port => "write it as https://host/path or https://host:port/path",
            Self::OpenHost => "an id or crop can only stand in the path or the query",
            Self::Credentials => "remove what stands before the @",
            Self::Fragment => "remove # and what follows, or write %23 where it belongs to a name",
            Self::Forbidden('<' | '>') => {
                "tokens such as <ID> belong into the `urls` of a Template; \
                 percent-encode a bracket that is meant"
            }
            Self::Forbidden(_) => "percent-encode it",
            Self::TooLong => "shorten its query",
            Self::OutsideRoot(_) => {
                "the CDN refuses URLs of another company; rootId: \"*\" on the Cdn lifts this rule"
            }
        }
    }
}

/// Whether `url` is one that can be sent at all, and lies under `root` where
/// there is one; the fault is told in words.
pub fn judge_url(url: &str, root: Option<&str>) -> Result<(), String> {
    let roots: Vec<&str> = root.into_iter().collect();
    judge(&Pattern::of_url(url), &roots).map_err(|fault| fault.to_string())
}

/// Judges the fixed text of `pattern`; with `roots`, its path must lie under
/// each of them. What goes into its gaps is judged where it comes from.
pub(super) fn judge(pattern: &Pattern, roots: &[&str]) -> Result<(), UrlFault> {
    if let Some(forbidden) = pattern.text.chars().find(|c| is_forbidden(*c)) {
        return Err(UrlFault::Forbidden(forbidden));
    }
    if pattern.text.len() > MAX_LENGTH {
        return Err(UrlFault::TooLong);
    }
    if pattern.text.contains('#') {
        return Err(UrlFault::Fragment);
    }
    let prefix = pattern.prefix();
    let rest = after_scheme(prefix).ok_or(UrlFault::NotAbsolute)?;
    let end = match rest.find(['/', '?']) {
        Some(end) => end,
        None if pattern.slots.is_empty() => rest.len(),
        None => return Err(UrlFault::OpenHost),
    };
    judge_authority(&rest[..end])?;
    let path = &rest[end..];
    match roots.iter().find(|root| !is_under(path, root)) {
        Some(root) => Err(UrlFault::OutsideRoot((*root).to_owned())),
        None => Ok(()),
    }
}

fn after_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let is_http = ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    is_http.then_some(rest)
}

fn judge_authority(authority: &str) -> Result<(), UrlFault> {
    if authority.contains('@') {
        return Err(UrlFault::Credentials);
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if host.is_empty() {
        return Err(UrlFault::NoHost);
    }
    match port {
        Some(port) if port.parse::<u16>().is_err() => Err(UrlFault::Port),
        _ => Ok(()),
    }
}

fn is_under(path: &str, root: &str) -> bool {
    ["/is/image/", "/is/content/"].iter().any(|service| {
        path.strip_prefix(service)
            .and_then(|rest| rest.strip_prefix(root))
            .is_some_and(|rest| rest.starts_with('/'))
    })
}

/// Bytes are sacred, so only what cannot travel in a request is refused.
fn is_forbidden(character: char) -> bool {
    !character.is_ascii_graphic() || matches!(character, '<' | '>' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, root: Option<&str>, expected: &Result<(), UrlFault>) {
        let roots: Vec<&str> = root.into_iter().collect();
        assert_eq!(&judge(&Pattern::of_url(url), &roots), expected, "{url}");
    }

    #[test]
    fn odd_but_sound_urls_pass() {
        for url in [
            "http://localhost:8080/is/image/demo/bedroom.tif?wid=300&fmt=pjpeg",
            "https://a/is/image/demo/x?$p$&a={b:c,d}%24+/",
            "HTTPS://a/is/content/demo/x?",
            "https://[::1]/is/image/demo/x",
        ] {
            check(url, Some("demo"), &Ok(()));
        }
        check("https://a", None, &Ok(()));
    }

    #[test]
    fn each_fault_has_its_name() {
        check("/is/image/a/b", None, &Err(UrlFault::NotAbsolute));
        check("ftp://a/b", None, &Err(UrlFault::NotAbsolute));
        check("https:///b", None, &Err(UrlFault::NoHost));
        check("https://a:x/b", None, &Err(UrlFault::Port));
        check("https://a:99999/b", None, &Err(UrlFault::Port));
        check("https://u:p@a/b", None, &Err(UrlFault::Credentials));
        check("https://a/b#c", None, &Err(UrlFault::Fragment));
        check("https://a/b c", None, &Err(UrlFault::Forbidden(' ')));
        check("https://a/b\u{1}", None, &Err(UrlFault::Forbidden('\u{1}')));
        check("https://a/ü", None, &Err(UrlFault::Forbidden('ü')));
        check(
            &format!("https://a/{}", "b".repeat(4087)),
            None,
            &Err(UrlFault::TooLong),
        );
        check(&format!("https://a/{}", "b".repeat(4086)), None, &Ok(()));
    }

    #[test]
    fn a_root_is_a_whole_segment_of_the_path() {
        let outside = || Err(UrlFault::OutsideRoot("Acme".to_owned()));
        check("https://a/is/image/Acme/b", Some("Acme"), &Ok(()));
        check("https://a/is/image/AcmeCorp/b", Some("Acme"), &outside());
        check("https://a/is/image/acme/b", Some("Acme"), &outside());
        check(
            "https://a/s7viewers/x.html?asset=Acme/b",
            Some("Acme"),
            &outside(),
        );
        check("https://a/is/image/Acme", Some("Acme"), &outside());
    }
}
