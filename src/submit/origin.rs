//! Origins that an operator allows to be sent credentials.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use url::Url;

/// Scheme, host and port of a service, in the one form in which
/// [`endpoint`](crate::provider::Provider::endpoint) names it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// Why a text names no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoOrigin {
    /// Such as a host by itself.
    #[error("is not a URL; write it as https://ips.example.com")]
    NotAUrl,
    /// Credentials would go out for everyone to read.
    #[error("is not https, and credentials go to nothing else")]
    NotHttps,
    /// They do not belong on a command line.
    #[error("holds credentials, which belong into the manifest's `credentials`")]
    Credentials,
}

impl Origin {
    /// Such as `https://ips.example:8443`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = NoOrigin;

    /// Any URL of the service will do: what follows host and port is no part
    /// of its origin.
    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let url = Url::parse(text).map_err(|_| NoOrigin::NotAUrl)?;
        match url.scheme() {
            "https" => {}
            "http" => return Err(NoOrigin::NotHttps),
            // `host:8443` reads as a scheme and a path.
            _ => return Err(NoOrigin::NotAUrl),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NoOrigin::Credentials);
        }
        Ok(Self(url.origin().ascii_serialization()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_origin_is_one() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Origin>().unwrap().as_str(), expected, "{text}");
        };
        for text in [
            "https://ips.example",
            "https://ips.example/",
            "HTTPS://IPS.Example:443",
            "https://ips.example/scene7/services/IpsApiService?wsdl#x",
        ] {
            check(text, "https://ips.example");
        }
        check("https://ips.example:8443/x", "https://ips.example:8443");
        check("https://[::1]:8443", "https://[::1]:8443");
    }

    #[test]
    fn what_could_never_be_sent_credentials_is_refused() {
        let check = |text: &str, expected| {
            assert_eq!(text.parse::<Origin>(), Err(expected), "{text}");
        };
        for text in [
            "",
            "ips.example",
            "ips.example:8443",
            "//ips.example",
            "*",
            "ftp://x",
        ] {
            check(text, NoOrigin::NotAUrl);
        }
        check("http://ips.example", NoOrigin::NotHttps);
        check("https://joe:hunter2@ips.example", NoOrigin::Credentials);
    }
}
