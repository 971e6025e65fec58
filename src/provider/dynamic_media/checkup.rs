//! The check-up of an account: three look-ups, none of which invalidates.

use jiff::Timestamp;

use super::codec::DynamicMedia;
use super::read::{self, CompanyInfo};
use super::soap;
use crate::manifest::nearest;
use crate::provider::checkup::{Check, Examined, Finding, LOGIN, REPORT};
use crate::provider::{Answer, Call, Credentials, Facts, Verdict};

const LOGIN_SUBJECT: &str = "credentials";
const COMPANY: &str = "company";
const ROOT: &str = "rootId";
const RIGHTS: &str = "rights";
const PRESETS: &str = "image presets";

/// A company that expires sooner is worth a warning.
const SOON_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Missing presets that are named, at most.
const MOST_NAMED: usize = 5;

const COMPANY_CURE: &str = "give `company` (or `companyHandle`) as Dynamic Media shows it, and make the account its member";
const RIGHTS_CURE: &str = "give the account the role IpsCompanyAdmin or IpsAdmin in this company";

/// In the order in which they are made. A token is no login: whether it is
/// accepted shows with the company.
pub(super) fn checks(provider: &DynamicMedia) -> Vec<Box<dyn Check + '_>> {
    let mut checks: Vec<Box<dyn Check + '_>> = Vec::new();
    if provider.has_password() {
        checks.push(Box::new(Login(provider)));
    }
    checks.push(Box::new(Company(provider)));
    checks.push(Box::new(Presets(provider)));
    checks
}

/// `checkLogin`.
struct Login<'a>(&'a DynamicMedia);

/// `getCompanyInfo`.
struct Company<'a>(&'a DynamicMedia);

/// `getImageFormats`.
struct Presets<'a>(&'a DynamicMedia);

impl Check for Login<'_> {
    fn subjects(&self) -> &'static [&'static str] {
        &[LOGIN_SUBJECT]
    }

    fn call(&self, _facts: &Facts, credentials: &Credentials) -> Option<Call> {
        let body = soap::login(&self.0.namespace, credentials);
        Some(self.0.call("checkLogin", body))
    }

    fn read(&self, answer: &Answer, _now_ms: i64, credentials: &Credentials) -> Examined {
        let status = match read::login(answer) {
            Ok(status) => status,
            Err(verdict) => return failed(verdict, LOGIN_SUBJECT, RIGHTS_CURE, credentials),
        };
        let finding = match status.as_str() {
            "ValidLogin" => Finding::good(LOGIN_SUBJECT, "accepted"),
            "InvalidLogin" => Finding::failed(LOGIN_SUBJECT, "not accepted: InvalidLogin", LOGIN),
            other => Finding::failed(
                LOGIN_SUBJECT,
                credentials.tell(&format!(
                    "neither ValidLogin nor InvalidLogin, but `{other}`"
                )),
                REPORT,
            ),
        };
        Examined {
            findings: vec![finding],
            ..Examined::default()
        }
    }
}

impl Check for Company<'_> {
    fn subjects(&self) -> &'static [&'static str] {
        &[COMPANY, ROOT, RIGHTS]
    }

    fn call(&self, _facts: &Facts, credentials: &Credentials) -> Option<Call> {
        let (namespace, company) = (&self.0.namespace, &self.0.company);
        let body = match &self.0.declared_handle {
            Some(handle) => soap::company_by_handle(namespace, credentials, handle),
            None => soap::company_by_name(namespace, credentials, company),
        };
        Some(self.0.call("getCompanyInfo", body))
    }

    fn read(&self, answer: &Answer, now_ms: i64, credentials: &Credentials) -> Examined {
        let found = match read::company(answer) {
            Ok(found) => found,
            Err(verdict) => return no_company(verdict, credentials),
        };
        let findings = vec![
            told(self.0.judge_company(&found, now_ms), credentials),
            told(self.0.judge_root(found.root_path.as_deref()), credentials),
            Finding::unknown(
                RIGHTS,
                "the account may look things up; whether it may invalidate (role IpsCompanyAdmin \
                 or IpsAdmin) shows only when it does",
            ),
        ];
        Examined {
            facts: found.facts(),
            findings,
            is_locked_out: false,
        }
    }
}

impl Check for Presets<'_> {
    fn subjects(&self) -> &'static [&'static str] {
        &[PRESETS]
    }

    fn call(&self, facts: &Facts, credentials: &Credentials) -> Option<Call> {
        let handle = self.0.handle(facts)?;
        let body = soap::image_formats(&self.0.namespace, credentials, handle);
        Some(self.0.call("getImageFormats", body))
    }

    fn read(&self, answer: &Answer, _now_ms: i64, credentials: &Credentials) -> Examined {
        let known = match read::image_formats(answer) {
            Ok(known) => known,
            Err(verdict) => return failed(verdict, PRESETS, RIGHTS_CURE, credentials),
        };
        Examined {
            findings: vec![told(self.0.judge_presets(&known), credentials)],
            ..Examined::default()
        }
    }
}

impl DynamicMedia {
    fn judge_company(&self, found: &CompanyInfo, now_ms: i64) -> Finding {
        let handle = &found.handle;
        let mut names = found.name.iter();
        if let Some(name) = names.find(|name| !name.eq_ignore_ascii_case(&self.company)) {
            let message = format!(
                "`{handle}` is the company `{name}`, and the Cdn's company is `{}`",
                self.company
            );
            return Finding::failed(COMPANY, message, COMPANY_CURE);
        }
        let message = format!("`{}` is there, its handle is `{handle}`", self.company);
        let Some(expires) = &found.expires else {
            return Finding::good(COMPANY, message);
        };
        let Some(expires_ms) = instant_ms(expires) else {
            let message = format!("it expires at `{expires}`, which is no time");
            return Finding::failed(COMPANY, message, REPORT);
        };
        let renew = "have the account extended by Adobe";
        if expires_ms <= now_ms {
            let message = format!("`{}` expired at {expires}", self.company);
            return Finding::failed(COMPANY, message, renew);
        }
        let message = format!("{message}, it expires at {expires}");
        if expires_ms - now_ms < SOON_MS {
            return Finding::doubtful(COMPANY, message, renew);
        }
        Finding::good(COMPANY, message)
    }

    fn judge_root(&self, path: Option<&str>) -> Finding {
        let Some(declared) = &self.addressing.root else {
            return Finding::unknown(ROOT, "not compared: the Cdn's rootId is `*`");
        };
        if let Some(other) = self.other_root(path) {
            let message = format!("configuration error: {other}");
            return Finding::failed(ROOT, message, format!("give {}", other.cure));
        }
        match path {
            Some(path) => {
                Finding::good(ROOT, format!("`{declared}`, and the root path is `{path}`"))
            }
            None => Finding::failed(ROOT, "the answer holds no root path", REPORT),
        }
    }

    fn judge_presets(&self, known: &[String]) -> Finding {
        let declared = self.addressing.presets.iter().map(|preset| &preset.name);
        let missing: Vec<&String> = declared.filter(|name| !known.contains(name)).collect();
        if missing.is_empty() {
            let (declared, known) = (self.addressing.presets.len(), known.len());
            let message = format!("{declared} declared, all among the {known} of the account");
            return Finding::good(PRESETS, message);
        }
        let shown = missing.iter().take(MOST_NAMED).map(|name| {
            match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => format!("`{name}` (did you mean `{near}`?)"),
                None => format!("`{name}`"),
            }
        });
        let shown: Vec<String> = shown.collect();
        let more = match missing.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!("not in the account: {}{more}", shown.join(", "));
        let cure = "correct `imagePresets`, or create the presets in Dynamic Media";
        Finding::failed(PRESETS, message, cure)
    }
}

/// A company that was not told, by what kept it back.
fn no_company(verdict: Verdict, credentials: &Credentials) -> Examined {
    let is_right = matches!(&verdict, Verdict::Misconfigured(reason) if is_of_rights(&reason.code));
    let (subject, cure) = if is_right {
        (RIGHTS, RIGHTS_CURE)
    } else {
        (COMPANY, COMPANY_CURE)
    };
    let mut examined = failed(verdict, subject, cure, credentials);
    let others = [COMPANY, ROOT, RIGHTS].into_iter();
    let others = others.filter(|other| *other != subject);
    let unknown = |other| Finding::unknown(other, "not known: the company was not told");
    examined.findings.extend(others.map(unknown));
    examined
}

/// Whether a fault of this code is about who may do what; the rest of its kind
/// (20000, 20006) is about the company.
fn is_of_rights(code: &str) -> bool {
    let number = code.strip_prefix("authorizationFault ");
    number.is_some_and(|number| !matches!(number, "20000" | "20006"))
}

fn failed(verdict: Verdict, subject: &str, cure: &str, credentials: &Credentials) -> Examined {
    let verdict = verdict.redacted(credentials);
    Examined {
        is_locked_out: matches!(verdict, Verdict::Unauthorized(_)),
        findings: vec![verdict.failure(subject, cure)],
        ..Examined::default()
    }
}

/// The same finding, on one line, shortened, and without any of the secrets.
fn told(finding: Finding, credentials: &Credentials) -> Finding {
    Finding {
        message: credentials.tell(&finding.message),
        cure: finding.cure.map(|cure| credentials.tell(&cure)),
        ..finding
    }
}

/// An `xsd:dateTime`, which may leave out where on earth it is meant: then UTC.
fn instant_ms(text: &str) -> Option<i64> {
    let instant = text.parse::<Timestamp>();
    let instant = instant.or_else(|_| format!("{text}Z").parse());
    instant.ok().map(Timestamp::as_millisecond)
}
