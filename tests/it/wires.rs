//! The last step before the wire: compression, hosts that may see
//! credentials, folding, and two Cdns on one account.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};

use flate2::Compression;
use flate2::write::GzEncoder;

use freshen::sandbox::{Account, Options};

use crate::program::{Run, command, run};
use crate::service::{header, read_request};
use crate::world::{ROOT, World, items};

/// Reconciles one URL against a service of one answer, which it writes itself.
fn reconcile_at(answer: impl FnOnce(&str, &str) -> Vec<u8> + Send + 'static) -> Run {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let service = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (head, body) = read_request(&stream);
        stream.write_all(&answer(&head, &body)).unwrap();
    });
    let world = World::new("");
    let cdn = world.cdn("dynamic-media", "").replace(
        &world.sandbox.endpoint(),
        &format!("http://{address}/\"\n    companyHandle: \"c|6"),
    );
    world.write("manifests/cdn.yaml", &cdn);
    world.set("set", "  assets: [a]");
    let ended = world.freshen(&["reconcile", "--max-time", "5s"]);
    service.join().unwrap();
    ended
}

#[test]
fn answers_are_asked_for_compressed_and_read_so() {
    let ended = reconcile_at(|head, body| {
        assert_eq!(header(head, "accept-encoding").as_deref(), Some("gzip"));
        assert!(body.contains("gzipResponse>true<"), "{body}");
        let answer = "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
            <cdnCacheInvalidationReturn xmlns=\"http://www.scene7.com/IpsApi/xsd/2014-04-03\">\
            <invalidationHandle>7</invalidationHandle><estimatedSeconds>0</estimatedSeconds>\
            </cdnCacheInvalidationReturn></e:Body></e:Envelope>";
        let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
        zipped.write_all(answer.as_bytes()).unwrap();
        let zipped = zipped.finish().unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-encoding: gzip\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            zipped.len()
        );
        [head.as_bytes(), &zipped].concat()
    });
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("1 URL accepted"), "{}", ended.stdout);
}

#[test]
fn credentials_follow_no_redirect() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let location = format!("http://{}/x", elsewhere.local_addr().unwrap());
    for status in [301, 302, 303, 307, 308] {
        let head = format!(
            "HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n"
        );
        let ended = reconcile_at(move |_, _| head.into_bytes());
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, 4, "{said}");
        assert!(said.contains(&format!("HTTP {status}")), "{said}");
        let visit = elsewhere.accept().map_err(|error| error.kind());
        assert_eq!(visit.unwrap_err(), ErrorKind::WouldBlock, "{status}");
    }
}

/// Reconciles at a host that is not the provider's own, through a proxy that
/// notes who is asked for and refuses.
fn asked_for(arguments: &[&str]) -> (Run, Option<String>) {
    let world = World::new("");
    let cdn = world
        .cdn("dynamic-media", "")
        .replace(&world.sandbox.endpoint(), "https://ips.example/x");
    world.write("manifests/cdn.yaml", &cdn);
    world.set("set", "  assets: [a]");
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let noting = std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let refusal = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
        // Whoever only knocked does not wait for an answer.
        drop(stream.write_all(refusal));
        line
    });
    let Options { user, password, .. } = Options::default();
    let ended = run(command(world.folder())
        .env("HTTPS_PROXY", format!("http://{address}"))
        .env("IPS_USER", user)
        .env("IPS_PASSWORD", password)
        .args(["reconcile", "--max-time", "1s"])
        .args(arguments));
    // Nobody else knocks: this ends the proxy where it was not asked.
    drop(TcpStream::connect(address));
    let line = noting.join().unwrap();
    (ended, Some(line).filter(|line| !line.is_empty()))
}

#[test]
fn a_host_is_called_once_the_operator_allows_it_and_not_before() {
    let (refused, asked) = asked_for(&[]);
    assert_eq!((refused.code, asked), (4, None), "{}", refused.stdout);
    let hint = "--allow-endpoint https://ips.example";
    assert!(refused.stdout.contains(hint), "{}", refused.stdout);
    let (refused, asked) = asked_for(&["--allow-endpoint", "https://other.example"]);
    assert_eq!((refused.code, asked), (4, None), "{}", refused.stdout);
    let (allowed, asked) = asked_for(&["--allow-endpoint", "https://ips.example"]);
    let asked = asked.unwrap_or_else(|| panic!("it was not called: {}", allowed.stdout));
    assert!(asked.starts_with("CONNECT ips.example:443 "), "{asked}");
    assert!(
        !allowed.stdout.contains("not allowed"),
        "{}",
        allowed.stdout
    );
}

#[test]
fn another_granularity_is_another_wire_form_and_sends_what_it_makes_new() {
    let world = World::new("");
    world.set("set", "  imagePresets: true\n  assets: [a, b]");
    assert_eq!(items(&world.sends(0)).len(), 6);
    world.write(
        "manifests/cdn.yaml",
        &world.cdn("dynamic-media", "granularity: path"),
    );
    let plan = world.ends(0, &["plan"]);
    assert!(plan.contains("wire form changed"), "{plan}");
    // A path stands for all its variants, so its mark is another one.
    let expected = BTreeSet::from(["a", "b"].map(|id| format!("{ROOT}/{id}")));
    assert_eq!(items(&world.sends(0)), expected);
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn two_cdns_on_one_account_share_their_ledger_and_their_calls() {
    let world = World::new("");
    world.write("manifests/second.yaml", &world.cdn("second", ""));
    world.set("one", "  cdns: [dynamic-media]\n  assets: [x, shared]");
    world.set("two", "  cdns: [second]\n  assets: [y, shared]");
    let sent = world.sends(0);
    let expected = BTreeSet::from(["shared", "x", "y"].map(|id| format!("{ROOT}/{id}")));
    assert_eq!((sent.len(), items(&sent)), (1, expected));
    assert_eq!(sent[0].len(), 3, "what both want goes once");
    // The other name of the account has been told as well.
    world.set("one", "  cdns: [second]\n  assets: [x, shared]");
    assert_eq!(world.sends(0).len(), 0);
}

#[test]
fn two_cdns_on_one_account_share_their_budget() {
    // One of four calls is kept for what is asked for.
    let slow = "batch: { maxUrls: 1 }\n  rateLimit: { requests: 4/1h, urls: 1000/1h }";
    let world = World::new(slow);
    world.write("manifests/second.yaml", &world.cdn("second", slow));
    world.set("one", "  cdns: [dynamic-media]\n  assets: [a, b]");
    world.set("two", "  cdns: [second]\n  assets: [c, d]");
    for _ in 0..2 {
        world.ends(4, &["reconcile", "--max-time", "1s"]);
        // The company's handle was looked up with the third.
        assert_eq!(world.sandbox.calls().len(), 3);
    }
    assert_eq!(items(&world.accepted()).len(), 2);
}

/// The Cdn of `world` with another root.
fn with_root(world: &World, root: &str) {
    let text = world.cdn("dynamic-media", "");
    let text = text.replace(
        "company: AcmeCorp",
        &format!("company: AcmeCorp\n    rootId: \"{root}\""),
    );
    world.write("manifests/cdn.yaml", &text);
}

/// The operations that were called, without those seen `before`.
fn operations(world: &World, before: usize) -> Vec<String> {
    let calls = world.sandbox.calls().into_iter().skip(before);
    calls.map(|call| call.operation).collect()
}

#[test]
fn a_root_that_is_not_the_companys_stops_the_target_before_anything_is_sent() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world.sandbox.set_account(Account {
        root_path: Some("acme-prod/".to_owned()),
        ..Account::default()
    });
    let said = world.ends(4, &["reconcile"]);
    for word in [
        "misconfigured",
        "`acme-prod/`",
        "`AcmeCorp`",
        "`rootId: acme-prod`",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert_eq!(operations(&world, 0), ["getCompanyInfo"]);
    with_root(&world, "acme-prod");
    let moved = "https://s7d1.scene7.com/is/image/acme-prod/a";
    assert_eq!(world.sends(0), [[moved]]);
}

#[test]
fn a_root_that_is_lifted_is_not_compared() {
    let world = World::new("");
    with_root(&world, "*");
    let url = "https://s7d1.scene7.com/is/image/acme-prod/a";
    world.set("set", &format!("  urls: [\"{url}\"]"));
    world.sandbox.set_account(Account {
        root_path: Some("acme-prod/".to_owned()),
        ..Account::default()
    });
    assert_eq!(world.sends(0), [[url]]);
}

#[test]
fn a_root_that_is_changed_later_is_compared_with_the_companys_anew() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    assert_eq!(world.sends(0).len(), 1);
    with_root(&world, "acme-prod");
    let before = world.sandbox.calls().len();
    let said = world.ends(4, &["reconcile"]);
    assert!(said.contains("`acme-prod`"), "{said}");
    assert_eq!(operations(&world, before), ["getCompanyInfo"]);
    world.sandbox.set_account(Account {
        root_path: Some("acme-prod/".to_owned()),
        ..Account::default()
    });
    assert_eq!(world.sends(0).len(), 1);
}

#[test]
fn an_access_token_does_in_the_place_of_user_and_password() {
    let world = World::new("");
    let text = world.cdn("dynamic-media", "");
    let secrets = "credentials: { user: { env: IPS_USER }, password: { env: IPS_PASSWORD } }";
    let token = "credentials: { accessToken: { file: token } }";
    assert!(text.contains(secrets));
    world.write("manifests/cdn.yaml", &text.replace(secrets, token));
    world.set("set", "  assets: [a]");
    let given = Options::default().access_token;
    for (token, code) in [("a-wrong-one", 4), (given.as_str(), 0)] {
        world.write("token", token);
        let run = world.freshen(&["reconcile"]);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(run.code, code, "{said}");
        assert!(!said.contains(token), "{said}");
    }
    assert_eq!(world.accepted().len(), 1);
    let checked = world.ends(0, &["doctor"]);
    assert!(checked.contains("AcmeCorp"), "{checked}");
    assert!(!checked.contains(&given), "{checked}");
}
