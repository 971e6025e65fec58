//! One URL that is told, and the signature by which it knows us.

use std::fmt::{self, Write as _};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use url::Url;

use crate::manifest::SecretRef;
use crate::provider::Call;
use crate::submit::secret;
use crate::submit::transport::{Patience, SetUpError, Transport};

/// Nobody reads what a sink answers beyond its status.
const MAX_ANSWER: usize = 1 << 20;

/// Where notifications go. Its URL may hold a secret in any of its parts, so
/// only the origin is ever shown.
pub struct Sink {
    url: SecretString,
    origin: String,
    secret: Option<SecretRef>,
}

/// A URL that nothing can be posted to. Does not repeat it: it may be secret.
#[derive(Debug, thiserror::Error)]
pub enum BadSink {
    /// No URL at all.
    #[error("the URL for notifications cannot be read")]
    Unreadable(#[source] url::ParseError),
    /// Another scheme.
    #[error("the URL for notifications begins with `{0}:`, not with `http:` or `https:`")]
    Scheme(String),
}

impl BadSink {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "give `--notify` an absolute URL, such as https://alerts.example.com/freshen"
    }
}

impl Sink {
    /// Tells `url`; signed with the secret in the file at `secret_file`, where
    /// one is given.
    pub fn new(url: &str, secret_file: Option<&str>) -> Result<Self, BadSink> {
        let parsed = Url::parse(url).map_err(BadSink::Unreadable)?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(BadSink::Scheme(parsed.scheme().to_owned()));
        }
        Ok(Self {
            url: url.to_owned().into(),
            origin: parsed.origin().ascii_serialization(),
            secret: secret_file.map(|path| SecretRef::File(path.to_owned())),
        })
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("origin", &self.origin)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}

/// What came of one try.
pub(super) enum Post {
    /// The sink took it.
    Taken,
    /// It will not take this one, however often it is asked.
    Refused(String),
    /// Another try may help.
    Failed(String),
}

/// Posts to a sink.
pub(super) struct Sender {
    sink: Sink,
    transport: Transport,
}

impl Sender {
    pub(super) fn new(sink: Sink, timeout: Duration) -> Result<Self, SetUpError> {
        let patience = Patience {
            connect: timeout,
            read: timeout,
            total: timeout,
            max_answer: MAX_ANSWER,
        };
        let transport = Transport::new(patience)?;
        Ok(Self { sink, transport })
    }

    pub(super) fn origin(&self) -> &str {
        self.sink.origin()
    }

    /// Posts `body` once. The secret is read anew, so that it can be rotated;
    /// without it nothing is sent.
    pub(super) async fn post(&self, body: &[u8]) -> Post {
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        match self.sink.secret.as_ref().map(secret::read).transpose() {
            Ok(None) => {}
            Ok(Some(secret)) => headers.push(("X-Freshen-Signature", signature(&secret, body))),
            Err(error) => return Post::Failed(error.to_string()),
        }
        let call = Call {
            url: self.sink.url.expose_secret().to_owned(),
            headers,
            body: body.to_vec(),
        };
        match self.transport.send(&call).await {
            Ok(answer) => judged(answer.status),
            Err(fault) => Post::Failed(fault.to_string()),
        }
    }
}

/// A redirect is not followed: a notification goes where it was told to go.
fn judged(status: u16) -> Post {
    let why = format!("HTTP {status}");
    match status {
        200..=299 => Post::Taken,
        408 | 425 | 429 | 500..=599 => Post::Failed(why),
        _ => Post::Refused(why),
    }
}

/// The header's value: `sha256=` and the hexadecimal HMAC of the body.
fn signature(secret: &SecretString, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(body);
    let mut text = "sha256=".to_owned();
    for byte in mac.finalize().into_bytes() {
        write!(text, "{byte:02x}").expect("a string takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_signature(secret: &str, body: &str, expected: &str) {
        let secret = SecretString::from(secret.to_owned());
        assert_eq!(
            signature(&secret, body.as_bytes()),
            ["sha256=", expected].concat()
        );
    }

    #[test]
    fn the_signature_is_hmac_sha256_of_rfc_4231() {
        check_signature(
            "Jefe",
            "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        check_signature(
            &"\u{b}".repeat(20),
            "Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        );
    }

    #[test]
    fn no_part_of_a_sink_is_shown_but_its_origin() {
        let url = "https://me:s3cret@hooks.example:8443/services/s3cret?token=s3cret#s3cret";
        let sink = Sink::new(url, Some("/run/secrets/notify")).unwrap();
        assert_eq!(sink.origin(), "https://hooks.example:8443");
        assert!(!format!("{sink:?}").contains("s3cret"));
        for url in ["s3cret", "s3cret:x", "ftp://s3cret", "http://s3cret:x:y/"] {
            let error = Sink::new(url, None).unwrap_err();
            let text = format!("{error} {error:?}");
            let is_scheme = url.starts_with("s3cret:");
            assert!(is_scheme || !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let again = |status| matches!(judged(status), Post::Failed(_));
        assert!([408, 429, 500, 502, 503].into_iter().all(again));
        assert!(
            ![200, 204, 301, 307, 400, 401, 404, 410]
                .into_iter()
                .any(again)
        );
    }
}
