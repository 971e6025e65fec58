//! The HTTP edge: one call out, one answer back (edge: network, clock).
//!
//! It never repeats a call; what a failure means for a batch is decided by
//! whoever keeps the journal.
#![expect(
    clippy::disallowed_methods,
    reason = "clocks of answers are compared with our own"
)]

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, redirect};
use url::{Host, Url};

use crate::provider::{Answer, Call};

/// The longest wait that an answer can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How long to wait, and how much to read.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To connect, TLS included.
    pub connect: Duration,
    /// Between two pieces of an answer, and until the first.
    pub read: Duration,
    /// For a call as a whole.
    pub total: Duration,
    /// Bytes of an answer after decompression.
    pub max_answer: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_mins(1),
            total: Duration::from_mins(2),
            max_answer: 8 << 20,
        }
    }
}

/// Has every HTTP client of this process do TLS with *ring*, which is a tenth of
/// the size of what it would take by itself. To be called before one is made.
pub fn choose_cryptography() {
    // It is chosen already, most likely by us.
    _ = rustls::crypto::ring::default_provider().install_default();
}

/// Sends calls over connections that are kept.
#[derive(Clone, Debug)]
pub struct Transport {
    system: Client,
    /// For loopback: credentials must not reach a proxy on the way to ourselves.
    direct: Client,
    max_answer: usize,
}

/// What came of asking for nothing.
#[derive(Clone, Copy, Debug)]
pub struct Knock {
    /// How far the other clock is ahead of ours, if it was told.
    pub ahead_ms: Option<i64>,
    /// From the question to the answer.
    pub took: Duration,
}

/// The HTTP client cannot be set up, such as for want of root certificates.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up")]
pub struct SetUpError(#[source] pub(super) reqwest::Error);

/// What went wrong with a call that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The host cannot be found or does not accept connections.
    Connect,
    /// Nothing came in time.
    Timeout,
    /// The host's certificate or protocol was not accepted.
    Tls,
    /// The connection ended, or what came is not HTTP.
    Broken,
    /// The answer is larger than any honest one.
    TooLarge,
}

/// A call without a usable answer.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// Whether the server may have acted on the call all the same.
    pub may_have_arrived: bool,
    #[source]
    source: Option<reqwest::Error>,
}

impl Transport {
    /// A transport; proxies are taken from the environment as `curl` does.
    pub fn new(patience: Patience) -> Result<Self, SetUpError> {
        choose_cryptography();
        let builder = || {
            Client::builder()
                .user_agent(concat!("freshen/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(patience.connect)
                .read_timeout(patience.read)
                .timeout(patience.total)
                .pool_idle_timeout(Duration::from_secs(30))
        };
        Ok(Self {
            system: builder().build().map_err(SetUpError)?,
            direct: builder().no_proxy().build().map_err(SetUpError)?,
            max_answer: patience.max_answer,
        })
    }

    /// Sends one call, once, and reads its answer whole.
    pub async fn send(&self, call: &Call) -> Result<Answer, Fault> {
        let client = self.client(&call.url);
        let request = call
            .headers
            .iter()
            .fold(client.post(&call.url), |request, (name, value)| {
                request.header(*name, value)
            });
        let response = request.body(call.body.clone()).send().await?;
        self.read(response).await
    }

    /// Asks for nothing, without any credentials: whether anybody answers, and
    /// by which clock.
    pub async fn knock(&self, url: &str) -> Result<Knock, Fault> {
        let before = SystemTime::now();
        let response = self.client(url).head(url).send().await?;
        let took = before.elapsed().unwrap_or_default();
        Ok(Knock {
            ahead_ms: ahead_ms(response.headers(), before + took / 2),
            took,
        })
    }

    pub(super) fn client(&self, url: &str) -> &Client {
        if is_loopback(url) {
            &self.direct
        } else {
            &self.system
        }
    }

    async fn read(&self, mut response: Response) -> Result<Answer, Fault> {
        let status = response.status().as_u16();
        let retry_after_ms = retry_after_ms(response.headers(), SystemTime::now());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > self.max_answer {
                return Err(Fault::too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            retry_after_ms,
            body,
        })
    }
}

impl Fault {
    fn text(&self) -> &'static str {
        match self.kind {
            FaultKind::Connect => "no connection",
            FaultKind::Timeout => "no answer in time",
            FaultKind::Tls => "no secure connection",
            FaultKind::Broken => "the connection broke",
            FaultKind::TooLarge => "the answer is too large",
        }
    }

    fn too_large() -> Self {
        Self {
            kind: FaultKind::TooLarge,
            may_have_arrived: true,
            source: None,
        }
    }
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        let never_sent = error.is_connect() || error.is_builder();
        let kind = if error.is_timeout() {
            FaultKind::Timeout
        } else if error.is_connect() && is_tls(&error) {
            FaultKind::Tls
        } else if error.is_connect() {
            FaultKind::Connect
        } else {
            FaultKind::Broken
        };
        Self {
            kind,
            may_have_arrived: !never_sent,
            source: Some(error.without_url()),
        }
    }
}

/// Whether a handshake failed: TLS reports through I/O errors of this kind.
fn is_tls(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let mut io = error.downcast_ref::<io::Error>();
        while let Some(error) = io {
            if error.kind() == io::ErrorKind::InvalidData {
                return true;
            }
            io = error.get_ref().and_then(|inner| inner.downcast_ref());
        }
        source = error.source();
    }
    false
}

pub(super) fn is_loopback(url: &str) -> bool {
    let url = Url::parse(url).ok();
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `Retry-After` in milliseconds, whether it is told in seconds or as a date;
/// a date counts from the answer's own `Date`, since clocks differ.
fn retry_after_ms(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let told = text(RETRY_AFTER)?;
    let wait = if !told.is_empty() && told.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are certainly over the limit.
        told.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let date = |text: &str| httpdate::parse_http_date(text).ok();
        let answered = text(DATE).and_then(date).unwrap_or(now);
        date(told)?.duration_since(answered).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER).as_millis() as u64)
}

/// How far the `Date` of an answer is ahead of `now`. It names a second, in
/// which any moment may be meant.
fn ahead_ms(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let date = httpdate::parse_http_date(date.trim()).ok()? + Duration::from_millis(500);
    let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Some(match date.duration_since(now) {
        Ok(ahead) => ms(ahead),
        Err(behind) => -ms(behind.duration()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(retry_after: &str, date: Option<&str>, expected: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 12:00:00 GMT").unwrap();
        assert_eq!(retry_after_ms(&headers, now), expected, "{retry_after}");
    }

    #[test]
    fn seconds_are_read_and_clamped() {
        check("7", None, Some(7_000));
        check("0", None, Some(0));
        check("86400", None, Some(3_600_000));
        check("99999999999999999999999", None, Some(3_600_000));
    }

    #[test]
    fn dates_of_every_form_count_from_the_answers_own_clock() {
        let answered = Some("Mon, 23 Nov 2026 12:34:00 GMT");
        check("Mon, 23 Nov 2026 12:34:09 GMT", answered, Some(9_000));
        check("Monday, 23-Nov-26 12:34:09 GMT", answered, Some(9_000));
        check("Mon Nov 23 12:34:09 2026", answered, Some(9_000));
        check("Mon, 23 Nov 2026 12:30:00 GMT", answered, Some(0));
        check("Mon, 23 Nov 2026 12:00:05 GMT", None, Some(5_000));
        check("Tue, 23 Nov 2027 12:00:05 GMT", None, Some(3_600_000));
    }

    #[test]
    fn what_is_neither_says_nothing() {
        check("soon", None, None);
        check("-5", None, None);
        check("", None, None);
        check("1.5", None, None);
    }

    #[test]
    fn another_clock_is_ahead_or_behind_by_its_date() {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 12:00:00 GMT").unwrap();
        let check = |date: &str, expected: Option<i64>| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, date.parse().unwrap());
            assert_eq!(ahead_ms(&headers, now), expected, "{date}");
        };
        check("Mon, 23 Nov 2026 12:00:31 GMT", Some(31_500));
        check("Mon, 23 Nov 2026 11:59:59 GMT", Some(-500));
        check("noon", None);
        assert_eq!(ahead_ms(&HeaderMap::new(), now), None);
    }

    #[test]
    fn loopback_is_known_by_its_address() {
        assert!(is_loopback("http://127.0.0.1:8080/x"));
        assert!(is_loopback("http://[::1]:8080/x"));
        assert!(is_loopback("http://localhost/x"));
        assert!(!is_loopback("http://localhost.example.com/x"));
    }
}
