//! The web of a daemon, through real connections, over a state that is held.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use freshen::reconcile::asks::Ask;
use freshen::reconcile::forcing::Selection;
use freshen::state::Scope;
use freshen::web::{App, Limits};
use serde_json::{Value, json};

use crate::house::{Answer, Gate, House, TOKEN, Web, bearer, request};
use crate::program::{Run, freshen};
use crate::schemas::conforms;
use crate::site::IMAGES;

/// Long enough for what must not happen to happen.
const LONG_ENOUGH: Duration = Duration::from_millis(500);

/// Runs a command over the same manifests and the same state.
fn command(house: &House, arguments: &[&str]) -> Run {
    let manifests = house.folder().join("manifests");
    let global = ["--manifests", manifests.to_str().unwrap()];
    freshen(house.folder(), &[&global[..], arguments].concat())
}

/// Without what depends on the clock: the house has one of its own.
fn timeless(mut document: Value) -> Value {
    for field in ["seconds", "approvedSeconds"] {
        if let Some(seconds) = document.get_mut(field) {
            *seconds = Value::Null;
        }
    }
    for cdn in document["cdns"].as_array_mut().into_iter().flatten() {
        cdn["budget"] = Value::Null;
    }
    document
}

#[test]
fn a_held_state_is_answered_with_the_very_documents_of_the_commands() {
    let house = House::new();
    let web = house.open();
    let check = |path: &str, name: &str, arguments: &[&str]| {
        let answered = web.get(path).json(200);
        conforms(name, &answered);
        let said = command(&house, &[arguments, &["-o", "json"]].concat());
        let said: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(timeless(answered), timeless(said), "{path}");
    };
    check("/api/v1/status", "status", &["status"]);
    check("/api/v1/plan", "plan", &["plan"]);
    check("/api/v1/history", "history", &["history"]);
    check(
        "/api/v1/history?set=spring&last=1",
        "history",
        &["history", "spring", "--last", "1"],
    );
    check(
        "/api/v1/explain?subject=a-0",
        "explain",
        &["explain", "a-0"],
    );
    let status = web.get("/api/v1/status").json(200);
    assert!(
        status["holder"].as_str().unwrap().contains("freshen run"),
        "{status}"
    );
}

#[test]
fn one_set_is_shown_from_every_side() {
    let house = House::new();
    let web = house.open();
    let set = web.get("/api/v1/sets/spring").json(200);
    conforms("set", &set);
    assert_eq!(set["status"][0]["condition"], "fresh");
    assert_eq!(set["batches"][0]["items"], 3);
    let set = web.get("/api/v1/sets/large").json(200);
    conforms("set", &set);
    assert_eq!(set["status"][0]["condition"], "blocked");
    let target = &set["plan"]["targets"][0];
    assert_eq!(target["blocked"], 2);
    assert_eq!(
        target["urls"],
        json!([format!("{IMAGES}/b-0"), format!("{IMAGES}/b-1")])
    );
    let said = web.get("/api/v1/sets/summer").refusal(404);
    assert!(said.contains("no set `summer`"), "{said}");
}

#[test]
fn a_change_is_left_as_a_request_whose_outcome_can_be_followed() {
    let mut house = House::new();
    let web = house.open();
    let plan = web.get("/api/v1/sets/large").json(200)["plan"]["plan"].clone();
    let plan = plan.as_str().unwrap();
    let approve = format!("/api/v1/approve/{plan}");
    let spring = Selection {
        set: Some("spring".to_owned()),
        reason: Some("late".to_owned()),
        ..Selection::default()
    };
    let scope = Scope::Set("spring".to_owned());
    let asks = [
        (
            "/api/v1/invalidate",
            r#"{"set":"spring","reason":"late"}"#,
            Ask::Invalidate(spring),
        ),
        (
            "/api/v1/suspend",
            r#"{"set":"spring"}"#,
            Ask::Suspend(scope),
        ),
        (
            "/api/v1/suspend",
            r#"{"cdn":"media"}"#,
            Ask::Suspend(Scope::Cdn("media".to_owned())),
        ),
        ("/api/v1/resume", r#"{"all":true}"#, Ask::Resume(Scope::All)),
        (
            &*approve,
            "",
            Ask::Approve {
                plan: plan.to_owned(),
            },
        ),
    ];
    let mut ids = Vec::new();
    for (path, body, ask) in asks {
        let asked = web.post(path, body).json(202);
        conforms("asked", &asked);
        let row = house.store.requests(true).unwrap().pop().unwrap();
        assert_eq!(
            (asked["request"].as_i64(), Ask::of(&row).unwrap()),
            (Some(row.id), ask)
        );
        assert_eq!(row.asked.by, "the API, from 127.0.0.1");
        ids.push(row.id);
    }
    let follow = |id: i64| {
        let request = web.get(&format!("/api/v1/requests/{id}")).json(200);
        conforms("request", &request);
        request
    };
    assert_eq!(follow(ids[0])["outcome"], Value::Null);
    assert_eq!(house.answer_requests(), ids.len());
    assert_eq!(follow(ids[0])["outcome"], "3 URLs are sent again");
    assert_eq!(follow(ids[1])["outcome"], "suspended");
    assert_eq!(follow(ids[4])["outcome"], "2 items approved");
    web.get("/api/v1/requests/4711").refusal(404);
    web.get("/api/v1/requests/a").refusal(404);
}

#[test]
fn what_could_only_come_to_nothing_is_refused_in_the_words_of_the_command() {
    let house = House::new();
    let web = house.open();
    let check = |status: u16, (path, body): (&str, &str), arguments: &[&str]| {
        let refused = web.post(path, body).json(status);
        conforms("error", &refused);
        let mut said = format!("error: {}\n", refused["error"].as_str().unwrap());
        if let Some(hint) = refused["hint"].as_str() {
            said += &["  hint: ", hint, "\n"].concat();
        }
        assert_eq!(said, command(&house, arguments).stderr, "{path} {body}");
    };
    let invalidate = |body| ("/api/v1/invalidate", body);
    check(400, invalidate("{}"), &["invalidate"]);
    check(
        422,
        invalidate(r#"{"set":"sprong"}"#),
        &["invalidate", "sprong"],
    );
    check(
        422,
        invalidate(r#"{"cdn":"other"}"#),
        &["invalidate", "--cdn", "other"],
    );
    check(
        422,
        invalidate(r#"{"asset":"nosuch"}"#),
        &["invalidate", "--asset", "nosuch"],
    );
    check(
        422,
        invalidate(r#"{"urls":["ftp://a"]}"#),
        &["invalidate", "--url", "ftp://a"],
    );
    check(
        422,
        ("/api/v1/suspend", r#"{"set":"sprong"}"#),
        &["suspend", "--set", "sprong"],
    );
    check(
        422,
        ("/api/v1/suspend", r#"{"cdn":"other"}"#),
        &["suspend", "--cdn", "other"],
    );
    check(400, ("/api/v1/approve/1234", ""), &["approve", "1234"]);
    let unknown = "0123456789abcdef";
    check(
        422,
        (&format!("/api/v1/approve/{unknown}"), ""),
        &["approve", unknown],
    );
    assert_eq!(house.store.requests(false).unwrap(), []);
}

#[test]
fn what_is_not_understood_is_refused_not_passed_over() {
    let house = House::new();
    let web = house.open();
    for (path, body) in [
        ("/api/v1/invalidate", ""),
        ("/api/v1/invalidate", "set=spring"),
        ("/api/v1/invalidate", r#"{"set":"spring","urgent":true}"#),
        ("/api/v1/suspend", "{}"),
        ("/api/v1/suspend", r#"{"all":false}"#),
        ("/api/v1/suspend", r#"{"set":"spring","cdn":"media"}"#),
        ("/api/v1/resume", r#"{"everything":true}"#),
    ] {
        let said = web.post(path, body).refusal(400);
        assert!(said.contains("the body is not what it should be"), "{said}");
    }
    for path in [
        "/api/v1/status?set=spring",
        "/api/v1/history?last=many",
        "/api/v1/history?set=a&set=b",
        "/api/v1/explain",
        "/api/v1/sets/spring?x",
    ] {
        web.get(path).refusal(400);
    }
    assert_eq!(house.store.requests(false).unwrap(), []);
}

#[test]
fn a_reload_answers_with_the_problems_found_and_a_hint_is_passed_on() {
    let house = House::new();
    let web = house.open();
    let found = web.post("/-/reload", "").json(200);
    conforms("validate", &found);
    assert_eq!(
        (&found["assetSets"], &found["errors"]),
        (&json!(2), &json!(0))
    );
    house.site.set("broken", &["nonsense: 1".to_owned()]);
    let found = command(&house, &["validate", "-o", "json"]);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    house
        .declared
        .send_replace(Some(Arc::new(house.site.declared_with_problems())));
    assert_eq!(web.post("/-/reload", "").json(200), found);
    house.declared.send_replace(None);
    let said = web.post("/-/reload", "").refusal(503);
    assert!(said.contains("nothing was read"), "{said}");
    assert_eq!(house.hints.load(Ordering::SeqCst), 0);
    conforms("asked", &web.post("/api/v1/reconcile", "").json(202));
    assert_eq!(house.hints.load(Ordering::SeqCst), 1);
}

#[test]
fn before_the_first_scan_it_is_alive_but_not_ready() {
    let mut house = House::new();
    house.health = Arc::default();
    house.declared.send_replace(None);
    let web = house.open();
    conforms("health", &web.get("/-/healthy").json(200));
    let said = web.get("/-/ready").refusal(503);
    assert!(
        said.contains("the manifests have not been read yet"),
        "{said}"
    );
    for path in ["/api/v1/status", "/api/v1/plan", "/api/v1/sets/spring"] {
        let said = web.get(path).refusal(503);
        assert!(
            said.contains("the manifests have not been read yet"),
            "{said}"
        );
    }
    web.post("/api/v1/suspend", r#"{"all":true}"#).refusal(503);
    web.get("/api/v1/history").json(200);
    house.health.scanned();
    let said = web.get("/-/ready").refusal(503);
    assert!(said.contains("the state cannot be written"), "{said}");
    house.health.state_is_writable(true);
    conforms("health", &web.get("/-/ready").json(200));
}

#[test]
fn a_daemon_that_stands_still_is_not_healthy() {
    let house = House::new();
    let web = house.open();
    web.get("/-/healthy").json(200);
    house.steady_ms.store(3 * 60 * 1000, Ordering::SeqCst);
    web.get("/-/healthy").refusal(503);
    house.health.beat(3 * 60 * 1000);
    web.get("/-/healthy").json(200);
}

#[test]
fn a_state_that_is_not_there_is_said_to_be_missing() {
    let house = House::new();
    let web = Web::open(App {
        state: house.folder().join("absent.db"),
        ..house.app()
    });
    for path in ["/api/v1/status", "/api/v1/history", "/api/v1/requests/1"] {
        let said = web.get(path).refusal(503);
        assert!(said.contains("there is no state at"), "{said}");
    }
    web.post("/api/v1/resume", r#"{"all":true}"#).refusal(503);
    assert!(!house.folder().join("absent.db").exists());
}

#[test]
fn metrics_are_handed_out_as_open_metrics() {
    let house = House::new();
    let answer = house.open().get("/metrics");
    answer.has("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!((answer.status, answer.body.as_str()), (200, "# EOF\n"));
}

/// Every operation that the committed document names: method, path, and what
/// it says of it. Parts of paths are filled in.
fn operations() -> Vec<(String, String, Value)> {
    let document = std::fs::read_to_string("schemas/openapi.json").unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{name}", "spring").replace(['{', '}'], "");
        for (method, operation) in methods.as_object().unwrap() {
            operations.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    operations
}

#[test]
fn whatever_changes_something_needs_the_token() {
    let house = House::new();
    let web = house.open();
    let changes = operations()
        .into_iter()
        .filter(|(method, _, _)| method != "GET");
    let changes: Vec<String> = changes.map(|(_, path, _)| path).collect();
    assert_eq!(changes.len(), 6);
    let padded = format!("{}x", bearer(TOKEN));
    let basic = format!("Authorization: Basic {TOKEN}");
    let bare = format!("Authorization: {TOKEN}");
    let cut = bearer(&TOKEN[..5]);
    for path in changes {
        let body = r#"{"all":true}"#;
        let no_token = web.ask("POST", &path, &[], body);
        no_token.has("www-authenticate: bearer");
        let said = no_token.refusal(401);
        assert!(said.contains("must show the token"), "{said}");
        for wrong in [
            &*padded,
            &basic,
            &bare,
            &cut,
            "Authorization: Bearer",
            &bearer(""),
        ] {
            web.ask("POST", &path, &[wrong], body).refusal(401);
        }
    }
    assert_eq!(house.store.requests(false).unwrap(), []);
    assert_eq!(house.hints.load(Ordering::SeqCst), 0);
    let lower = format!("authorization: bearer {TOKEN}");
    web.ask("POST", "/api/v1/reconcile", &[&lower], "")
        .json(202);
}

#[test]
fn a_token_that_was_rotated_counts_at_once() {
    let house = House::new();
    let web = house.open();
    let check = |token: &str, status: u16| {
        let answer = web.ask("POST", "/api/v1/reconcile", &[&bearer(token)], "");
        assert_eq!(answer.status, status, "{token}: {answer:?}");
    };
    check(TOKEN, 202);
    std::fs::write(house.folder().join("token"), "second-token\n").unwrap();
    check(TOKEN, 401);
    check("second-token", 202);
}

#[test]
fn without_a_token_to_compare_with_nobody_may_change_anything() {
    let house = House::new();
    let web = house.open();
    let refused = |web: &Web| web.post("/api/v1/reconcile", "").refusal(403);
    std::fs::write(house.folder().join("token"), "\n").unwrap();
    assert!(refused(&web).contains("is empty"));
    let empty = web.ask("POST", "/api/v1/reconcile", &[&bearer("")], "");
    assert_eq!(empty.status, 401, "{empty:?}");
    std::fs::remove_file(house.folder().join("token")).unwrap();
    let said = refused(&web);
    assert!(said.contains("cannot be read"), "{said}");
    let web = Web::open(App {
        token: None,
        ..house.app()
    });
    let said = refused(&web);
    assert!(said.contains("`--api-token-file`"), "{said}");
    assert_eq!(house.hints.load(Ordering::SeqCst), 0);
    web.get("/api/v1/status").json(200);
}

#[test]
fn only_addresses_localhost_and_allowed_names_are_answered() {
    let house = House::new();
    let mut app = house.app();
    app.hosts = vec!["freshen.example".to_owned()];
    let web = Web::open(app);
    let check = |host: &str, status: u16| {
        let answer = web.ask_as("GET", "/-/healthy", &[&format!("Host: {host}")], "");
        assert_eq!(
            answer.json(status)["format"] == "freshen.error/v1",
            status != 200,
            "{host}"
        );
    };
    for host in [
        "127.0.0.1:9180",
        "10.1.2.3",
        "[::1]:80",
        "localhost",
        "LocalHost:1",
    ] {
        check(host, 200);
    }
    check("freshen.example", 200);
    check("Freshen.Example:9180", 200);
    for host in [
        "evil.example",
        "evil.freshen.example",
        "freshen.example.evil",
        "localhost.evil",
        "2130706433",
        "127.1",
    ] {
        check(host, 421);
    }
    for host in ["", "localhost@evil.example", "[::1].evil", "a b"] {
        check(host, 400);
    }
    let ask = |target: &str, headers: &[&str]| web.ask_as("GET", target, headers, "");
    ask("/-/healthy", &[]).refusal(400);
    ask("/-/healthy", &["Host: localhost", "Host: evil.example"]).refusal(400);
    ask("http://evil.example/-/healthy", &["Host: localhost"]).refusal(400);
    ask("http://localhost/-/healthy", &["Host: localhost"]).json(200);
    let said = ask("/-/healthy", &["Host: evil.example"]).refusal(421);
    assert!(said.contains("`--allow-host`"), "{said}");
}

#[test]
fn pages_of_another_origin_are_not_answered() {
    let house = House::new();
    let web = house.open();
    let check = |origin: &str, is_ours: bool| {
        let origin = format!("Origin: {origin}");
        for (method, path) in [("GET", "/api/v1/status"), ("POST", "/api/v1/reconcile")] {
            let answer = web.ask(method, path, &[&origin, &bearer(TOKEN)], "");
            assert_eq!(answer.status == 403, !is_ours, "{origin}: {answer:?}");
            assert!(!answer.head.contains("access-control"), "{answer:?}");
        }
    };
    let port = web.address.port();
    check(&format!("http://127.0.0.1:{port}"), true);
    check(&format!("https://127.0.0.1:{port}"), true);
    check("http://127.0.0.1", false);
    check(&format!("http://localhost:{port}"), false);
    check("http://evil.example", false);
    check(&format!("http://127.0.0.1:{port}.evil.example"), false);
    check("null", false);
    check("", false);
    assert_eq!(house.hints.load(Ordering::SeqCst), 2);
}

#[test]
fn a_body_may_be_so_large_and_no_larger() {
    let house = House::new();
    let web = house.open();
    let limit = Limits::default().body;
    let padded = |length: usize| {
        let body = r#"{"set":"spring"}"#;
        body.to_owned() + &" ".repeat(length - body.len())
    };
    web.post("/api/v1/suspend", &padded(limit)).json(202);
    let said = web.post("/api/v1/suspend", &padded(limit + 1)).refusal(413);
    assert!(said.contains("larger than 1048576 bytes"), "{said}");
    let mut visit = web.visit();
    let headers = format!(
        "Host: localhost\r\n{}\r\nTransfer-Encoding: chunked",
        bearer(TOKEN)
    );
    visit.say(&request("POST", "/api/v1/suspend", &[&headers], ""));
    let text = padded(limit + 1);
    visit.say(&format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len()));
    visit.answer().refusal(413);
    assert_eq!(house.store.requests(false).unwrap().len(), 1);
}

/// A web whose visitors may take this and nothing more.
fn limited(house: &House, limits: Limits) -> Web {
    Web::open(App {
        limits,
        ..house.app()
    })
}

#[test]
fn who_never_ends_his_headers_is_hung_up_on() {
    let house = House::new();
    let limits = Limits {
        header: Duration::from_millis(100),
        ..Limits::default()
    };
    let web = limited(&house, limits);
    let mut visit = web.visit();
    visit.say("GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    assert!(!visit.rest().contains("200 OK"));
    assert_eq!(web.visit().rest(), "");
}

#[test]
fn who_never_ends_his_body_is_told_so_and_hung_up_on() {
    let house = House::new();
    let limits = Limits {
        request: Duration::from_millis(100),
        ..Limits::default()
    };
    let web = limited(&house, limits);
    let mut visit = web.visit();
    let whole = request(
        "POST",
        "/api/v1/suspend",
        &["Host: localhost", &bearer(TOKEN)],
        "{      }",
    );
    visit.say(&whole[..whole.len() - 2]);
    let said = visit.answer().refusal(503);
    assert!(said.contains("not done within 0.1 seconds"), "{said}");
}

#[test]
fn who_never_reads_his_answer_is_hung_up_on() {
    let house = House::new();
    let mut app = house.app();
    app.limits = Limits {
        connections: 1,
        header: Duration::from_millis(100),
        request: Duration::from_millis(500),
        ..Limits::default()
    };
    app.metrics = Box::new(|| "x".repeat(64 << 20));
    let web = Web::open(app);
    let mut stalled = web.visit();
    stalled.say(&request("GET", "/metrics", &["Host: localhost"], ""));
    assert!(stalled.is_answered_within(LONG_ENOUGH * 10));
    web.get("/-/healthy").json(200);
}

#[test]
fn more_visitors_than_there_are_places_wait_for_one() {
    let house = House::new();
    let limits = Limits {
        header: Duration::from_mins(1),
        ..Limits::default()
    };
    assert_eq!(limits.connections, 64);
    let web = limited(&house, limits);
    let mut idle: Vec<_> = (0..limits.connections).map(|_| web.visit()).collect();
    let mut next = web.visit();
    next.say(&request("GET", "/-/healthy", &["Host: localhost"], ""));
    assert!(!next.is_answered_within(LONG_ENOUGH));
    idle.pop();
    next.answer().json(200);
}

/// An app whose reading waits at a gate.
fn gated(house: &House) -> (App, Arc<Gate>) {
    let mut app = house.app();
    let gate = Arc::new(Gate::default());
    let now_ms = app.now_ms;
    let passed = Arc::clone(&gate);
    app.now_ms = Box::new(move || {
        passed.pass();
        now_ms()
    });
    (app, gate)
}

#[test]
fn what_takes_long_is_done_for_two_at_a_time_while_others_are_answered() {
    let house = House::new();
    let (app, gate) = gated(&house);
    let web = Web::open(app);
    std::thread::scope(|scope| {
        let paths = [
            "/api/v1/plan",
            "/api/v1/status",
            "/api/v1/explain?subject=a-0",
            "/api/v1/sets/spring",
        ];
        let asking = paths.map(|path| scope.spawn(|| web.get(path)));
        gate.wait_for(2);
        web.get("/-/healthy").json(200);
        assert!(!gate.holds_within(3, LONG_ENOUGH));
        gate.open();
        for answer in asking {
            answer.join().unwrap().json(200);
        }
    });
}

#[test]
fn what_nobody_waits_for_any_more_keeps_its_turn_until_it_is_done() {
    let house = House::new();
    let (mut app, gate) = gated(&house);
    app.limits.heavy_reads = 1;
    app.limits.request = Duration::from_millis(200);
    let web = Web::open(app);
    for _ in 0..2 {
        web.get("/api/v1/plan").refusal(503);
    }
    gate.wait_for(1);
    assert!(!gate.holds_within(2, LONG_ENOUGH));
    gate.open();
}

#[test]
fn stopping_answers_what_is_under_way_and_accepts_nothing_more() {
    let house = House::new();
    let (app, gate) = gated(&house);
    let mut web = Web::open(app);
    let mut idle = web.visit();
    let mut visit = web.visit();
    visit.say(&request("GET", "/api/v1/plan", &["Host: localhost"], ""));
    gate.wait_for(1);
    web.stop();
    assert_eq!(idle.rest(), "");
    gate.open();
    visit.answer().json(200);
    web.wait();
    std::net::TcpStream::connect(web.address).unwrap_err();
}

#[test]
fn every_answer_is_sealed_against_browsers() {
    let house = House::new();
    let web = house.open();
    let sealed = |answer: Answer, status: u16| {
        assert_eq!(answer.status, status, "{answer:?}");
        answer.has("cache-control: no-store");
        answer.has("x-content-type-options: nosniff");
        answer.has("content-security-policy: default-src 'none'");
    };
    sealed(web.get("/api/v1/status"), 200);
    sealed(web.get("/metrics"), 200);
    sealed(web.get("/nowhere"), 404);
    sealed(web.ask("PUT", "/metrics", &[], ""), 405);
    sealed(web.ask("POST", "/-/reload", &[], ""), 401);
    sealed(web.ask("GET", "/-/ready", &["Origin: null"], ""), 403);
    sealed(
        web.ask_as("GET", "/-/ready", &["Host: evil.example"], ""),
        421,
    );
    sealed(web.post("/api/v1/resume", &" ".repeat(2 << 20)), 413);
}

#[test]
fn what_is_not_there_or_not_for_this_method_is_said_as_json() {
    let house = House::new();
    let web = house.open();
    for path in [
        "/",
        "/api/v1/status/",
        "/api/v1",
        "/-/quit",
        "/api/v1/../../etc/passwd",
    ] {
        conforms("error", &web.get(path).json(404));
    }
    web.post("/", "").refusal(404);
    for (method, path, allowed) in [
        ("DELETE", "/api/v1/status", "allow: get,head"),
        ("OPTIONS", "/api/v1/plan", "allow: get,head"),
        ("GET", "/-/reload", "allow: post"),
        ("POST", "/metrics", "allow: get,head"),
    ] {
        let answer = web.ask(method, path, &[], "");
        answer.has(allowed);
        answer.refusal(405);
    }
    for path in ["/-/healthy", "/-/ready", "/metrics", "/api/v1/status"] {
        let (head, whole) = (web.ask("HEAD", path, &[], ""), web.get(path));
        assert_eq!((head.status, &*head.body), (200, ""), "{path}");
        head.has(&format!("content-length: {}", whole.body.len()));
    }
}

#[test]
fn markup_and_line_breaks_of_others_come_back_as_json_strings_only() {
    let house = House::new();
    let web = house.open();
    let evil = "<script>alert(1)</script>\r\nX-Evil: 1\r\n\r\n\u{202e}";
    let encoded: Vec<String> = evil.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let encoded = encoded.concat();
    let explained = web.get(&format!("/api/v1/explain?subject={encoded}"));
    assert_eq!(explained.json(200)["subject"], evil);
    let in_error = [
        web.get(&format!("/api/v1/sets/{encoded}")),
        web.get(&format!("/api/v1/requests/{encoded}")),
        web.post("/api/v1/suspend", &json!({ "set": evil }).to_string()),
        web.post("/api/v1/suspend", &json!({ evil: evil }).to_string()),
        web.post("/api/v1/invalidate", &json!({ "urls": [evil] }).to_string()),
    ];
    for answer in in_error.into_iter().chain([explained]) {
        answer.has("content-type: application/json");
        answer.has("x-content-type-options: nosniff");
        assert!(!answer.head.contains("evil"), "{answer:?}");
        let document: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(document.to_string().contains("<script>"), "{answer:?}");
    }
    let reason = json!({ "set": "spring", "reason": evil }).to_string();
    web.post("/api/v1/invalidate", &reason).json(202);
    web.get("/api/v1/status").json(200);
}

#[test]
fn the_document_names_every_operation_and_nothing_else() {
    let house = House::new();
    let web = house.open();
    let served = web.get("/api/v1/openapi.json").json(200);
    let committed = std::fs::read_to_string("schemas/openapi.json").unwrap();
    assert_eq!(served, serde_json::from_str::<Value>(&committed).unwrap());
    for (method, path, _) in operations() {
        let answer = web.ask(&method, &path, &[], "");
        assert_ne!(answer.status, 405, "{method} {path}");
        let is_nowhere = answer.body.contains("there is nothing at");
        assert!(!is_nowhere, "{method} {path}: {answer:?}");
    }
    // Nothing is routed but what the list of operations holds.
    let sources = std::fs::read_dir("src/web").unwrap();
    let sources = sources.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let routed: usize = sources.map(|text| text.matches(".route(").count()).sum();
    assert_eq!(routed, 1);
}

#[test]
fn whatever_the_document_refers_to_is_in_it() {
    let text = std::fs::read_to_string("schemas/openapi.json").unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let references = text.split(r##""$ref": "#"##).skip(1);
    let references: Vec<&str> = references
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    for (method, path, operation) in operations() {
        let is_secured = operation.get("security").is_some();
        assert_eq!(is_secured, method == "POST", "{method} {path}");
    }
}
