//! The Dynamic Media codec against golden answers and the service's contract.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use freshen::digest::Digest;
use freshen::lookup::{AssetQuery, Query};
use freshen::manifest::{PublishState, SearchRevision};
use freshen::provider::dynamic_media::xml::Element;
use freshen::provider::{
    Answer, Call, Credentials, Facts, Heard, Provider, Reason, Verdict, catalog,
};

use crate::aloud::say;

/// The batch that the golden answers speak of.
const BATCH: [&str; 4] = [
    "https://s7d1.scene7.com/is/image/AcmeCorp/a",
    "https://s7d1.scene7.com/is/image/AcmeCorp/b",
    "https://s7d1.scene7.com/is/image/AcmeCorp/b?wid=1&x=<y>",
    "https://s7d1.scene7.com/is/image/AcmeCorp/d",
];

/// A provider at `endpoint`, speaking a version of the API.
pub(crate) fn provider(endpoint: &str, version: &str) -> Arc<dyn Provider> {
    let yaml = format!(
        "{{ endpoint: '{endpoint}', apiNamespace: '{version}', company: AcmeCorp,
            credentials: {{ user: {{ env: U }}, password: {{ env: P }} }} }}"
    );
    let block = serde_yaml::from_str(&yaml).unwrap();
    catalog::decode("dynamicMedia", block, &|_| None).unwrap()
}

pub(crate) fn credentials(user: &str, password: &str) -> Credentials {
    let mut credentials = Credentials::default();
    credentials.insert("user", user.to_owned().into());
    credentials.insert("password", password.to_owned().into());
    credentials
}

/// The one call that invalidates `urls`, its company's handle known.
pub(crate) fn call(provider: &dyn Provider, credentials: &Credentials, urls: &[&str]) -> Call {
    let facts = Facts::from([("companyHandle".to_owned(), "c|6".to_owned())]);
    let mut calls = provider.calls(&Digest::of(b""), urls, &facts, credentials);
    assert_eq!(calls.len(), 1);
    calls.remove(0)
}

/// The look-ups of a check-up, the company's handle known.
pub(crate) fn look_ups(provider: &dyn Provider, credentials: &Credentials) -> Vec<Call> {
    let facts = Facts::from([("companyHandle".to_owned(), "c|6".to_owned())]);
    let checks = provider.checks();
    let calls = checks.iter().map(|check| check.call(&facts, credentials));
    calls.map(Option::unwrap).collect()
}

/// All look-ups that there are: of a company by its name, and by its handle.
fn every_look_up(credentials: &Credentials) -> Vec<Call> {
    let handle = "2013-02-15', companyHandle: 'c|6";
    let providers =
        ["2013-02-15", handle].map(|it| provider("https://s7sps1apissl.scene7.com", it));
    let calls = providers.iter().map(|it| look_ups(&**it, credentials));
    calls.flatten().collect()
}

/// A verdict on one line.
pub(crate) fn told(verdict: &Verdict) -> String {
    let mut text = String::new();
    let reason = match verdict {
        Verdict::Learned(facts) => {
            text.push_str("learned:");
            for (name, value) in facts {
                write!(text, " {name}={value}").unwrap();
            }
            return text;
        }
        Verdict::Accepted {
            receipt,
            estimate_ms,
        } => {
            let estimate = estimate_ms.map_or("no estimate".to_owned(), |ms| format!("{ms} ms"));
            return if receipt.starts_with("handle") {
                format!("accepted: {receipt}, {estimate}")
            } else {
                format!("accepted: {receipt}")
            };
        }
        Verdict::Refused { culprits, reason } => {
            write!(text, "refused, naming {culprits:?}").unwrap();
            reason
        }
        Verdict::Throttled { after_ms, reason } => {
            text.push_str("throttled");
            if let Some(ms) = after_ms {
                write!(text, " for {ms} ms").unwrap();
            }
            reason
        }
        Verdict::TooLarge(reason) => said(&mut text, "too large", reason),
        Verdict::Transient(reason) => said(&mut text, "transient", reason),
        Verdict::Unauthorized(reason) => said(&mut text, "unauthorized", reason),
        Verdict::Misconfigured(reason) => said(&mut text, "misconfigured", reason),
        Verdict::NotUnderstood(reason) => said(&mut text, "not understood", reason),
    };
    format!("{text}: {}: {}", reason.code, reason.message)
        .trim_end()
        .to_owned()
}

fn said<'r>(text: &mut String, word: &str, reason: &'r Reason) -> &'r Reason {
    text.push_str(word);
    reason
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_golden_answer_has_its_verdict() {
    let mut cases: Vec<PathBuf> = fs::read_dir(root().join("tests/cases/ips"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| wrong_verdict(case))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A case is two lines, `status:` and `verdict:`, a blank one, and the body.
fn wrong_verdict(case: &Path) -> Option<String> {
    let text = fs::read_to_string(case).unwrap();
    let (head, body) = text.split_once("\n\n").unwrap();
    let (status, verdict) = head.split_once('\n').unwrap();
    let expected = verdict.strip_prefix("verdict: ").unwrap();
    let mut words = status.strip_prefix("status: ").unwrap().split(' ');
    let mut answer = Answer {
        status: words.next().unwrap().parse().unwrap(),
        retry_after_ms: None,
        body: body.as_bytes().to_vec(),
    };
    let words: Vec<&str> = words.collect();
    if let ["retry-after", ms] = words[..] {
        answer.retry_after_ms = Some(ms.parse().unwrap());
    }
    let provider = provider("https://s7sps1apissl.scene7.com", "2014-04-03");
    let credentials = credentials("ci@acme.com", "p<s3cret");
    let verdict = if words == ["look-up"] {
        provider.read_look_up(&answer, &credentials)
    } else {
        provider.read(&BATCH, &answer, &credentials)
    };
    let found = told(&verdict);
    (found != expected)
        .then(|| format!("{}\nexpected {expected}\nfound    {found}", case.display()))
}

#[test]
fn a_long_message_is_shortened_and_hides_a_secret_at_its_cut() {
    let provider = provider("https://s7sps1apissl.scene7.com", "2014-04-03");
    let page = format!("{}hunter2hunter2{}", "x ".repeat(145), " y".repeat(500));
    let answer = Answer {
        status: 502,
        retry_after_ms: None,
        body: page.into_bytes(),
    };
    let verdict = told(&provider.read(&BATCH, &answer, &credentials("joe@x", "hunter2hunter2")));
    assert!(!verdict.contains("hunter"), "{verdict}");
    assert!(verdict.chars().count() < 400, "{verdict}");
}

/// An answer with this text in it, as a fault of the service or as a page.
fn answers(text: &str) -> [Answer; 3] {
    let fault = format!(
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body><e:Fault>\
         <faultcode>e:Server</faultcode><faultstring>{text}</faultstring></e:Fault></e:Body></e:Envelope>"
    );
    let handle = format!(
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body>\
         <r:cdnCacheInvalidationReturn xmlns:r='http://www.scene7.com/IpsApi/xsd/2014-04-03'>\
         <r:invalidationHandle>{text}</r:invalidationHandle></r:cdnCacheInvalidationReturn></e:Body></e:Envelope>"
    );
    let bodies = [(500, fault), (502, text.to_owned()), (200, handle)];
    bodies.map(|(status, body)| Answer {
        status,
        retry_after_ms: None,
        body: body.into_bytes(),
    })
}

#[test]
fn a_secret_is_hidden_however_its_echo_is_spaced_or_cut() {
    let provider = provider("https://s7sps1apissl.scene7.com", "2014-04-03");
    let password = "correct  horse";
    let half = format!("{}correct  horse", " ".repeat(1990));
    let check = |echo: &str| {
        for answer in answers(echo) {
            let verdict = provider.read(&BATCH, &answer, &credentials("joe@x", password));
            let told = told(&verdict);
            assert!(!told.contains("correct"), "{told}");
            assert!(!told.contains("horse"), "{told}");
            assert!(told.chars().count() < 400, "{told}");
        }
    };
    check("the password correct  horse is wrong");
    check("the password correct horse is wrong");
    check("the password correct\n horse is wrong");
    check(&half);
    check(&format!("correct  horse{}", "x".repeat(5000)));
}

/// Everything that the look-ups of a check-up make of `answer`.
fn found(answer: &Answer, secrets: &Credentials) -> String {
    let provider = provider("https://s7sps1apissl.scene7.com", "2014-04-03");
    let checks = provider.checks();
    let examined = checks.iter().map(|check| check.read(answer, 0, secrets));
    let findings = examined.flat_map(|examined| examined.findings);
    let told = findings.map(|finding| format!("{} {:?}", finding.message, finding.cure));
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_check_up_shows_no_secret_that_is_echoed() {
    let secrets = credentials("joe@x", "hunter2");
    let echo = "joe@x hunter2";
    let good = |operation: &str, content: &str| Answer {
        status: 200,
        retry_after_ms: None,
        body: format!(
            "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body>\
             <{operation}Return xmlns='http://www.scene7.com/IpsApi/xsd/2014-04-03'>{content}\
             </{operation}Return></e:Body></e:Envelope>"
        )
        .into_bytes(),
    };
    let company = |name: &str, expires: &str| {
        let content = format!(
            "<companyInfo><companyHandle>{echo}</companyHandle><name>{name}</name>\
             <rootPath>{echo}/</rootPath><expires>{expires}</expires></companyInfo>"
        );
        good("getCompanyInfo", &content)
    };
    let mut answers = answers(echo)[..2].to_vec();
    answers.extend([
        good("checkLogin", &format!("<status>{echo}</status>")),
        company(echo, echo),
        company("AcmeCorp", echo),
        company("AcmeCorp", "2020-01-01T00:00:00Z"),
    ]);
    for answer in &answers {
        let found = found(answer, &secrets);
        assert!(found.contains("***"), "{found}");
        assert!(!found.contains("hunter2"), "{found}");
        assert!(!found.contains("joe@x"), "{found}");
    }
}

#[test]
fn a_call_is_posted_as_soap_11_wants_it() {
    let provider = provider("https://s7sps1apissl.scene7.com", "2014-04-03");
    let call = call(&*provider, &credentials("u", "p"), &BATCH);
    assert_eq!(
        call.url,
        "https://s7sps1apissl.scene7.com/scene7/services/IpsApiService"
    );
    let header = |wanted| call.headers.iter().find(|(name, _)| *name == wanted);
    assert_eq!(header("SOAPAction").unwrap().1, "\"cdnCacheInvalidation\"");
    assert_eq!(header("Content-Type").unwrap().1, "text/xml; charset=UTF-8");
}

#[test]
fn a_request_has_the_elements_of_the_contract_in_its_order() {
    let provider = provider("https://s7sps1apissl.scene7.com", "2013-02-15");
    let call = call(&*provider, &credentials("u", "p"), &BATCH);
    let envelope = Element::parse(&call.body).unwrap();
    let names = |element: &Element| -> Vec<String> {
        let names = element.children.iter().map(|child| child.name.clone());
        names.collect()
    };
    assert_eq!(names(&envelope), ["Header", "Body"]);
    let header = &envelope.children[0].children[0];
    assert_eq!(header.namespace, "http://www.scene7.com/IpsApi/xsd");
    let parameter = &envelope.children[1].children[0];
    assert_eq!(
        parameter.namespace,
        "http://www.scene7.com/IpsApi/xsd/2013-02-15"
    );
    assert_eq!(parameter.name, "cdnCacheInvalidationParam");
    assert_eq!(names(parameter), ["companyHandle", "urlArray"]);
    let sent: Vec<&str> = parameter.children[1]
        .children
        .iter()
        .map(|item| &*item.text)
        .collect();
    assert_eq!(sent, BATCH);
}

/// What accounts can be asked, in every form that a request may have.
pub(crate) fn queries() -> Vec<Query> {
    let query = AssetQuery {
        folder: "AcmeCorp/Spring & <Co>".to_owned(),
        subfolders: true,
        types: vec!["Image".to_owned(), "SpinSet".to_owned()],
        publish_state: Some(PublishState::Marked),
        revision: Some(SearchRevision::Modified),
    };
    let published = AssetQuery {
        revision: Some(SearchRevision::Published),
        ..query.clone()
    };
    let plain = AssetQuery {
        types: Vec::new(),
        publish_state: None,
        subfolders: false,
        revision: None,
        ..query.clone()
    };
    let names = ["a & <b>".to_owned(), "lost".to_owned()];
    vec![
        Query::Assets(query),
        Query::Assets(plain),
        Query::Presets,
        Query::Names(names.into()),
        Query::Assets(published),
        Query::History("a|1".to_owned()),
    ]
}

/// The call for a page of the answer, the company's handle known.
pub(crate) fn ask(provider: &dyn Provider, secrets: &Credentials, query: &Query) -> Call {
    let facts = Facts::from([("companyHandle".to_owned(), "c|6".to_owned())]);
    provider
        .as_library()
        .unwrap()
        .ask(query, 1, &facts, secrets)
}

#[test]
fn requests_validate_against_the_contract() {
    let provider = provider("https://s7sps1apissl.scene7.com", "2013-02-15");
    let secrets = credentials("u&<", "p");
    let many: Vec<String> = (0..1000).map(|n| format!("{}{n}", BATCH[2])).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    validate(&provider.look_up(&Facts::new(), &secrets).unwrap().body);
    validate(&call(&*provider, &secrets, &BATCH).body);
    validate(&call(&*provider, &secrets, &many).body);
    for look_up in every_look_up(&secrets) {
        validate(&look_up.body);
    }
    for query in queries() {
        validate(&ask(&*provider, &secrets, &query).body);
    }
}

#[test]
fn requests_validate_against_adobes_own_schemas_where_they_are_here() {
    let provider = provider("https://s7sps1apissl.scene7.com", "2013-02-15");
    let secrets = credentials("u&<", "p");
    let mut requests = every_look_up(&secrets);
    requests.push(provider.look_up(&Facts::new(), &secrets).unwrap());
    requests.push(call(&*provider, &secrets, &BATCH));
    let queries = queries();
    requests.extend(queries.iter().map(|query| ask(&*provider, &secrets, query)));
    for (part, schema) in [
        ("Body", "ips-api-2013-02-15-types.xsd"),
        ("Header", "ips-api-header-and-faults.xsd"),
    ] {
        for request in &requests {
            let text = std::str::from_utf8(&request.body).unwrap();
            let (_, rest) = text.split_once(&format!("<soapenv:{part}>")).unwrap();
            let (inner, _) = rest.split_once(&format!("</soapenv:{part}>")).unwrap();
            if let Some(schema) = reference(schema) {
                validate_with(&schema, inner.as_bytes());
            }
        }
    }
}

/// An answer to `searchAssets` with this inside, under that status.
fn listing(status: u16, content: &str) -> Answer {
    returned("searchAssets", status, content)
}

/// An answer to that operation with this inside, under that status.
fn returned(operation: &str, status: u16, content: &str) -> Answer {
    let namespace = "http://www.scene7.com/IpsApi/xsd/2014-04-03";
    let body = format!(
        "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body>\
         <{operation}Return xmlns='{namespace}'>{content}</{operation}Return></e:Body></e:Envelope>"
    );
    Answer {
        status,
        retry_after_ms: None,
        body: body.into_bytes(),
    }
}

/// What a page comes to in the answer to `query`.
fn heard(query: &Query, answer: &Answer) -> String {
    let provider = provider("https://s7sps1apissl.scene7.com", "2014-04-03");
    let secrets = credentials("ci@acme.com", "hunter2");
    let library = provider.as_library().unwrap();
    match library.read((query, 1), answer, &secrets) {
        Heard::Page(page) => {
            let cells = page.rows.into_iter().map(|row| row.cells.join(" "));
            let cells: Vec<String> = cells.collect();
            format!("{:?} {cells:?}", page.total)
        }
        Heard::Other(verdict) => told(&verdict),
    }
}

#[test]
fn a_list_of_assets_is_believed_only_where_all_of_it_is_understood() {
    let query = &queries()[0];
    let read = |answer: &Answer| heard(query, answer);
    let asset = |modified: &str| {
        format!(
            "<items><assetHandle>a|1</assetHandle><type>Image</type><name>a</name>{modified}</items>"
        )
    };
    let check = |content: &str, expected: &str| {
        assert_eq!(read(&listing(200, content)), expected, "{content}");
    };
    let modified = "<lastModified>2026-11-22T02:00:00.000-08:00</lastModified>";
    let good = format!(
        "<totalRows>1</totalRows><assetArray>{}</assetArray>",
        asset(modified)
    );
    check(&good, r#"Some(1) ["a Image 2026-11-22T10:00:00Z"]"#);
    check("<totalRows>0</totalRows>", "Some(0) []");
    check("", "None []");
    let odd = "not understood: HTTP 200:";
    check(
        "<totalRows>many</totalRows>",
        &format!("{odd} a number of assets that is no number"),
    );
    let without = format!("<assetArray>{}</assetArray>", asset(""));
    check(&without, &format!("{odd} an asset without `lastModified`"));
    let nameless = "<assetArray><items><type>Image</type></items></assetArray>";
    check(
        nameless,
        &format!("{odd} an asset without its name or its type"),
    );
    assert!(read(&listing(500, &good)).starts_with("transient: HTTP 500"));
    assert!(read(&listing(429, &good)).starts_with("throttled: HTTP 429"));
    let fault = answers("hunter2 is wrong").into_iter().next().unwrap();
    assert_eq!(read(&fault), "transient: SOAP fault Server: *** is wrong");
}

#[test]
fn the_latest_publication_counts_wherever_it_was_and_however_it_is_told() {
    let query = Query::History("a|1".to_owned());
    let entry = |time: &str| {
        format!(
            "<items><serverName>s</serverName><contextName>c</contextName>\
             <lastPublished>{time}</lastPublished></items>"
        )
    };
    let check = |entries: &str, expected: &str| {
        let content = format!("<pubHistoryArray>{entries}</pubHistoryArray>");
        let answer = returned("getAssetPublishHistory", 200, &content);
        assert_eq!(heard(&query, &answer), expected, "{entries}");
    };
    let times = [
        "2026-11-22T10:00:00Z",
        "2026-11-22T03:00:00.500-08:00",
        "2026-11-22T10:30:00Z",
    ];
    let entries: String = times.map(entry).concat();
    check(&entries, r#"None ["2026-11-22T11:00:00.5Z"]"#);
    let zoneless = entry("2026-11-22T10:00:00.250");
    check(&zoneless, r#"None ["2026-11-22T10:00:00.25Z"]"#);
    check("", "None []");
    let odd = "not understood: HTTP 200: a publication without a time";
    let rest = entry(times[0]);
    check(&format!("{rest}{}", entry("yesterday")), odd);
    check(&format!("{rest}{}", entry("")), odd);
    check("<items><serverName>s</serverName></items>", odd);
    let none = returned("getAssetPublishHistory", 200, "");
    assert_eq!(
        heard(&query, &none),
        "not understood: HTTP 200: the answer holds no publish history"
    );
}

#[test]
fn a_list_to_ask_histories_from_holds_what_it_takes_to_ask() {
    let Some(query) = queries().into_iter().find(Query::wants_histories) else {
        unreachable!("there is one");
    };
    let check = |fields: &str, expected: &str| {
        let content = format!(
            "<assetArray><items>{fields}<type>Image</type><name>a</name></items></assetArray>"
        );
        assert_eq!(heard(&query, &listing(200, &content)), expected, "{fields}");
    };
    let handle = "<assetHandle>a|1</assetHandle>";
    let modified = "<lastModified>2026-11-22T02:00:00-08:00</lastModified>";
    let ready = |text: &str| format!("<readyForPublish>{text}</readyForPublish>");
    let listed = r#"None ["a Image 2026-11-22T10:00:00Z ready a|1"]"#;
    check(&format!("{handle}{modified}"), listed);
    check(&format!("{handle}{modified}{}", ready("true")), listed);
    let unready = listed.replace("ready", "");
    check(&format!("{handle}{modified}{}", ready("false")), &unready);
    let odd = |what: &str| format!("not understood: HTTP 200: {what}");
    check(modified, &odd("an asset without its handle"));
    check(handle, &odd("an asset without `lastModified`"));
    let other = "<lastModified>today</lastModified>";
    let odd = odd("a `lastModified` that is no time");
    check(&format!("{handle}{other}"), &odd);
}

#[test]
fn the_longest_list_is_read_and_an_endless_one_is_not() {
    let provider = provider("https://s7sps1apissl.scene7.com", "2014-04-03");
    let secrets = credentials("u", "p");
    let query = &queries()[1];
    let rows = |count: usize| {
        let item = "<items><assetHandle>a|1</assetHandle><type>Image</type>\
                    <subType>None</subType><name>a</name></items>";
        let answer = listing(
            200,
            &format!("<assetArray>{}</assetArray>", item.repeat(count)),
        );
        match provider
            .as_library()
            .unwrap()
            .read((query, 1), &answer, &secrets)
        {
            Heard::Page(page) => page.rows.len(),
            Heard::Other(_) => 0,
        }
    };
    assert_eq!(rows(10_000), 10_000);
    assert_eq!(rows(100_000), 0);
}

/// A file of Adobe's, which is not ours to ship; `FRESHEN_WSDL` tells where
/// the WSDL and its schemas are.
pub(crate) fn reference(name: &str) -> Option<PathBuf> {
    let told = std::env::var_os("FRESHEN_WSDL").map(PathBuf::from);
    let folder = match &told {
        Some(wsdl) => wsdl.parent()?.to_owned(),
        None => root().join("../shared/reference/ips"),
    };
    let path = folder.join(name);
    if !path.is_file() {
        say(&format!("SKIPPED: what takes {name}, which is not here"));
        return None;
    }
    Some(path)
}

/// Checks an envelope against our own wording of the contract.
pub(crate) fn validate(document: &[u8]) {
    validate_with(&root().join("tests/contract/soap-envelope.xsd"), document);
}

/// Has `xmllint` check a document where it is installed; says so where not.
fn validate_with(schema: &Path, document: &[u8]) {
    let spawned = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut xmllint) = spawned else {
        say("SKIPPED: validation of a document, since xmllint is not installed");
        return;
    };
    xmllint.stdin.take().unwrap().write_all(document).unwrap();
    let output = xmllint.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(document)
    );
}
