//! `doctor --purge-test`: one real round trip, from the edge and back to it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::args::Global;
use super::exit::Failure;
use super::{asking, doctor};
use crate::declare::Declared;
use crate::inspect::purge::{Seen, compare};
use crate::manifest::without_userinfo;
use crate::provider::checkup::{Finding, Grade};
use crate::reconcile::forcing::Selection;
use crate::report::number::counted;
use crate::state::Advance;
use crate::submit::fetch::Fetched;
use crate::submit::transport::{Fault, Transport};

const SUBJECT: &str = "purge test";

/// A copy that is younger could not be told from a fresh one by its age.
const OLD_ENOUGH_S: u64 = 3;

/// Between two looks at whether the edge has a fresh copy.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The one Cdn of those to be examined that `url` belongs to.
pub(super) fn covering(
    declared: &Declared,
    url: &str,
    only: Option<&str>,
) -> Result<String, Failure> {
    let is_meant = |name: &&String| only.is_none_or(|only| only == name.as_str());
    let cdns = declared.cdns.values().filter(|cdn| cdn.covers(url));
    let covering: Vec<&String> = cdns.map(|cdn| &cdn.name).filter(is_meant).collect();
    let shown = without_userinfo(url);
    match &*covering {
        [one] => Ok((*one).clone()),
        [] => Err(Failure::usage(format!(
            "`--purge-test {shown}`: no Cdn that is examined covers it"
        ))
        .hint("give a whole URL under the root of a declared Cdn")),
        several => Err(Failure::usage(format!(
            "`--purge-test {shown}`: the Cdns {} all cover it",
            several
                .iter()
                .map(|name| name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ))
        .hint("name one of them with `--cdn`")),
    }
}

/// A purge test, about to be made.
pub(super) struct PurgeTest<'a> {
    pub(super) url: &'a str,
    pub(super) cdn: &'a str,
    pub(super) declared: &'a Declared,
    pub(super) global: &'a Global,
    pub(super) arguments: &'a doctor::Arguments,
}

impl PurgeTest<'_> {
    /// Fetches, invalidates, and fetches until there is a fresh copy; adds
    /// what was seen to `findings` on the Cdn. Where one of them is a failure,
    /// nothing is sent.
    pub(super) fn run(
        &self,
        transport: &Transport,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Failure> {
        if findings
            .iter()
            .any(|finding| finding.grade == Grade::Failed)
        {
            let message = "not made: something else is wrong with this Cdn";
            findings.push(Finding::unknown(SUBJECT, message));
            return Ok(());
        }
        let runtime = doctor::runtime()?;
        let before = match runtime.block_on(self.before(transport)) {
            Ok(before) => before,
            Err(finding) => {
                findings.push(finding);
                return Ok(());
            }
        };
        let invalidated = self.invalidate();
        let is_accepted = invalidated.grade == Grade::Good;
        findings.push(invalidated);
        if is_accepted {
            findings.push(runtime.block_on(self.after(transport, &before)));
        }
        Ok(())
    }

    fn limit(&self) -> Duration {
        Duration::from_millis(self.arguments.timeout)
    }

    async fn get(&self, transport: &Transport) -> Result<Fetched, Finding> {
        let failed = |message: String| {
            let cure = "give a URL that visitors can fetch; nothing is concluded from this one";
            Finding::failed(SUBJECT, message, cure)
        };
        let told = |fault: Fault| {
            let fault = anyhow::Error::new(fault);
            failed(format!("`{}` cannot be fetched: {fault:#}", self.url))
        };
        let fetched = transport.fetch(self.url, self.limit()).await;
        let fetched = fetched.map_err(told)?;
        if !(200..300).contains(&fetched.status) {
            return Err(failed(format!("`{}` is HTTP {}", self.url, fetched.status)));
        }
        Ok(fetched)
    }

    /// A copy that the edge has had for a while.
    async fn before(&self, transport: &Transport) -> Result<Fetched, Finding> {
        let mut before = self.get(transport).await?;
        if before.age_s.is_none() {
            // What the edge had to fetch itself often comes without an age.
            before = self.get(transport).await?;
        }
        if let Some(young) = before
            .age_s
            .and_then(|age_s| OLD_ENOUGH_S.checked_sub(age_s))
        {
            sleep(Duration::from_secs(young)).await;
        }
        Ok(before)
    }

    /// One call, by the way that every invalidation goes.
    fn invalidate(&self) -> Finding {
        let subject = "invalidation";
        let selection = Selection {
            urls: Some(vec![self.url.to_owned()]),
            cdn: Some(self.cdn.to_owned()),
            reason: Some("doctor --purge-test".to_owned()),
            ..Selection::default()
        };
        let allowed = &self.arguments.allow_endpoint;
        let asked = asking::once(
            selection,
            (self.declared, self.global),
            (allowed, self.arguments.timeout),
        );
        match asked {
            Ok(Advance {
                items, accepted, ..
            }) if items > 0 && accepted == items => {
                Finding::good(subject, format!("{} accepted", counted(accepted, "item")))
            }
            Ok(advance) if advance.left == 0 => Finding::failed(
                subject,
                format!("{} refused", counted(advance.refused, "item")),
                "`freshen status` names the reason",
            ),
            Ok(advance) => Finding::failed(
                subject,
                format!("{} still to be sent", counted(advance.left, "item")),
                "`freshen status` says what it waits for; the next run sends it",
            ),
            Err(failure) => {
                let cure = failure
                    .hint
                    .unwrap_or_else(|| "see `freshen status`".to_owned());
                Finding::failed(subject, format!("{:#}", failure.error), cure)
            }
        }
    }

    /// Looks until a fresh copy is there, or the time is up.
    async fn after(&self, transport: &Transport, before: &Fetched) -> Finding {
        let until = Instant::now() + self.limit();
        loop {
            let seen = match self.get(transport).await {
                Ok(after) => compare(before, &after),
                Err(finding) => return finding,
            };
            let is_over = Instant::now() + BETWEEN_LOOKS > until;
            match seen {
                Seen::Fresh(told) => {
                    return Finding::good(SUBJECT, format!("a fresh copy: {told}"));
                }
                Seen::Stale(told) if is_over => {
                    let cure = "wait longer with `--timeout`; else compare `granularity` with how \
                                the edge keys its copies, and ask the CDN's support";
                    return Finding::failed(SUBJECT, format!("still the old copy: {told}"), cure);
                }
                Seen::Untold(told) if is_over => {
                    let message =
                        format!("accepted, and nothing tells whether it was done: {told}");
                    return Finding::unknown(SUBJECT, message);
                }
                Seen::Stale(_) | Seen::Untold(_) => sleep(BETWEEN_LOOKS).await,
            }
        }
    }
}
