//! The provider itself: what a Cdn's block comes to.

use std::fmt;
use std::sync::Arc;

use super::soap::PASSWORD;
use super::{checkup, listing, read, soap};
use crate::digest::Digest;
use crate::expand::Addressing;
use crate::lookup::Query;
use crate::manifest::{Bucket, RateLimit, SecretRef};
use crate::provider::checkup::Check;
use crate::provider::{
    Answer, Call, Capacity, Credentials, Facts, Heard, Library, Provider, Reason, Verdict,
};

/// URLs in one call, at most: `UrlArray` in the WSDL.
const MAX_URLS: u32 = 1000;
/// Name of the fact that every invalidation needs.
pub(super) const HANDLE: &str = "companyHandle";
/// Name of the fact that tells under which root the company's URLs lie.
pub(super) const ROOT_PATH: &str = "rootPath";

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// One company at one IPS endpoint.
#[derive(Debug)]
pub struct DynamicMedia {
    endpoint: Endpoint,
    target: String,
    pub(super) namespace: String,
    pub(super) company: String,
    pub(super) declared_handle: Option<String>,
    pub(super) addressing: Arc<Addressing>,
    pub(super) lists_presets: bool,
    credentials: Vec<(&'static str, SecretRef)>,
}

/// The service's URL, in the parts that matter.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Scheme and authority, in canonical form.
    pub(super) origin: String,
    /// Of the service.
    pub(super) path: String,
    /// One of Adobe's hosts, or loopback.
    pub(super) is_known: bool,
}

/// A root that is not the declared one.
#[derive(Debug)]
pub(super) struct OtherRoot<'a> {
    company: &'a str,
    declared: &'a str,
    path: String,
    /// What the manifest should say, for a sentence that begins with "give".
    pub(super) cure: String,
}

impl fmt::Display for OtherRoot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            company,
            declared,
            path,
            ..
        } = self;
        write!(
            f,
            "the root path of company `{company}` is `{path}`, and the Cdn's rootId is `{declared}`"
        )
    }
}

impl DynamicMedia {
    pub(super) fn new(
        endpoint: Endpoint,
        api_version: &str,
        company: String,
        declared_handle: Option<String>,
        (addressing, lists_presets): (Addressing, bool),
        credentials: Vec<(&'static str, SecretRef)>,
    ) -> Self {
        Self {
            // The company comes last because its name may hold spaces.
            target: format!("dynamic-media {} company={company}", endpoint.origin),
            namespace: soap::namespace(api_version),
            endpoint,
            company,
            declared_handle,
            addressing: Arc::new(addressing),
            lists_presets,
            credentials,
        }
    }

    /// Whether there is a password that a login can be tried with.
    pub(super) fn has_password(&self) -> bool {
        self.credentials.iter().any(|(role, _)| *role == PASSWORD)
    }

    pub(super) fn handle<'a>(&'a self, facts: &'a Facts) -> Option<&'a str> {
        let declared = self.declared_handle.as_deref();
        declared.or_else(|| facts.get(HANDLE).map(String::as_str))
    }

    /// Why what is declared cannot be meant, where the company's root is not
    /// the one that the Cdn's URLs must lie under.
    pub(super) fn other_root(&self, path: Option<&str>) -> Option<OtherRoot<'_>> {
        let path = path?;
        let found = path.strip_suffix('/').unwrap_or(path);
        let declared = self.addressing.root.as_deref()?;
        (found != declared).then(|| OtherRoot {
            company: &self.company,
            declared,
            path: path.to_owned(),
            cure: format!("`rootId: {found}` if the company is the right one, else its `company`"),
        })
    }

    pub(super) fn call(&self, operation: &str, body: Vec<u8>) -> Call {
        Call {
            url: format!("{}{}", self.endpoint.origin, self.endpoint.path),
            headers: vec![
                ("Content-Type", "text/xml; charset=UTF-8".to_owned()),
                ("Accept", "text/xml".to_owned()),
                ("SOAPAction", format!("\"{operation}\"")),
            ],
            body,
        }
    }
}

impl Provider for DynamicMedia {
    fn target(&self) -> &str {
        &self.target
    }

    fn endpoint(&self) -> &str {
        &self.endpoint.origin
    }

    fn is_known_endpoint(&self) -> bool {
        self.endpoint.is_known
    }

    fn addressing(&self) -> Option<&Arc<Addressing>> {
        Some(&self.addressing)
    }

    /// The domains that Adobe gives to every company: on them each full URL has
    /// to be listed, it says (experience-manager-65.en#370).
    fn shares_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        host == "scene7.com" || host.ends_with(".scene7.com")
    }

    fn capacity(&self) -> Capacity {
        Capacity {
            max_items: MAX_URLS,
        }
    }

    fn default_rate(&self) -> RateLimit {
        let bucket = |burst, period_ms| Bucket { burst, period_ms };
        RateLimit {
            requests: vec![bucket(6, MINUTE_MS)],
            urls: vec![bucket(20_000, HOUR_MS), bucket(200_000, DAY_MS)],
        }
    }

    fn credentials(&self) -> Vec<(&'static str, SecretRef)> {
        self.credentials.clone()
    }

    fn look_up(&self, facts: &Facts, credentials: &Credentials) -> Option<Call> {
        // A root that was another one may have been corrected since, here or there.
        let path = facts.get(ROOT_PATH).map(String::as_str);
        let is_settled = self.declared_handle.is_some() || self.other_root(path).is_none();
        if self.handle(facts).is_some() && is_settled {
            return None;
        }
        let body = soap::company_by_name(&self.namespace, credentials, &self.company);
        Some(self.call("getCompanyInfo", body))
    }

    fn checks(&self) -> Vec<Box<dyn Check + '_>> {
        checkup::checks(self)
    }

    fn calls(
        &self,
        _id: &Digest,
        items: &[&str],
        facts: &Facts,
        credentials: &Credentials,
    ) -> Vec<Call> {
        let handle = self
            .handle(facts)
            .expect("a batch is sent once no look-up is missing");
        let body = soap::invalidation(&self.namespace, credentials, handle, items);
        vec![self.call("cdnCacheInvalidation", body)]
    }

    fn read_look_up(&self, answer: &Answer, credentials: &Credentials) -> Verdict {
        let verdict = match read::company(answer) {
            Ok(found) => match self.other_root(found.root_path.as_deref()) {
                Some(other) => Verdict::Misconfigured(Reason {
                    code: "rootId".to_owned(),
                    message: format!("{other}; give {}", other.cure),
                }),
                None => Verdict::Learned(found.facts()),
            },
            Err(verdict) => verdict,
        };
        verdict.redacted(credentials)
    }

    fn read(&self, items: &[&str], answer: &Answer, credentials: &Credentials) -> Verdict {
        read::invalidation(items, answer).redacted(credentials)
    }

    fn as_library(&self) -> Option<&dyn Library> {
        Some(self)
    }
}

impl Library for DynamicMedia {
    fn default_rate(&self) -> Vec<Bucket> {
        vec![Bucket {
            burst: 60,
            period_ms: MINUTE_MS,
        }]
    }

    fn lists_presets(&self) -> bool {
        self.lists_presets
    }

    fn ask(&self, query: &Query, page: u32, facts: &Facts, credentials: &Credentials) -> Call {
        let handle = self
            .handle(facts)
            .expect("an account is asked once no look-up is missing");
        let (operation, body) =
            listing::request(&self.namespace, credentials, handle, (query, page));
        self.call(operation, body)
    }

    fn read(&self, asked: (&Query, u32), answer: &Answer, credentials: &Credentials) -> Heard {
        match listing::read(asked, answer) {
            Ok(page) => Heard::Page(page),
            Err(verdict) => Heard::Other(verdict.redacted(credentials)),
        }
    }
}
