//! `doctor`: every check of every Cdn, and nothing invalidated.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use freshen::sandbox::{Account, Failure, Faults, Options, Rule};
use serde_json::Value;

use crate::keeper::Keeper;
use crate::program::{Run, run};
use crate::sandbox::visit;
use crate::schemas::fits;
use crate::world::World;

/// What the check-up finds, which must fit its schema, and that it changes
/// neither CDN nor state.
fn examine_with(world: &World, code: i32, arguments: &[&str]) -> Vec<Value> {
    let invalidated = world.accepted().len();
    let run = world.freshen(&[&["doctor", "-o", "json"], arguments].concat());
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    let found = fits("doctor", &run);
    assert_eq!(world.accepted().len(), invalidated);
    let calls = world.sandbox.calls();
    let is_look_up = |operation: &str| operation != "cdnCacheInvalidation";
    assert!(
        calls.iter().all(|call| is_look_up(&call.operation)),
        "{calls:?}"
    );
    found["checks"].as_array().unwrap().clone()
}

fn examine(world: &World, code: i32) -> Vec<Value> {
    examine_with(world, code, &[])
}

/// The result, the message and the cure of one check of a Cdn, or of what is here.
fn told(checks: &[Value], cdn: &str, subject: &str) -> (String, String) {
    let cdn = (cdn != "here").then_some(cdn);
    let mut checks = checks
        .iter()
        .filter(|check| check["cdn"].as_str() == cdn && check["subject"] == subject);
    let check = checks.next().unwrap_or_else(|| panic!("no {subject}"));
    assert!(checks.next().is_none(), "{subject} twice");
    let text = |name: &str| check[name].as_str().unwrap_or_default();
    let result = text("result").to_owned();
    let needs_cure = matches!(&*result, "failed" | "warning");
    assert_eq!(needs_cure, !text("cure").is_empty(), "{check}");
    (result, format!("{} | {}", text("message"), text("cure")))
}

/// A check of a Cdn must have this result, and tell all of `words`.
fn check(checks: &[Value], subject: &str, result: &str, words: &[&str]) {
    check_at(checks, ("dynamic-media", subject), result, words);
}

fn check_at(checks: &[Value], (cdn, subject): (&str, &str), result: &str, words: &[&str]) {
    let (found, said) = told(checks, cdn, subject);
    assert_eq!(found, result, "{cdn} {subject}: {said}");
    for word in words {
        assert!(said.contains(word), "{cdn} {subject}: {word}: {said}");
    }
}

fn world() -> World {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    world
}

/// A sandbox whose account is not as declared.
fn with_account(account: Account) -> World {
    let world = world();
    world.sandbox.set_account(account);
    world
}

#[test]
fn all_that_is_well_is_said_to_be_and_what_cannot_be_known_is_named() {
    let world = world();
    let told = world.ends(0, &["doctor"]);
    let told = told.replace(&world.sandbox.url(), "SANDBOX");
    // Times, free space and the kernel's limits differ from run to run.
    let differs = |line: &&str| {
        let what = ["watcher", "disk space", "connection", "clock"];
        !what.iter().any(|what| line.contains(what))
    };
    let lines = told.lines().filter(differs);
    let lines: Vec<String> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    = here manifests valid: 1 Cdn, 1 set, 1 URL
    = here state location `./freshen.db`
    = here state there is none yet: the first run makes it
    = dynamic-media endpoint `SANDBOX` is known
    = dynamic-media secret user in environment variable `IPS_USER`
    = dynamic-media secret password in environment variable `IPS_PASSWORD`
    = dynamic-media credentials accepted
    = dynamic-media company `AcmeCorp` is there, its handle is `c|6`
    = dynamic-media rootId `AcmeCorp`, and the root path is `AcmeCorp/`
    ? dynamic-media rights the account may look things up; whether it may invalidate (role IpsCompanyAdmin or IpsAdmin) shows only when it does
    = dynamic-media image presets 2 declared, all among the 3 of the account

    Well: 15 checks, 1 not known.
    ");
    assert!(!world.folder().join("freshen.db").exists());
}

#[test]
fn secrets_are_looked_for_one_by_one_and_should_be_read_by_few() {
    let world = world();
    let path = world.folder().join("password");
    let text = world.cdn("dynamic-media", "");
    let text = text.replace(
        "{ env: IPS_PASSWORD }",
        &format!("{{ file: {} }}", path.display()),
    );
    world.write("manifests/cdn.yaml", &text);
    let checks = examine(&world, 4);
    check(&checks, "secret user", "good", &["`IPS_USER`"]);
    check(
        &checks,
        "secret password",
        "failed",
        &["password`", "let the user"],
    );
    check(&checks, "connection", "good", &[]);
    check(
        &checks,
        "credentials",
        "unknown",
        &["a secret cannot be read"],
    );
    check(&checks, "company", "unknown", &[]);
    check(&checks, "image presets", "unknown", &[]);
    fs::write(&path, "sandbox\n").unwrap();
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    check(
        &examine(&world, 0),
        "secret password",
        "warning",
        &["everybody", "chmod o-r"],
    );
    mode(0o640);
    check(&examine(&world, 0), "secret password", "good", &[]);
}

#[test]
fn credentials_go_only_where_they_are_allowed_to() {
    let world = world();
    let text = world.cdn("dynamic-media", "");
    let elsewhere = text.replace(&world.sandbox.endpoint(), "https://ips.invalid/x");
    world.write("manifests/cdn.yaml", &elsewhere);
    let checks = examine(&world, 4);
    let cure = "--allow-endpoint https://ips.invalid";
    check(&checks, "endpoint", "failed", &["own hosts", cure]);
    for subject in [
        "connection",
        "clock",
        "credentials",
        "company",
        "rootId",
        "rights",
    ] {
        check(
            &checks,
            subject,
            "unknown",
            &["the endpoint is not allowed"],
        );
    }
    let arguments = ["--allow-endpoint", "https://ips.invalid"];
    let checks = examine_with(&world, 4, &arguments);
    check(&checks, "endpoint", "good", &["is allowed"]);
    check(
        &checks,
        "connection",
        "failed",
        &["no connection", "firewall"],
    );
    check(&checks, "credentials", "unknown", &["cannot be reached"]);
}

#[test]
fn one_cdn_that_cannot_be_reached_hides_no_other() {
    let world = world();
    let tls = world.sandbox.endpoint().replace("http://", "https://");
    let other = world.cdn("other", "");
    let other = other.replace(&world.sandbox.endpoint(), &tls);
    world.write("manifests/other.yaml", &other);
    world.set("set", "  cdns: [dynamic-media]\n  assets: [a]");
    let checks = examine(&world, 4);
    check_at(
        &checks,
        ("other", "connection"),
        "failed",
        &["no secure connection", "certificate"],
    );
    check_at(&checks, ("other", "company"), "unknown", &[]);
    check(&checks, "connection", "good", &[]);
    check(&checks, "company", "good", &["`AcmeCorp`", "`c|6`"]);
}

#[test]
fn a_service_that_answers_calls_alone_is_asked_all_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let world = world();
    let service = world.sandbox.url().replace("http://", "");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let service = service.clone();
            std::thread::spawn(move || drop(pass_on_calls(&stream, &service)));
        }
    });
    let text = world.cdn("dynamic-media", "");
    let text = text.replace(&world.sandbox.url(), &format!("http://{address}"));
    world.write("manifests/cdn.yaml", &text);
    let checks = examine(&world, 0);
    check(&checks, "connection", "unknown", &["reached"]);
    check(&checks, "clock", "unknown", &[]);
    check(&checks, "credentials", "good", &[]);
    check(&checks, "company", "good", &[]);
}

/// Passes what comes on to `service`, and ends the connection at a `HEAD`.
fn pass_on_calls(stream: &TcpStream, service: &str) -> io::Result<()> {
    let mut first = [0];
    stream.peek(&mut first)?;
    if first == *b"H" {
        return Ok(());
    }
    let service = TcpStream::connect(service)?;
    let (mut from, mut to) = (stream.try_clone()?, service.try_clone()?);
    std::thread::spawn(move || io::copy(&mut from, &mut to));
    io::copy(&mut &service, &mut &*stream).map(drop)
}

#[test]
fn a_login_that_is_not_accepted_is_not_tried_again() {
    let world = with_account(Account {
        invalid_login: true,
        ..Account::default()
    });
    let checks = examine(&world, 4);
    check(
        &checks,
        "credentials",
        "failed",
        &["InvalidLogin", "correct the secrets"],
    );
    check(&checks, "company", "good", &[]);

    let world = self::world();
    let text = world.cdn("dynamic-media", "");
    let wrong = text.replace("{ env: IPS_PASSWORD }", "{ env: USER }");
    world.write("manifests/cdn.yaml", &wrong);
    let checks = examine(&world, 4);
    check(
        &checks,
        "credentials",
        "failed",
        &["authenticationFault 10001", "correct the secrets"],
    );
    check(
        &checks,
        "company",
        "unknown",
        &["the credentials are not accepted"],
    );
    check(&checks, "image presets", "unknown", &[]);
    assert_eq!(world.sandbox.calls().len(), 1);
}

#[test]
fn a_company_must_be_there_and_alive() {
    let expires = |expires: &str| {
        with_account(Account {
            expires: Some(expires.to_owned()),
            ..Account::default()
        })
    };
    let checks = examine(&expires("2020-01-01T00:00:00.000-08:00"), 4);
    check(&checks, "company", "failed", &["expired at 2020-01-01"]);
    check(&checks, "rootId", "good", &[]);
    let checks = examine(&expires("2999-01-01T00:00:00"), 0);
    check(&checks, "company", "good", &["expires at 2999"]);
    let checks = examine(&expires("soon"), 4);
    check(&checks, "company", "failed", &["`soon`, which is no time"]);

    let world = with_account(Account {
        company: Some("Other".to_owned()),
        ..Account::default()
    });
    let checks = examine(&world, 4);
    check(
        &checks,
        "company",
        "failed",
        &["20000", "as Dynamic Media shows it"],
    );
    check(&checks, "rights", "unknown", &[]);
    check(&checks, "image presets", "unknown", &["is not known"]);
    let text = world.cdn("dynamic-media", "");
    let by_handle = text.replace(
        "company: AcmeCorp",
        "company: AcmeCorp\n    companyHandle: c|6",
    );
    world.write("manifests/cdn.yaml", &by_handle);
    let checks = examine(&world, 4);
    check(
        &checks,
        "company",
        "failed",
        &["`c|6` is the company `Other`", "`AcmeCorp`"],
    );
    check(&checks, "image presets", "good", &[]);
}

#[test]
fn a_root_that_is_not_the_companys_is_a_configuration_error() {
    let world = with_account(Account {
        root_path: Some("acme-prod/".to_owned()),
        ..Account::default()
    });
    let checks = examine(&world, 4);
    let words = [
        "configuration error",
        "`acme-prod/`",
        "`AcmeCorp`",
        "`rootId: acme-prod`",
    ];
    check(&checks, "rootId", "failed", &words);
    let lifted = world.cdn("dynamic-media", "");
    let lifted = lifted.replace("company: AcmeCorp", "company: AcmeCorp\n    rootId: \"*\"");
    world.write("manifests/cdn.yaml", &lifted);
    world.set(
        "set",
        "  urls: [\"https://s7d1.scene7.com/is/image/acme-prod/a\"]",
    );
    let checks = examine(&world, 0);
    check(&checks, "rootId", "unknown", &["not compared"]);
    check(&checks, "company", "good", &[]);
}

#[test]
fn rights_are_told_as_far_as_a_look_up_tells_them() {
    let world = world();
    check(
        &examine(&world, 0),
        "rights",
        "unknown",
        &["only when it does"],
    );
    let rule = |code| Rule {
        failure: Failure::Code(code),
        times: None,
        operation: Some("getCompanyInfo".to_owned()),
    };
    world.sandbox.set_faults(Faults {
        rules: vec![rule(20_003)],
        ..Faults::default()
    });
    let checks = examine(&world, 4);
    check(&checks, "rights", "failed", &["20003", "IpsCompanyAdmin"]);
    check(&checks, "company", "unknown", &[]);
}

#[test]
fn presets_that_the_account_lacks_are_named_with_what_may_be_meant() {
    let world = world();
    let text = world.cdn("dynamic-media", "");
    let text = text.replace("[thumbnail,", "[thumbnial, zoom,");
    world.write("manifests/cdn.yaml", &text);
    let checks = examine(&world, 4);
    let words = [
        "`thumbnial` (did you mean `thumbnail`?), `zoom` |",
        "imagePresets",
    ];
    check(&checks, "image presets", "failed", &words);
    world.sandbox.set_account(Account {
        missing_presets: vec!["product".to_owned()],
        ..Account::default()
    });
    check(
        &examine(&world, 4),
        "image presets",
        "failed",
        &["`product`"],
    );
}

#[test]
fn answers_that_are_not_understood_are_failures() {
    let world = world();
    for (failure, word) in [
        (Failure::ErrorCount(1), "cdnCacheInvalidationReturn"),
        (Failure::Code(39_999), "39999"),
        (Failure::Code(30_000), "30000"),
        (
            Failure::Status {
                status: 502,
                retry_after: None,
            },
            "HTTP 502",
        ),
    ] {
        world.sandbox.set_faults(Faults::default());
        world.sandbox.fail(failure, None);
        let checks = examine(&world, 4);
        check(&checks, "credentials", "failed", &[word]);
        check(&checks, "company", "failed", &[word]);
        check(&checks, "connection", "good", &[]);
    }
}

#[test]
fn a_cdn_that_does_not_answer_is_given_up() {
    let world = world();
    world.sandbox.fail(Failure::Hang, None);
    let checks = examine_with(&world, 4, &["--timeout", "300ms"]);
    check(
        &checks,
        "credentials",
        "failed",
        &["before the time was up", "--timeout"],
    );
    check(&checks, "company", "unknown", &["the time is up"]);
    world.sandbox.set_faults(Faults::default());
    world.sandbox.fail(Failure::DropReply, None);
    let checks = examine(&world, 4);
    check(&checks, "credentials", "failed", &["the connection broke"]);
    check(&checks, "company", "failed", &["the connection broke"]);
}

#[test]
fn a_clock_that_is_off_is_told_by_the_cdns() {
    let world = world();
    let off = |clock_ahead_s| {
        world.sandbox.set_faults(Faults {
            clock_ahead_s,
            ..Faults::default()
        });
    };
    check(&examine(&world, 0), "clock", "good", &[]);
    off(60);
    check(
        &examine(&world, 0),
        "clock",
        "warning",
        &["s behind the CDN's", "NTP"],
    );
    off(-3600);
    check(
        &examine(&world, 4),
        "clock",
        "failed",
        &["s ahead of the CDN's"],
    );
}

#[test]
fn the_state_is_looked_at_and_left_alone() {
    let world = world();
    let here = |checks: &[Value], subject: &str, result: &str, words: &[&str]| {
        check_at(checks, ("here", subject), result, words);
    };
    let checks = examine(&world, 0);
    here(&checks, "state", "good", &["there is none yet"]);
    let (_, room) = told(&checks, "here", "disk space");
    assert!(room.contains("MiB free"), "{room}");
    assert!(!world.folder().join("freshen.db").exists());
    assert!(!world.folder().join("freshen.db.lock").exists());
    let checks = examine_with(&world, 4, &["--state", "manifests/freshen.db"]);
    here(
        &checks,
        "state location",
        "failed",
        &["inside the manifest root", "--state"],
    );
    let checks = examine_with(&world, 4, &["--state", "missing/freshen.db"]);
    here(&checks, "state", "failed", &["missing"]);
    world.write("freshen.db", "");
    here(&examine(&world, 4), "state", "failed", &["empty"]);
    world.write("freshen.db", "no state");
    here(&examine(&world, 4), "state", "failed", &[]);
}

#[test]
fn whoever_holds_the_state_is_named_and_goes_on() {
    let world = World::new("");
    let mut daemon = Keeper::start(&world, &["--bootstrap", "adopt"]);
    let checks = examine(&world, 0);
    check_at(&checks, ("here", "state holder"), "good", &["freshen run"]);
    check_at(&checks, ("here", "state"), "good", &["sound"]);
    assert!(daemon.child.try_wait().unwrap().is_none());
}

#[test]
fn manifests_that_are_not_valid_hide_nothing_else() {
    let world = world();
    world.set("typo", "  asets: [a]");
    let checks = examine(&world, 4);
    check_at(
        &checks,
        ("here", "manifests"),
        "failed",
        &["1 error", "freshen validate"],
    );
    check(&checks, "company", "good", &[]);
    world.remove("manifests/cdn.yaml");
    let checks = examine(&world, 1);
    check_at(&checks, ("here", "state"), "good", &[]);
}

/// The check-up where the kernel grants one of what watching takes.
fn blind(world: &World, limit: &str) -> Run {
    let inner = world.command(&["doctor", "-o", "json"]);
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c"])
        .arg(format!("echo 1 > /proc/sys/user/{limit} && exec \"$@\""))
        .arg("sh")
        .arg(inner.get_program())
        .args(inner.get_args())
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(world.folder());
    run(&mut command)
}

#[test]
fn a_lack_of_watches_is_told() {
    let world = world();
    let watched = examine(&world, 0);
    check_at(&watched, ("here", "watcher"), "good", &["folders to watch"]);
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        let run = blind(&world, limit);
        assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
        let found = fits("doctor", &run);
        let checks = found["checks"].as_array().unwrap();
        let cure = "fs.inotify.max_user_watches";
        check_at(checks, ("here", "watcher"), "warning", &[cure]);
    }
}

#[test]
fn every_format_tells_what_failed_and_the_cure() {
    let world = with_account(Account {
        root_path: Some("acme-prod/".to_owned()),
        ..Account::default()
    });
    for format in ["text", "jsonl", "markdown", "github"] {
        let said = world.ends(4, &["doctor", "-o", format]);
        for word in ["configuration error", "rootId: acme-prod"] {
            assert!(said.contains(word), "{format}: {said}");
        }
        assert!(!said.contains("sandbox@example.com"), "{format}: {said}");
    }
}

/// A copy of `a` that the edge has had for long, and its URL.
fn warmed(world: &World) -> String {
    world.sandbox.upload("a", "one");
    assert!(world.sandbox.publish("a"));
    let url = format!("{}/is/image/AcmeCorp/a", world.sandbox.url());
    visit(&world.sandbox, "/is/image/AcmeCorp/a");
    world.sandbox.advance(Duration::from_secs(100));
    url
}

/// The check-up with a purge test: its checks, and how often the URL was
/// invalidated by it.
fn purge(world: &World, code: i32, url: &str, more: &[&str]) -> (Vec<Value>, usize) {
    let before = world.accepted().len();
    let arguments = ["doctor", "-o", "json", "--purge-test", url];
    let run = world.freshen(&[&arguments, more].concat());
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    let found = fits("doctor", &run);
    let sent = world.accepted().split_off(before);
    assert!(sent.iter().all(|items| items == &[url]), "{sent:?}");
    (found["checks"].as_array().unwrap().clone(), sent.len())
}

#[test]
fn a_purge_test_sees_what_one_invalidation_does() {
    let world = world();
    let url = warmed(&world);
    let (checks, sent) = purge(&world, 0, &url, &[]);
    check(&checks, "invalidation", "good", &["1 item accepted"]);
    let words = ["a fresh copy", "the same bytes", "`Age` fell from 100 to 0"];
    check(&checks, "purge test", "good", &words);
    assert_eq!(sent, 1);
    let history = world.ends(0, &["history"]);
    assert!(history.contains("doctor --purge-test"), "{history}");
    // It is closed like any other, and gives the state no past.
    let later = ["reconcile", "--bootstrap", "fail"];
    assert_eq!(world.sends_by(3, &later).len(), 0);

    world.sandbox.advance(Duration::from_secs(100));
    world.sandbox.upload("a", "two");
    world.sandbox.publish("a");
    let (checks, sent) = purge(&world, 0, &url, &[]);
    check(&checks, "purge test", "good", &["new bytes"]);
    assert_eq!(sent, 1);
}

#[test]
fn a_copy_that_stays_is_a_failure_of_the_purge_test() {
    let options = Options {
        effect_delay: Duration::from_hours(1),
        ..Options::default()
    };
    let world = World::with(options, "");
    world.set("set", "  assets: [a]");
    let url = warmed(&world);
    let (checks, sent) = purge(&world, 4, &url, &["--timeout", "1500ms"]);
    check(&checks, "invalidation", "good", &[]);
    check(
        &checks,
        "purge test",
        "failed",
        &["still the old copy", "goes on from 100"],
    );
    assert_eq!(sent, 1);
}

#[test]
fn a_purge_test_sends_nothing_where_something_else_is_wrong() {
    let world = world();
    let url = warmed(&world);
    let (checks, sent) = purge(&world, 4, &url.replace("/a", "/missing"), &[]);
    check(&checks, "purge test", "failed", &["HTTP 404"]);
    assert_eq!(sent, 0);
    world.sandbox.set_account(Account {
        missing_presets: vec!["product".to_owned()],
        ..Account::default()
    });
    let (checks, sent) = purge(&world, 4, &url, &[]);
    check(
        &checks,
        "purge test",
        "unknown",
        &["something else is wrong"],
    );
    assert_eq!(sent, 0);
}

#[test]
fn a_purge_test_calls_once_whatever_comes_of_it() {
    let world = world();
    let url = warmed(&world);
    let invalidations = |world: &World| {
        let calls = world.sandbox.calls().into_iter();
        let is_one = |operation: &str| operation == "cdnCacheInvalidation";
        calls.filter(|call| is_one(&call.operation)).count()
    };
    for (failure, words) in [
        (
            Failure::Code(30_000),
            ["1 item still to be sent", "freshen status"],
        ),
        (Failure::Code(30_001), ["1 item refused", "freshen status"]),
    ] {
        let before = invalidations(&world);
        world.sandbox.set_faults(Faults {
            rules: vec![Rule {
                failure,
                times: None,
                operation: Some("cdnCacheInvalidation".to_owned()),
            }],
            ..Faults::default()
        });
        let (checks, _) = purge(&world, 4, &url, &[]);
        check(&checks, "invalidation", "failed", &words);
        assert_eq!(invalidations(&world) - before, 1);
    }
}

#[test]
fn a_purge_test_beside_a_daemon_is_left_to_it() {
    let world = world();
    let url = warmed(&world);
    let _daemon = Keeper::start(&world, &["--bootstrap", "adopt"]);
    let (checks, sent) = purge(&world, 0, &url, &[]);
    check(&checks, "purge test", "good", &["a fresh copy"]);
    assert_eq!(sent, 1);
}

#[test]
fn a_purge_test_is_for_one_url_of_one_cdn() {
    let world = world();
    let usage = |arguments: &[&str], word: &str| {
        let said = world.ends(64, &[&["doctor", "--purge-test"], arguments].concat());
        assert!(said.contains(word), "{said}");
    };
    usage(&["https://s7d1.scene7.com/is/image/Other/a"], "no Cdn");
    usage(&["a"], "no Cdn");
    usage(
        &["https://joe:hunter2@s7d1.scene7.com/is/image/AcmeCorp/a"],
        "`--purge-test https://…@",
    );
    let url = warmed(&world);
    let other = world
        .cdn("other", "")
        .replace("company: AcmeCorp", "company: Other\n    rootId: AcmeCorp");
    world.write("manifests/other.yaml", &other);
    world.set("set", "  cdns: [dynamic-media]\n  assets: [a]");
    usage(&[&url], "--cdn");
    let (checks, sent) = purge(&world, 0, &url, &["--cdn", "dynamic-media"]);
    check(&checks, "purge test", "good", &[]);
    assert_eq!(sent, 1);
    assert!(checks.iter().all(|check| check["cdn"] != "other"));
    let said = world.ends(1, &["doctor", "--cdn", "dynamic-medai"]);
    assert!(said.contains("did you mean `dynamic-media`?"), "{said}");
}
