//! Check-ups: whether a Cdn can be reached and used, without using it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::clock::{Clock, SystemClock};
use super::courier::{Courier, chain};
use super::secret;
use super::transport::{Fault, FaultKind};
use crate::manifest::SecretRef;
use crate::provider::checkup::{Check, Examined, Finding};
use crate::provider::{Answer, Call, Credentials, Facts, Provider};

/// A clock that is further off is worth a warning.
const OFF_MS: u64 = 30 * 1000;
/// One that is further off is wrong.
const WRONG_MS: u64 = 5 * 60 * 1000;

/// Examines all of `providers` at once, each for `limit` at most; in their order.
pub async fn examine_all(
    courier: &Arc<Courier>,
    providers: Vec<Arc<dyn Provider>>,
    limit: Duration,
) -> Vec<Vec<Finding>> {
    let examining = providers.into_iter().map(|provider| {
        let courier = Arc::clone(courier);
        tokio::spawn(async move { examine(&courier, &*provider, &SystemClock, limit).await })
    });
    // All of them are under way before the first is waited for.
    let examining: Vec<_> = examining.collect();
    let mut examined = Vec::new();
    for findings in examining {
        examined.push(findings.await.unwrap_or_else(|_| vec![defect()]));
    }
    examined
}

/// Examines one Cdn. What cannot be looked at, because of something else that
/// is wrong, is listed all the same.
async fn examine(
    courier: &Courier,
    provider: &dyn Provider,
    clock: &dyn Clock,
    limit: Duration,
) -> Vec<Finding> {
    let mut visit = Visit {
        courier,
        provider,
        until: Instant::now() + limit,
        findings: Vec::new(),
        obstacle: None,
    };
    visit.endpoint();
    let credentials = visit.secrets();
    visit.connection(limit).await;
    if credentials.is_none() {
        visit.obstacle.get_or_insert("a secret cannot be read");
    }
    visit.account(&credentials.unwrap_or_default(), clock).await;
    visit.findings
}

/// One Cdn, being examined.
struct Visit<'a> {
    courier: &'a Courier,
    provider: &'a dyn Provider,
    until: Instant,
    findings: Vec<Finding>,
    /// Why nothing more can be asked, if so.
    obstacle: Option<&'static str>,
}

impl Visit<'_> {
    fn endpoint(&mut self) {
        let (subject, endpoint) = ("endpoint", self.provider.endpoint());
        let finding = if self.provider.is_known_endpoint() {
            Finding::good(subject, format!("`{endpoint}` is known"))
        } else if self.courier.is_allowed(self.provider) {
            Finding::good(
                subject,
                format!("`{endpoint}` is allowed by --allow-endpoint"),
            )
        } else {
            self.obstacle = Some("the endpoint is not allowed");
            let message = format!("`{endpoint}` is not one of the provider's own hosts");
            let cure = format!(
                "if it is meant, allow it with `--allow-endpoint {endpoint}`, here and wherever \
                 something is sent"
            );
            Finding::failed(subject, message, cure)
        };
        self.findings.push(finding);
    }

    /// Reads all secrets, as for a call; `None` where any cannot be had.
    fn secrets(&mut self) -> Option<Credentials> {
        let mut credentials = Some(Credentials::default());
        for (role, reference) in self.provider.credentials() {
            let subject = format!("secret {role}");
            let finding = match secret::read(&reference) {
                Ok(secret) => {
                    if let Some(credentials) = &mut credentials {
                        credentials.insert(role, secret);
                    }
                    readable(subject, &reference)
                }
                Err(error) => {
                    credentials = None;
                    Finding::failed(subject, chain(&error), error.hint())
                }
            };
            self.findings.push(finding);
        }
        credentials
    }

    /// Knocks without credentials: reach and clock are told by any answer.
    async fn connection(&mut self, limit: Duration) {
        if self.is_kept_from(&["connection", "clock"]) {
            return;
        }
        let url = format!("{}/", self.provider.endpoint());
        let knock = timeout_at(self.until, self.courier.transport.knock(&url)).await;
        let (why, cure) = match knock {
            Ok(Ok(knock)) => {
                let how = if url.starts_with("https:") {
                    " over TLS"
                } else {
                    ""
                };
                let message = format!("answers{how} after {} ms", knock.took.as_millis());
                self.findings.push(Finding::good("connection", message));
                self.findings.push(judge_clock(knock.ahead_ms));
                return;
            }
            Ok(Err(fault)) if fault.kind == FaultKind::Broken => {
                let message = "reached, but a question without content was not answered";
                self.findings.push(Finding::unknown("connection", message));
                self.pass_over(&["clock"], "there was no answer");
                return;
            }
            Ok(Err(fault)) => (chain(&fault), cure(&fault)),
            Err(_) => (no_answer(limit), CONNECT),
        };
        self.findings.push(Finding::failed("connection", why, cure));
        self.obstacle = Some("the endpoint cannot be reached");
        self.is_kept_from(&["clock"]);
    }

    /// Makes the provider's own look-ups, one after the other.
    async fn account(&mut self, credentials: &Credentials, clock: &dyn Clock) {
        let checks = self.provider.checks();
        if checks.is_empty() {
            let message = "not looked at: this kind of CDN has nothing that could be asked";
            self.findings.push(Finding::unknown("account", message));
        }
        let mut facts = Facts::new();
        for check in checks {
            if self.is_kept_from(check.subjects()) {
                continue;
            }
            let Some(call) = check.call(&facts, credentials) else {
                self.pass_over(check.subjects(), "what it takes is not known");
                continue;
            };
            let Some(answer) = self.ask(&*check, &call).await else {
                continue;
            };
            let Examined {
                facts: learned,
                findings,
                is_locked_out,
            } = check.read(&answer, clock.now_ms(), credentials);
            facts.extend(learned);
            self.findings.extend(findings);
            if is_locked_out {
                self.obstacle = Some("the credentials are not accepted");
            }
        }
    }

    async fn ask(&mut self, check: &dyn Check, call: &Call) -> Option<Answer> {
        let (why, cure) = match timeout_at(self.until, self.courier.transport.send(call)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(fault)) => (chain(&fault), cure(&fault)),
            Err(_) => {
                self.obstacle = Some("the time is up");
                ("no answer before the time was up".to_owned(), AGAIN)
            }
        };
        let (first, rest) = check.subjects().split_first()?;
        self.findings.push(Finding::failed(*first, why, cure));
        self.pass_over(rest, "there was no answer");
        None
    }

    /// Whether something is in the way of looking at these; it says so.
    fn is_kept_from(&mut self, subjects: &[&str]) -> bool {
        if let Some(obstacle) = self.obstacle {
            self.pass_over(subjects, obstacle);
        }
        self.obstacle.is_some()
    }

    fn pass_over(&mut self, subjects: &[&str], why: &str) {
        let unknown = |subject: &&str| Finding::unknown(*subject, format!("not looked at: {why}"));
        self.findings.extend(subjects.iter().map(unknown));
    }
}

fn readable(subject: String, reference: &SecretRef) -> Finding {
    let path = match reference {
        SecretRef::Env(name) => {
            return Finding::good(subject, format!("in environment variable `{name}`"));
        }
        SecretRef::File(path) => path,
    };
    if secret::is_open_to_all(reference) {
        let message = format!("everybody on this machine may read file `{path}`");
        let cure =
            format!("`chmod o-r {path}`; in Kubernetes, set the volume's `defaultMode: 0440`");
        return Finding::doubtful(subject, message, cure);
    }
    Finding::good(subject, format!("in file `{path}`"))
}

fn judge_clock(ahead_ms: Option<i64>) -> Finding {
    let subject = "clock";
    let Some(ahead_ms) = ahead_ms else {
        return Finding::unknown(subject, "not compared: the answer tells no time");
    };
    let off_ms = ahead_ms.unsigned_abs();
    let seconds = off_ms.div_ceil(1000);
    if off_ms <= OFF_MS {
        return Finding::good(subject, format!("within {seconds} s of the CDN's"));
    }
    let side = if ahead_ms > 0 { "behind" } else { "ahead of" };
    let message = format!("this machine's is {seconds} s {side} the CDN's");
    let cure = "set it, such as by NTP: rates, `notBefore` and tiers go by it";
    if off_ms <= WRONG_MS {
        Finding::doubtful(subject, message, cure)
    } else {
        Finding::failed(subject, message, cure)
    }
}

const CONNECT: &str = "see whether name, firewall and proxy let this machine reach the endpoint";
const AGAIN: &str = "run `freshen doctor` again, with a longer `--timeout`";

fn cure(fault: &Fault) -> &'static str {
    match fault.kind {
        FaultKind::Connect => CONNECT,
        FaultKind::Timeout => AGAIN,
        FaultKind::Tls => {
            "see whether this machine trusts the endpoint's certificate, and nothing in between \
             shows another"
        }
        FaultKind::Broken | FaultKind::TooLarge => {
            "see whether the endpoint is the CDN's own, without a proxy in between that answers for it"
        }
    }
}

fn no_answer(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs_f64())
}

fn defect() -> Finding {
    let message = "freshen failed while it looked at this Cdn";
    Finding::failed("account", message, "this is a defect, please report it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::checkup::Grade;

    #[test]
    fn a_clock_is_doubted_over_thirty_seconds_and_wrong_over_five_minutes() {
        let grade = |ahead_ms| judge_clock(Some(ahead_ms)).grade;
        assert_eq!(grade(30_000), Grade::Good);
        assert_eq!(grade(30_001), Grade::Doubtful);
        assert_eq!(grade(-30_001), Grade::Doubtful);
        assert_eq!(grade(300_000), Grade::Doubtful);
        assert_eq!(grade(300_001), Grade::Failed);
        assert_eq!(grade(i64::MIN), Grade::Failed);
        assert_eq!(judge_clock(None).grade, Grade::Unknown);
        let told = judge_clock(Some(-45_500)).message;
        assert_eq!(told, "this machine's is 46 s ahead of the CDN's");
    }
}
