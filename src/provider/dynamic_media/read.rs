//! Answers of IPS: what they mean.
//!
//! A yes is believed only where the service says it in its own terms; a fault
//! is believed wherever it stands.

use super::codec::{HANDLE, ROOT_PATH};
use super::culprits::culprits;
use super::soap::{COMMON, ENVELOPE};
use super::xml::{self, Element};
use crate::provider::{Answer, Facts, Reason, Verdict};

/// Names of the elements that carry a fault.
const FAULTS: [&str; 3] = ["authenticationFault", "authorizationFault", "ipsApiFault"];

/// What the answer to `cdnCacheInvalidation` with `items` means.
pub(super) fn invalidation(items: &[&str], answer: &Answer) -> Verdict {
    let read = read(answer, items, "cdnCacheInvalidationReturn", |returned| {
        Ok(if returned.child("errorCount").is_some() {
            counts(returned, items)
        } else {
            handle(returned)
        })
    });
    read.unwrap_or_else(|verdict| verdict)
}

/// A company, as `getCompanyInfo` tells of it.
#[derive(Debug)]
pub(super) struct CompanyInfo {
    pub(super) handle: String,
    pub(super) name: Option<String>,
    pub(super) root_path: Option<String>,
    pub(super) expires: Option<String>,
}

impl CompanyInfo {
    /// What batches draw on, and what they are checked against.
    pub(super) fn facts(self) -> Facts {
        let root_path = self.root_path.map(|path| (ROOT_PATH.to_owned(), path));
        let handle = (HANDLE.to_owned(), self.handle);
        [handle].into_iter().chain(root_path).collect()
    }
}

/// What the answer to `getCompanyInfo` tells; else what it means.
pub(super) fn company(answer: &Answer) -> Result<CompanyInfo, Verdict> {
    let told = read(answer, &[], "getCompanyInfoReturn", |returned| {
        let company = returned.child("companyInfo");
        let text = |name| {
            let text = company.and_then(|company| company.text_of(name));
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        Ok(CompanyInfo {
            handle: text("companyHandle")
                .ok_or_else(|| not_understood("the answer holds no company handle"))?,
            name: text("name"),
            root_path: text("rootPath"),
            expires: text("expires"),
        })
    });
    told.map_err(of_account)
}

/// The status in the answer to `checkLogin`; else what it means.
pub(super) fn login(answer: &Answer) -> Result<String, Verdict> {
    let told = read(answer, &[], "checkLoginReturn", |returned| {
        let status = returned.text_of("status").map(str::to_owned);
        status.ok_or_else(|| not_understood("the answer holds no status"))
    });
    told.map_err(of_account)
}

/// The names in the answer to `getImageFormats`; else what it means.
pub(super) fn image_formats(answer: &Answer) -> Result<Vec<String>, Verdict> {
    let told = read(answer, &[], "getImageFormatsReturn", |returned| {
        let formats = returned
            .child("imageFormatArray")
            .ok_or_else(|| not_understood("the answer holds no array of image presets"))?;
        let name = |format: &Element| format.text_of("name").map(str::to_owned);
        let names: Option<Vec<String>> = formats.children.iter().map(name).collect();
        names.ok_or_else(|| not_understood("the answer holds an image preset without a name"))
    });
    told.map_err(of_account)
}

/// A look-up has no parameters but what names the account and its company.
fn of_account(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Refused { reason, .. } | Verdict::TooLarge(reason) => {
            Verdict::Misconfigured(reason)
        }
        verdict => verdict,
    }
}

/// Reads an answer whose good form is an element called `name`.
fn read<T>(
    answer: &Answer,
    items: &[&str],
    name: &str,
    good: impl FnOnce(&Element) -> Result<T, Verdict>,
) -> Result<T, Verdict> {
    read_as(answer, items, (name, xml::MAX_ELEMENTS), good)
}

/// The same, for an answer of so many elements, at most.
pub(super) fn read_as<T>(
    answer: &Answer,
    items: &[&str],
    (name, max_elements): (&str, usize),
    good: impl FnOnce(&Element) -> Result<T, Verdict>,
) -> Result<T, Verdict> {
    if let Some(verdict) = told_to_wait(answer) {
        return Err(verdict);
    }
    let document = match Element::parse_within(&answer.body, max_elements) {
        Ok(document) => document,
        Err(error) => {
            let what = no_soap(&error.to_string(), &answer.body);
            return Err(by_status(answer, &what));
        }
    };
    let body = if is(&document, ENVELOPE, "Envelope") {
        document
            .child("Body")
            .and_then(|body| body.children.first())
    } else {
        Some(&document)
    };
    Err(match body {
        Some(element) if FAULTS.contains(&element.name.as_str()) && is_ips(element) => {
            ips_fault(element, items)
        }
        Some(element) if is(element, ENVELOPE, "Fault") => soap_fault(element, items, answer),
        Some(element)
            if element.name == name
                && element.namespace.starts_with(COMMON)
                && is(&document, ENVELOPE, "Envelope")
                && (200..300).contains(&answer.status) =>
        {
            return good(element);
        }
        Some(element) => {
            let (namespace, name) = (&element.namespace, &element.name);
            by_status(answer, &format!("`{name}` of namespace `{namespace}`"))
        }
        None => by_status(answer, "a SOAP envelope with nothing inside"),
    })
}

/// The form of namespaces up to 2013-02-15.
fn counts(returned: &Element, items: &[&str]) -> Verdict {
    let count = |name| {
        returned
            .text_of(name)
            .and_then(|text| text.parse::<u64>().ok())
    };
    let (Some(succeeded), Some(failed)) = (count("successCount"), count("errorCount")) else {
        return not_understood("counts that are no numbers");
    };
    let warnings = count("warningCount").unwrap_or(0);
    if failed > 0 {
        return failed_counts(returned, failed, items);
    }
    if succeeded + warnings == 0 {
        return not_understood("no URL counted as done, and none as failed");
    }
    Verdict::Accepted {
        receipt: format!("{succeeded} done, {warnings} with a warning"),
        estimate_ms: None,
    }
}

fn failed_counts(returned: &Element, failed: u64, items: &[&str]) -> Verdict {
    let details: Vec<Verdict> = returned
        .child("errorDetailArray")
        .iter()
        .flat_map(|array| &array.children)
        .map(|detail| ips_fault(detail, items))
        .collect();
    let Some(first) = details.first().cloned() else {
        let reason = reason(
            &format!("errorCount {failed}"),
            "the service gives no details",
        );
        return refused(Vec::new(), reason);
    };
    let mut named = Vec::new();
    for detail in details {
        match detail {
            Verdict::Refused { culprits, .. } => named.extend(culprits),
            // Whatever blames no URL goes first: it may be why the others failed.
            verdict => return verdict,
        }
    }
    named.sort_unstable();
    named.dedup();
    match first {
        Verdict::Refused { reason, .. } => refused(named, reason),
        verdict => verdict,
    }
}

/// The form of newer namespaces.
fn handle(returned: &Element) -> Verdict {
    let handle = returned.text_of("invalidationHandle").unwrap_or_default();
    if handle.is_empty() {
        return not_understood("neither counts nor a handle");
    }
    let seconds = returned
        .text_of("estimatedSeconds")
        .and_then(|text| text.parse::<u64>().ok());
    Verdict::Accepted {
        receipt: format!("handle {handle}"),
        estimate_ms: seconds.map(|seconds| seconds.saturating_mul(1000)),
    }
}

/// Waiting is asked for by HTTP itself, whatever the body says.
fn told_to_wait(answer: &Answer) -> Option<Verdict> {
    let shown = text_of(&answer.body);
    let what = page(&shown).unwrap_or(shown);
    let reason = || reason(&format!("HTTP {}", answer.status), &what);
    match (answer.status, answer.retry_after_ms) {
        (429, after_ms) | (503, after_ms @ Some(_)) => Some(Verdict::Throttled {
            after_ms,
            reason: reason(),
        }),
        (413, _) => Some(Verdict::TooLarge(reason())),
        _ => None,
    }
}

/// An answer that is not from IPS, or not one we know: `what` was found in it.
fn by_status(answer: &Answer, what: &str) -> Verdict {
    let reason = reason(&format!("HTTP {}", answer.status), what);
    match answer.status {
        401 => Verdict::Unauthorized(reason),
        // Redirects are not followed, lest credentials go elsewhere.
        300..=399 | 403..=407 | 410 | 411 | 414 | 415 => Verdict::Misconfigured(reason),
        408 | 425 | 500..=599 => Verdict::Transient(reason),
        _ => Verdict::NotUnderstood(reason),
    }
}

fn soap_fault(fault: &Element, items: &[&str], answer: &Answer) -> Verdict {
    // The parts of a SOAP 1.1 fault are in no namespace, yet not every server knows.
    let part = |name: &str| fault.children.iter().find(|child| child.name == name);
    let ips = part("detail")
        .iter()
        .flat_map(|detail| &detail.children)
        .find(|element| FAULTS.contains(&element.name.as_str()) && is_ips(element));
    if let Some(ips) = ips {
        return ips_fault(ips, items);
    }
    let text = |name| part(name).map_or("", |element| element.text.trim());
    let code = text("faultcode");
    let code = code.rsplit_once(':').map_or(code, |(_, local)| local);
    let reason = reason(&format!("SOAP fault {code}"), text("faultstring"));
    match code.split('.').next() {
        Some("Server") => Verdict::Transient(reason),
        Some("Client" | "VersionMismatch" | "MustUnderstand") => Verdict::Misconfigured(reason),
        _ => by_status(answer, &format!("{}: {}", reason.code, reason.message)),
    }
}

/// A fault with a code and a reason, by code where there is one.
fn ips_fault(fault: &Element, items: &[&str]) -> Verdict {
    let text = |name: &str| {
        let child = fault.children.iter().find(|child| child.name == name);
        child.map_or("", |child| child.text.trim())
    };
    let (code, words) = (text("code"), text("reason"));
    let kind = if FAULTS.contains(&fault.name.as_str()) {
        fault.name.as_str()
    } else {
        "ipsApiFault"
    };
    let reason = reason(format!("{kind} {code}").trim_end(), words);
    match code.parse::<u32>() {
        Ok(10_000..=19_999) => Verdict::Unauthorized(reason),
        // The last two mean that our own request was wrong.
        Ok(20_000..=29_999 | 30_002 | 30_003) => Verdict::Misconfigured(reason),
        Ok(30_000) => Verdict::Transient(reason),
        Ok(30_001) => refused(culprits(items, words), reason),
        _ => match kind {
            "authenticationFault" => Verdict::Unauthorized(reason),
            "authorizationFault" => Verdict::Misconfigured(reason),
            _ => Verdict::NotUnderstood(reason),
        },
    }
}

fn refused(culprits: Vec<usize>, reason: Reason) -> Verdict {
    Verdict::Refused { culprits, reason }
}

pub(super) fn not_understood(what: &str) -> Verdict {
    Verdict::NotUnderstood(reason("HTTP 200", what))
}

/// In the words of the answer, in full: secrets are still to be looked for.
fn reason(code: &str, message: &str) -> Reason {
    Reason {
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

fn is(element: &Element, namespace: &str, name: &str) -> bool {
    element.namespace == namespace && element.name == name
}

fn is_ips(element: &Element) -> bool {
    element.namespace.starts_with(COMMON)
}

/// What an answer is that is no XML of ours: mostly a page that something in
/// between wrote.
fn no_soap(error: &str, body: &[u8]) -> String {
    let shown = text_of(body);
    match page(&shown) {
        Some(page) => page,
        None => format!("{error}: {shown}"),
    }
}

/// What a page for browsers says, where `text` begins one.
fn page(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if !lower.contains("<html") && !lower.contains("<!doctype html") {
        return None;
    }
    let title = lower
        .find("<title>")
        .map(|at| &text[at + "<title>".len()..]);
    let said = match title.and_then(|rest| rest.split('<').next()) {
        Some(title) => title.trim().to_owned(),
        None => without_tags(text),
    };
    Some(match said.as_str() {
        "" => "an HTML page".to_owned(),
        said => format!("an HTML page, `{said}`"),
    })
}

fn without_tags(text: &str) -> String {
    let parts = text.split('<').map(|part| part.rsplit('>').next());
    let words: Vec<&str> = parts.flatten().map(str::trim).collect();
    words.join(" ").trim().to_owned()
}

/// A body that is not XML, for a person.
fn text_of(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}
