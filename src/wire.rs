//! The wire step: how a declared URL becomes an item.

use crate::digest::Digest;
use crate::manifest::{Fold, Granularity};

/// The folding rules of one Cdn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    default: Fold,
    /// Hosts under the other rule, in lower case, sorted.
    exceptions: Vec<String>,
}

impl Wire {
    /// The rules that `granularity` declares.
    pub fn new(granularity: &Granularity) -> Self {
        let declared = match granularity.default {
            Fold::Url => &granularity.path_hosts,
            Fold::Path => &granularity.url_hosts,
        };
        let mut exceptions: Vec<String> = declared
            .iter()
            .map(|host| host.to_ascii_lowercase())
            .collect();
        exceptions.sort_unstable();
        exceptions.dedup();
        Self {
            default: granularity.default,
            exceptions,
        }
    }

    /// Whether every URL goes out as it is declared.
    pub fn is_plain(&self) -> bool {
        self.default == Fold::Url && self.exceptions.is_empty()
    }

    /// What is sent for `url`: always a prefix of it.
    pub fn item<'u>(&self, url: &'u [u8]) -> &'u [u8] {
        match self.fold(url) {
            Fold::Url => url,
            Fold::Path => up_to_query(url),
        }
    }

    /// Whether `url` loses its query, where it has one.
    pub fn folds(&self, url: &[u8]) -> bool {
        self.fold(url) == Fold::Path
    }

    /// Changes exactly when some URL may become another item.
    pub fn digest(&self) -> Digest {
        let default: &[u8] = match self.default {
            Fold::Url => b"url",
            Fold::Path => b"path",
        };
        let hosts = self.exceptions.iter().map(String::as_bytes);
        Digest::of_parts(std::iter::once(default).chain(hosts))
    }

    fn fold(&self, url: &[u8]) -> Fold {
        if self.exceptions.is_empty() || !self.is_exception(url) {
            return self.default;
        }
        match self.default {
            Fold::Url => Fold::Path,
            Fold::Path => Fold::Url,
        }
    }

    /// A host may be declared with its port or, for every port, without.
    fn is_exception(&self, url: &[u8]) -> bool {
        let (host, authority) = (host(url), authority(url));
        self.exceptions.iter().any(|exception| {
            let exception = exception.as_bytes();
            exception.eq_ignore_ascii_case(host) || exception.eq_ignore_ascii_case(authority)
        })
    }
}

fn up_to_query(url: &[u8]) -> &[u8] {
    match url.iter().position(|byte| *byte == b'?') {
        Some(query) => &url[..query],
        None => url,
    }
}

/// The host of `url`, as written and without its port.
pub fn host(url: &[u8]) -> &[u8] {
    let authority = authority(url);
    match authority.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !authority.ends_with(b"]") => &authority[..colon],
        _ => authority,
    }
}

/// Host and port, as written.
fn authority(url: &[u8]) -> &[u8] {
    let start = url
        .windows(3)
        .position(|window| window == b"://")
        .map_or(0, |scheme| scheme + 3);
    let rest = &url[start..];
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    &rest[..end.unwrap_or(rest.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(default: Fold, path: &[&str], url: &[&str]) -> Wire {
        let owned = |hosts: &[&str]| hosts.iter().map(ToString::to_string).collect();
        Wire::new(&Granularity {
            default,
            path_hosts: owned(path),
            url_hosts: owned(url),
        })
    }

    fn check(wire: &Wire, url: &str, item: &str) {
        assert_eq!(
            std::str::from_utf8(wire.item(url.as_bytes())),
            Ok(item),
            "{url}"
        );
    }

    #[test]
    fn a_path_host_loses_everything_from_the_first_question_mark() {
        let wire = wire(Fold::Url, &["Media.acme.com"], &[]);
        check(
            &wire,
            "https://media.acme.com/a?b?c",
            "https://media.acme.com/a",
        );
        check(
            &wire,
            "https://MEDIA.acme.com:8443/a?",
            "https://MEDIA.acme.com:8443/a",
        );
        check(&wire, "https://media.acme.com?b", "https://media.acme.com");
        check(
            &wire,
            "https://s7d1.scene7.com/a?b",
            "https://s7d1.scene7.com/a?b",
        );
        check(
            &wire,
            "https://x.media.acme.com/a?b",
            "https://x.media.acme.com/a?b",
        );
    }

    #[test]
    fn a_host_with_a_port_means_that_port_alone() {
        let wire = wire(Fold::Path, &[], &["media.acme.com:8443"]);
        check(
            &wire,
            "https://media.acme.com:8443/a?b",
            "https://media.acme.com:8443/a?b",
        );
        check(
            &wire,
            "https://media.acme.com/a?b",
            "https://media.acme.com/a",
        );
    }

    #[test]
    fn the_digest_knows_rules_but_not_their_order() {
        let digest = wire(Fold::Url, &["a", "b"], &[]).digest();
        assert_eq!(wire(Fold::Url, &["B", "a", "a"], &["c"]).digest(), digest);
        assert_ne!(wire(Fold::Path, &[], &["a", "b"]).digest(), digest);
        assert_ne!(wire(Fold::Url, &["a"], &[]).digest(), digest);
    }
}
