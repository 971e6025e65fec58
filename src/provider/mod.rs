//! Providers: codecs that turn a batch into calls and answers into verdicts.
//!
//! A provider sends nothing and reads no clock; the transport does that for
//! all of them. It is one file (or folder) and one line in [`catalog`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use checkup::Check;

pub use crate::batch::verdict::{Facts, Reason, Verdict};
use crate::digest::Digest;
use crate::expand::Addressing;
use crate::manifest::{Place, RateLimit, SecretRef, Step};

pub mod catalog;
pub mod checkup;
pub mod dynamic_media;
mod library;

pub use library::{Heard, Library, LookUp};

/// Where a value inside a provider's block stands, by its path from the block.
pub type Places<'a> = dyn Fn(&[Step<'_>]) -> Option<Place> + 'a;

/// One CDN account, as a codec.
pub trait Provider: fmt::Debug + Send + Sync {
    /// Provider kind, endpoint and account in one canonical line: two Cdns
    /// with equal targets share ledger and budget.
    fn target(&self) -> &str;

    /// Scheme and authority of the endpoint, where credentials would go.
    fn endpoint(&self) -> &str;

    /// Whether the endpoint is one of the provider's own hosts (or loopback),
    /// which may be sent credentials without the operator's leave.
    fn is_known_endpoint(&self) -> bool;

    /// What templates of this Cdn's sets draw on; `None` where it has no say.
    fn addressing(&self) -> Option<&Arc<Addressing>>;

    /// Whether accounts share `host`, so that folding its URLs to their paths
    /// is not to be relied on.
    fn shares_host(&self, _host: &str) -> bool {
        false
    }

    /// What a batch may hold.
    fn capacity(&self) -> Capacity;

    /// The rate to keep where the manifest declares none.
    fn default_rate(&self) -> RateLimit;

    /// The secrets a call needs, by role.
    fn credentials(&self) -> Vec<(&'static str, SecretRef)>;

    /// The look-up that must be answered before a batch can be sent, if any;
    /// its answer is [`Verdict::Learned`].
    fn look_up(&self, facts: &Facts, credentials: &Credentials) -> Option<Call>;

    /// The look-ups that tell whether the account is as it is declared, in the
    /// order in which they are made. Without any, nothing is known of it.
    fn checks(&self) -> Vec<Box<dyn Check + '_>> {
        Vec::new()
    }

    /// The calls that submit `items`, in the order given. `id` stays the same
    /// when a batch of unknown outcome is sent again.
    fn calls(
        &self,
        id: &Digest,
        items: &[&str],
        facts: &Facts,
        credentials: &Credentials,
    ) -> Vec<Call>;

    /// What the answer to a look-up means.
    fn read_look_up(&self, answer: &Answer, credentials: &Credentials) -> Verdict;

    /// What the answer to a call with `items` means. The credentials are those
    /// of the call: should the answer echo them, the verdict does not.
    fn read(&self, items: &[&str], answer: &Answer, credentials: &Credentials) -> Verdict;

    /// What its account can be asked about assets; `None` where it cannot.
    fn as_library(&self) -> Option<&dyn Library> {
        None
    }
}

/// What a batch may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Items, at most.
    pub max_items: u32,
}

/// Secrets as read for one call, by role; never stored, never printed.
#[derive(Default)]
pub struct Credentials(BTreeMap<&'static str, SecretString>);

impl Credentials {
    /// Adds the secret of a role.
    pub fn insert(&mut self, role: &'static str, secret: SecretString) {
        self.0.insert(role, secret);
    }

    /// The secret of a role.
    pub fn get(&self, role: &str) -> Option<&SecretString> {
        self.0.get(role)
    }

    /// Changes with any of the secrets; to be kept in memory alone.
    pub fn fingerprint(&self) -> Digest {
        let parts = self
            .0
            .iter()
            .flat_map(|(role, secret)| [role.as_bytes(), secret.expose_secret().as_bytes()]);
        Digest::of_parts(parts)
    }

    /// `text` on one line and shortened, without any of the secrets. They are
    /// looked for before anything is collapsed or cut, where they stand as
    /// they are, and again on the one line, where they are flat as well.
    fn tell(&self, text: &str) -> String {
        let line = one_line(&self.redact(text, str::to_owned));
        let line = self.redact(&line, one_line);
        match line.char_indices().nth(MAX_CHARACTERS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    /// `text` without the secrets in the form that `formed` gives them, plain
    /// or escaped for XML.
    fn redact(&self, text: &str, formed: impl Fn(&str) -> String) -> String {
        let mut text = text.to_owned();
        for secret in self.0.values().map(ExposeSecret::expose_secret) {
            let secret = formed(secret);
            let escaped = quick_xml::escape::escape(&*secret);
            let partly = quick_xml::escape::partial_escape(&*secret);
            for form in [&*escaped, &*partly, &*secret] {
                if !form.is_empty() {
                    text = text.replace(form, "***");
                }
            }
        }
        text
    }
}

/// What is shown of what a CDN says, in characters, at most.
const MAX_CHARACTERS: usize = 300;

fn one_line(text: &str) -> String {
    text.split_whitespace()
        .map(|word| word.replace(char::is_control, ""))
        .collect::<Vec<_>>()
        .join(" ")
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// One HTTP request, ready to be sent. Its body may hold secrets: no `Debug`.
pub struct Call {
    /// Absolute.
    pub url: String,
    /// Without secrets, as far as the provider can help it.
    pub headers: Vec<(&'static str, String)>,
    /// Sent by POST.
    pub body: Vec<u8>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("url", &self.url)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After`, already read: milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// Decompressed, capped.
    pub body: Vec<u8>,
}

impl Verdict {
    /// The same verdict, its words on one line, shortened, and without any of
    /// the secrets.
    #[must_use]
    pub fn redacted(self, credentials: &Credentials) -> Self {
        let clean = |reason: Reason| Reason {
            code: credentials.tell(&reason.code),
            message: credentials.tell(&reason.message),
        };
        match self {
            Self::Learned(facts) => Self::Learned(facts),
            Self::Accepted {
                receipt,
                estimate_ms,
            } => Self::Accepted {
                receipt: credentials.tell(&receipt),
                estimate_ms,
            },
            Self::Refused { culprits, reason } => Self::Refused {
                culprits,
                reason: clean(reason),
            },
            Self::TooLarge(reason) => Self::TooLarge(clean(reason)),
            Self::Throttled { after_ms, reason } => Self::Throttled {
                after_ms,
                reason: clean(reason),
            },
            Self::Transient(reason) => Self::Transient(clean(reason)),
            Self::Unauthorized(reason) => Self::Unauthorized(clean(reason)),
            Self::Misconfigured(reason) => Self::Misconfigured(clean(reason)),
            Self::NotUnderstood(reason) => Self::NotUnderstood(clean(reason)),
        }
    }
}
