//! The courier: makes the calls of one errand, with secrets read for it alone.

use std::error::Error;
use std::sync::OnceLock;

use super::lookout::Lookout;
use super::origin::Origin;
use super::secret::{self, SecretError};
use super::transport::{FaultKind, Transport};
use crate::batch::Ticket;
use crate::batch::journal::BatchNo;
use crate::batch::lane::HaltKind;
use crate::batch::verdict::{Facts, Reason, Verdict};
use crate::digest::Digest;
use crate::lookup::Query;
use crate::provider::{Answer, Call, Credentials, Heard, Library, Provider};

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// A look-up that batches wait for.
    LookUp,
    /// A batch.
    Batch(Ticket),
    /// A batch that has its number already.
    Replay(Ticket, BatchNo),
}

/// How an errand ended.
#[derive(Debug)]
pub enum Delivery {
    /// An answer came, and means this.
    Verdict(Verdict),
    /// It was sent and no answer came.
    Lost(String),
    /// Nothing was sent.
    Unsent(Reason),
    /// Nothing was sent, and nothing will be before somebody acts.
    Halted(HaltKind, Reason),
}

/// Makes calls.
#[derive(Debug)]
pub struct Courier {
    pub(super) transport: Transport,
    /// Endpoints that the operator allows besides the providers' own.
    allowed: Vec<Origin>,
    /// Made when something is first looked at; `None` where that cannot be.
    lookout: OnceLock<Option<Lookout>>,
}

impl Courier {
    /// A courier that brings credentials to known endpoints and to `allowed`
    /// ones.
    pub fn new(transport: Transport, allowed: Vec<Origin>) -> Self {
        Self {
            transport,
            allowed,
            lookout: OnceLock::new(),
        }
    }

    /// What looks at edges, which are never told a secret; `None` where it cannot
    /// be set up.
    pub fn lookout(&self) -> Option<Lookout> {
        let lookout = self.lookout.get_or_init(|| Lookout::new().ok());
        lookout.clone()
    }

    /// Whether the provider may be called: its endpoint may see the
    /// credentials, and they can be read.
    pub fn preflight(&self, provider: &dyn Provider) -> Result<Credentials, (HaltKind, Reason)> {
        if !self.is_allowed(provider) {
            let endpoint = provider.endpoint();
            let message = format!(
                "`{endpoint}` is not one of the provider's own hosts, so no credentials were sent to it; \
                 if it is meant, allow it with `--allow-endpoint {endpoint}`"
            );
            return Err((
                HaltKind::Misconfigured,
                Reason {
                    code: "endpoint not allowed".to_owned(),
                    message,
                },
            ));
        }
        secret::read_all(provider.credentials()).map_err(|errors| {
            let told = |error: &SecretError| format!("{} ({})", chain(error), error.hint());
            let errors: Vec<String> = errors.iter().map(told).collect();
            let reason = Reason {
                code: "secret not readable".to_owned(),
                message: errors.join("; "),
            };
            (HaltKind::Unauthorized, reason)
        })
    }

    /// Whether the provider's endpoint may see its credentials.
    pub(super) fn is_allowed(&self, provider: &dyn Provider) -> bool {
        let is_allowed = |allowed: &Origin| allowed.as_str() == provider.endpoint();
        provider.is_known_endpoint() || self.allowed.iter().any(is_allowed)
    }

    /// Changes with the provider's secrets; `None` where one cannot be read.
    pub fn fingerprint(&self, provider: &dyn Provider) -> Option<Digest> {
        let credentials = secret::read_all(provider.credentials()).ok()?;
        Some(credentials.fingerprint())
    }

    /// Runs one errand to its end.
    pub async fn deliver(
        &self,
        provider: &dyn Provider,
        facts: &Facts,
        errand: Errand,
        id: &Digest,
        items: &[Box<str>],
    ) -> Delivery {
        let credentials = match self.preflight(provider) {
            Ok(credentials) => credentials,
            Err((kind, reason)) => return Delivery::Halted(kind, reason),
        };
        let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
        if errand == Errand::LookUp {
            return match provider.look_up(facts, &credentials) {
                Some(call) => {
                    self.exchange(&call, |answer| provider.read_look_up(answer, &credentials))
                        .await
                }
                None => Delivery::Verdict(Verdict::Learned(Facts::new())),
            };
        }
        let mut last = Delivery::Unsent(Reason {
            code: "no call".to_owned(),
            message: "nothing to send".to_owned(),
        });
        for call in provider.calls(id, &items, facts, &credentials) {
            last = self
                .exchange(&call, |answer| provider.read(&items, answer, &credentials))
                .await;
            if !matches!(last, Delivery::Verdict(Verdict::Accepted { .. })) {
                break;
            }
        }
        last
    }

    /// Asks an account for a page of what it lists, counted from 1; or, where
    /// that must be known first, for what its provider looks up.
    pub async fn ask(
        &self,
        provider: &dyn Provider,
        library: &dyn Library,
        facts: &Facts,
        (query, page): (&Query, u32),
    ) -> Result<Heard, Delivery> {
        let credentials = self
            .preflight(provider)
            .map_err(|(kind, reason)| Delivery::Halted(kind, reason))?;
        if let Some(call) = provider.look_up(facts, &credentials) {
            let read = |answer: &Answer| provider.read_look_up(answer, &credentials);
            return self.send(&call, read).await.map(Heard::Other);
        }
        let call = library.ask(query, page, facts, &credentials);
        self.send(&call, |answer| {
            library.read((query, page), answer, &credentials)
        })
        .await
    }

    async fn exchange(&self, call: &Call, read: impl Fn(&Answer) -> Verdict) -> Delivery {
        match self.send(call, read).await {
            Ok(verdict) => Delivery::Verdict(verdict),
            Err(delivery) => delivery,
        }
    }

    /// What the answer is read as, or why there is none.
    async fn send<T>(&self, call: &Call, read: impl Fn(&Answer) -> T) -> Result<T, Delivery> {
        let fault = match self.transport.send(call).await {
            Ok(answer) => return Ok(read(&answer)),
            Err(fault) => fault,
        };
        Err(match fault {
            fault if fault.may_have_arrived => Delivery::Lost(chain(&fault)),
            fault => {
                let reason = |message| Reason {
                    code: fault.to_string(),
                    message,
                };
                match fault.kind {
                    FaultKind::Tls => {
                        let message = format!("{} ({TLS_HINT})", root(&fault));
                        Delivery::Halted(HaltKind::Misconfigured, reason(message))
                    }
                    _ => Delivery::Unsent(reason(chain(&fault))),
                }
            }
        })
    }
}

/// What to do about a certificate that was not accepted.
const TLS_HINT: &str = "certificates are judged by this machine's clock and by the authorities \
                        it trusts; `SSL_CERT_FILE` names a file of others";

/// A fault and its causes, on one line.
pub(super) fn chain(fault: &(dyn Error + 'static)) -> String {
    let causes: Vec<String> = causes(fault).map(ToString::to_string).collect();
    causes.join(": ")
}

/// What began it.
fn root(fault: &(dyn Error + 'static)) -> String {
    causes(fault).last().unwrap_or(fault).to_string()
}

fn causes<'a>(fault: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(fault), |error| Error::source(*error))
}
