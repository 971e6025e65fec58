//! The sandbox, driven by our own transport and by a stock SOAP client.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use freshen::provider::{Answer, Call, Facts, Verdict};
use freshen::sandbox::{Account, Failure, Faults, Keyed, Options, Sandbox, operations};
use freshen::submit::transport::{Fault, FaultKind, Patience, Transport, choose_cryptography};

use crate::aloud::say;
use crate::ips::{ask, call, credentials, look_ups, provider, queries, reference, told, validate};
use crate::service::read_request;

const A: &str = "https://media.acme.com/is/image/AcmeCorp/a";
const B: &str = "https://media.acme.com/is/image/AcmeCorp/b?$p$&x=<1>";

/// Sends a call, waiting for its answer as `patience` says.
fn send_within(patience: Patience, call: &Call) -> Result<Answer, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(Transport::new(patience).unwrap().send(call))
}

fn send(call: &Call) -> Result<Answer, Fault> {
    let patience = Patience {
        max_answer: 64 << 10,
        ..Patience::default()
    };
    send_within(patience, call)
}

/// Invalidates `urls` as the sandbox's own user, at an API version.
fn invalidate_at(sandbox: &Sandbox, version: &str, urls: &[&str]) -> String {
    let options = Options::default();
    let secrets = credentials(&options.user, &options.password);
    let provider = provider(&sandbox.endpoint(), version);
    let answer = send(&call(&*provider, &secrets, urls)).unwrap();
    told(&provider.read(urls, &answer, &secrets))
}

fn invalidate(sandbox: &Sandbox, urls: &[&str]) -> String {
    invalidate_at(sandbox, "2014-04-03", urls)
}

fn start() -> Sandbox {
    Sandbox::start(Options::default()).unwrap()
}

/// A plain GET: the body, and whether the edge had it.
pub(crate) fn visit(sandbox: &Sandbox, target: &str) -> (String, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        choose_cryptography();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}{target}", sandbox.url());
        let response = client.get(url).send().await.unwrap();
        let is_hit = response
            .headers()
            .get("x-cache")
            .is_some_and(|x| x == "HIT");
        (response.text().await.unwrap(), is_hit)
    })
}

#[test]
fn it_answers_in_the_form_of_the_requests_namespace() {
    let sandbox = start();
    assert_eq!(invalidate(&sandbox, &[A, B]), "accepted: handle 1, 0 ms");
    assert_eq!(
        invalidate_at(&sandbox, "2013-02-15", &[A]),
        "accepted: 1 done, 0 with a warning"
    );
    let calls = sandbox.calls();
    assert_eq!(calls[0].urls, [A, B]);
    assert_eq!(sandbox.accepted()[A], 2);
}

#[test]
fn its_answers_validate_against_the_contract() {
    let sandbox = start();
    let options = Options::default();
    let secrets = credentials(&options.user, &options.password);
    let provider = provider(&sandbox.endpoint(), "2013-02-15");
    let foreign = "https://x/is/image/Other/a";
    validate(
        &send(&provider.look_up(&Facts::new(), &secrets).unwrap())
            .unwrap()
            .body,
    );
    validate(&send(&call(&*provider, &secrets, &[A])).unwrap().body);
    validate(&send(&call(&*provider, &secrets, &[foreign])).unwrap().body);
    sandbox.set_account(Account {
        expires: Some("2030-01-31T12:00:00Z".to_owned()),
        ..Account::default()
    });
    for look_up in look_ups(&*provider, &secrets) {
        validate(&send(&look_up).unwrap().body);
    }
    sandbox.put("a & <b>", "AcmeCorp/Spring & <Co>", "Image");
    sandbox.upload("a & <b>", "bytes");
    assert!(sandbox.publish("a & <b>"));
    sandbox.define("<large>", "wid=800&fmt=webp");
    for query in queries() {
        let answer = send(&ask(&*provider, &secrets, &query)).unwrap();
        validate(&answer.body);
        assert_eq!(answer.status, 200, "{query:?}");
    }
    let nobody = credentials("", "");
    validate(&send(&call(&*provider, &nobody, &[A])).unwrap().body);
}

#[test]
fn the_companys_handle_is_looked_up_by_its_name() {
    let sandbox = start();
    let options = Options::default();
    let secrets = credentials(&options.user, &options.password);
    let provider = provider(&sandbox.endpoint(), "2014-04-03");
    let look_up = provider.look_up(&Facts::new(), &secrets).unwrap();
    let verdict = provider.read_look_up(&send(&look_up).unwrap(), &secrets);
    assert_eq!(
        told(&verdict),
        "learned: companyHandle=c|6 rootPath=AcmeCorp/"
    );
    let Verdict::Learned(facts) = verdict else {
        unreachable!("it was told so");
    };
    assert!(provider.look_up(&facts, &secrets).is_none());
}

#[test]
fn wrong_credentials_and_foreign_urls_are_faults_and_nothing_is_accepted() {
    let sandbox = start();
    let provider = provider(&sandbox.endpoint(), "2014-04-03");
    let wrong = credentials("joe@acme.com", "guess");
    let answer = send(&call(&*provider, &wrong, &[A])).unwrap();
    assert_eq!(
        told(&provider.read(&[A], &answer, &wrong)),
        "unauthorized: authenticationFault 10001: invalid credentials"
    );
    let foreign = "https://media.acme.com/is/image/Other/a";
    assert_eq!(
        invalidate(&sandbox, &[A, foreign]),
        format!("refused, naming [1]: ipsApiFault 30001: URL is not of the company: {foreign}")
    );
    assert!(sandbox.accepted().is_empty());
    assert!(sandbox.calls().iter().all(|call| !call.accepted));
}

#[test]
fn more_than_a_thousand_urls_are_refused() {
    let sandbox = start();
    assert_eq!(
        invalidate(&sandbox, &[A; 1001]),
        "refused, naming []: ipsApiFault 30001: invalid parameter: more than 1000 URLs"
    );
    assert_eq!(invalidate(&sandbox, &[A; 1000]), "accepted: handle 2, 0 ms");
}

#[test]
fn faults_come_in_order_and_end() {
    let sandbox = start();
    sandbox.fail(Failure::Code(30_000), Some(1));
    let status = |status, retry_after: Option<&str>| Failure::Status {
        status,
        retry_after: retry_after.map(str::to_owned),
    };
    sandbox.fail(status(429, Some("7")), Some(1));
    sandbox.fail(status(503, None), Some(1));
    sandbox.fail(Failure::ErrorCount(1), Some(1));
    let expected = [
        "transient: ipsApiFault 30000",
        "throttled for 7000 ms: HTTP 429",
        "transient: HTTP 503",
        "refused, naming []: errorCount 1",
        "accepted: handle 5",
    ];
    for expected in expected {
        let verdict = invalidate(&sandbox, &[A]);
        assert!(verdict.starts_with(expected), "{verdict}");
    }
}

#[test]
fn a_poisoned_url_is_named_or_not() {
    let sandbox = start();
    sandbox.poison(B, true);
    assert_eq!(
        invalidate(&sandbox, &[A, B]),
        format!("refused, naming [1]: ipsApiFault 30001: invalid URL: {B}")
    );
    sandbox.set_faults(Faults::default());
    sandbox.poison(A, false);
    assert_eq!(
        invalidate(&sandbox, &[A, B]),
        "refused, naming []: ipsApiFault 30001: one of the URLs is invalid"
    );
    assert_eq!(invalidate(&sandbox, &[B]), "accepted: handle 3, 0 ms");
}

#[test]
fn a_dropped_reply_leaves_the_outcome_unknown_though_the_call_took_effect() {
    let sandbox = start();
    sandbox.fail(Failure::DropReply, Some(1));
    let options = Options::default();
    let provider = provider(&sandbox.endpoint(), "2014-04-03");
    let secrets = credentials(&options.user, &options.password);
    let fault = send(&call(&*provider, &secrets, &[A])).unwrap_err();
    assert_eq!(
        (fault.kind, fault.may_have_arrived),
        (FaultKind::Broken, true)
    );
    assert_eq!(sandbox.accepted()[A], 1);
}

fn fault_at(endpoint: &str, patience: Patience) -> (FaultKind, bool) {
    let provider = provider(endpoint, "2014-04-03");
    let call = call(&*provider, &credentials("u", "p"), &[A]);
    let fault = send_within(patience, &call).unwrap_err();
    (fault.kind, fault.may_have_arrived)
}

#[test]
fn failures_without_an_answer_are_told_apart() {
    let sandbox = start();
    sandbox.fail(Failure::Hang, None);
    let late = Patience::default();
    let soon = Patience {
        read: Duration::from_millis(200),
        ..late
    };
    assert_eq!(
        fault_at(&sandbox.endpoint(), soon),
        (FaultKind::Timeout, true)
    );
    let secure = sandbox.endpoint().replace("http://", "https://");
    assert_eq!(fault_at(&secure, late), (FaultKind::Tls, false));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let closed = format!("http://{address}");
    assert_eq!(fault_at(&closed, late), (FaultKind::Connect, false));
}

#[test]
fn an_answer_that_only_drips_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let dripping = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&stream);
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let pause = Some(Duration::from_millis(20));
        stream.set_read_timeout(pause).unwrap();
        // Nothing more is asked for: this waits until the next drop is due.
        while stream.read(&mut [0]).is_err() {
            if stream.write_all(b" ").is_err() {
                break;
            }
        }
    });
    let patience = Patience {
        total: Duration::from_millis(500),
        ..Patience::default()
    };
    assert_eq!(fault_at(&endpoint, patience), (FaultKind::Timeout, true));
    dripping.join().unwrap();
}

#[test]
fn a_handshake_that_never_comes_is_given_up_with_nothing_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let patience = Patience {
        connect: Duration::from_millis(200),
        ..Patience::default()
    };
    assert_eq!(fault_at(&endpoint, patience), (FaultKind::Timeout, false));
}

#[test]
fn an_answer_without_end_is_given_up() {
    let sandbox = start();
    let huge = format!("https://x/is/image/Other/{}", "a".repeat(100 << 10));
    let options = Options::default();
    let provider = provider(&sandbox.endpoint(), "2014-04-03");
    let secrets = credentials(&options.user, &options.password);
    let fault = send(&call(&*provider, &secrets, &[&huge])).unwrap_err();
    assert_eq!(
        (fault.kind, fault.may_have_arrived),
        (FaultKind::TooLarge, true)
    );
}

#[test]
fn the_edge_stays_stale_until_it_is_told() {
    let sandbox = Sandbox::start(Options {
        effect_delay: Duration::from_secs(5),
        ..Options::default()
    })
    .unwrap();
    let target = "/is/image/AcmeCorp/a";
    sandbox.upload("a", "one");
    assert_eq!(visit(&sandbox, target).0, "", "uploaded is not published");
    assert!(sandbox.publish("a"));
    assert_eq!(visit(&sandbox, target), ("one".to_owned(), false));
    sandbox.upload("a", "two");
    sandbox.publish("a");
    assert_eq!(visit(&sandbox, target), ("one".to_owned(), true));
    assert_eq!(invalidate(&sandbox, &[A]), "accepted: handle 1, 5000 ms");
    assert_eq!(visit(&sandbox, target), ("one".to_owned(), true));
    sandbox.advance(Duration::from_secs(5));
    assert_eq!(visit(&sandbox, target), ("two".to_owned(), false));
}

#[test]
fn presets_and_crops_are_other_bytes_cleared_by_url_or_by_path() {
    for (keyed, is_hit) in [(Keyed::Url, true), (Keyed::Path, false)] {
        let sandbox = Sandbox::start(Options {
            keyed,
            ..Options::default()
        })
        .unwrap();
        sandbox.upload("a", "bytes");
        sandbox.publish("a");
        let target = "/is/image/AcmeCorp/a:Banner?$large$";
        let expected = "bytes\n[crop Banner]\n[query $large$]".to_owned();
        assert_eq!(visit(&sandbox, target), (expected.clone(), false));
        invalidate(&sandbox, &["https://x/is/image/AcmeCorp/a:Banner"]);
        assert_eq!(visit(&sandbox, target), (expected, is_hit));
    }
}

#[test]
fn copies_live_ten_hours() {
    let sandbox = start();
    sandbox.upload("a", "one");
    sandbox.publish("a");
    let target = "/is/content/AcmeCorp/a";
    visit(&sandbox, target);
    sandbox.advance(Duration::from_mins(599));
    assert!(visit(&sandbox, target).1);
    sandbox.advance(Duration::from_mins(1));
    assert!(!visit(&sandbox, target).1);
}

#[test]
fn faults_are_switched_and_calls_are_read_over_http_too() {
    let sandbox = start();
    let post = |path: &str, body: &str| {
        send(&Call {
            url: format!("{}{path}", sandbox.url()),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        })
        .unwrap()
        .status
    };
    let faults =
        r#"{ "rules": [{ "failure": { "status": { "status": 503, "retryAfter": "9" } } }] }"#;
    assert_eq!(post("/-/faults", faults), 204);
    assert!(invalidate(&sandbox, &[A]).starts_with("throttled for 9000 ms"));
    assert_eq!(post("/-/faults", "{ \"rulez\": [] }"), 400);
    assert_eq!(post("/-/faults", "{}"), 204);
    assert_eq!(invalidate(&sandbox, &[A]), "accepted: handle 2, 0 ms");
    let (calls, _) = visit(&sandbox, "/-/calls");
    let calls: serde_json::Value = serde_json::from_str(&calls).unwrap();
    assert_eq!(calls["calls"][0]["outcome"], "HTTP 503");
    assert_eq!(calls["accepted"][A], 1);
    assert_eq!(post("/-/upload?asset=b", "three"), 204);
    assert_eq!(post("/-/publish?asset=b", ""), 204);
    assert_eq!(post("/-/publish?asset=c", ""), 404);
    assert_eq!(visit(&sandbox, "/is/image/AcmeCorp/b").0, "three");
}

#[test]
fn it_does_not_listen_beyond_loopback() {
    let options = Options {
        listen: ([0, 0, 0, 0], 0).into(),
        ..Options::default()
    };
    assert!(Sandbox::start(options).is_err());
}

#[test]
fn a_stock_soap_client_can_drive_it() {
    // `scripts/test` finds the Python that has it.
    let python = std::env::var_os("FRESHEN_TEST_PYTHON").unwrap_or("python3".into());
    let has_zeep = Command::new(&python)
        .args(["-c", "import zeep"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_zeep {
        return say("SKIPPED: the sandbox driven by a stock SOAP client: Python has no zeep here");
    }
    let Some(wsdl) = reference("IpsApi-2013-02-15.wsdl") else {
        return;
    };
    let sandbox = start();
    sandbox.poison(B, true);
    sandbox.set_account(Account {
        expires: Some("2030-01-31T12:00:00Z".to_owned()),
        ..Account::default()
    });
    for asset in ["new", "a"] {
        sandbox.put(asset, "AcmeCorp/Spring/2026", "Image");
    }
    sandbox.put("spin", "AcmeCorp/Spring", "SpinSet");
    sandbox.upload("a", "bytes");
    assert!(sandbox.publish("a"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/drive.py");
    let options = Options::default();
    let output = Command::new(python)
        .arg(script)
        .arg(wsdl)
        .args([sandbox.endpoint(), options.user, options.password])
        .args([A, B])
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    insta::assert_snapshot!(said, @r"
    company -> ('c|6', 'AcmeCorp', 'AcmeCorp/')
    company by handle -> ('AcmeCorp', '2030-01-31T12:00:00+00:00')
    login -> ValidLogin
    wrong login -> InvalidLogin
    presets -> [('thumbnail', 'wid=100&hei=100'), ('product', 'wid=800&fmt=webp'), ('large', 'wid=2000')]
    presets of another company -> fault {http://www.scene7.com/IpsApi/xsd}authorizationFault 20000 invalid company
    search -> (2, [('new', 'Image', True), ('a', 'Image', True)])
    named -> [('spin', 'SpinSet')]
    history -> [('Image Server', 'ImageServing', 'Pyramid TIFF')]
    history of none -> []
    history of nothing -> fault {http://www.scene7.com/IpsApi/xsd}ipsApiFault 30001 invalid parameter: assetHandle
    good -> (1, 0, 0)
    poisoned -> fault {http://www.scene7.com/IpsApi/xsd}ipsApiFault 30001 invalid URL: https://media.acme.com/is/image/AcmeCorp/b?$p$&x=<1>
    wrong password -> fault {http://www.scene7.com/IpsApi/xsd}authenticationFault 10001 invalid credentials
    ");
    assert_eq!(sandbox.accepted().into_keys().collect::<Vec<_>>(), [A]);
    let calls = sandbox.calls().into_iter().filter(|call| call.accepted);
    let called: BTreeSet<String> = calls.map(|call| call.operation).collect();
    let served: BTreeSet<String> = operations().map(str::to_owned).collect();
    assert_eq!(called, served, "let `drive.py` call what is served");
}
