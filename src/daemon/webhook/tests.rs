//! Against a real server on loopback.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write secrets and look at the clock"
)]

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header::LOCATION};
use axum::response::{IntoResponse as _, Response};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;
use crate::report::alert::{AlertKind, AlertedSet};

/// Longer than anything here takes, on any machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A pace at which tests can wait for the last try.
const QUICK: Pace = Pace {
    timeout: Duration::from_millis(300),
    tries: 5,
    first_wait: Duration::from_millis(1),
};

/// What a sink does with a call.
#[derive(Clone, Copy, Debug)]
enum Does {
    Answer(u16),
    Redirect,
    Hang,
}

/// A sink that follows a script, then takes everything.
#[derive(Clone, Default)]
struct Script {
    doings: Arc<Mutex<VecDeque<Does>>>,
    calls: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Script {
    /// Serves it; the URL to post to.
    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(called).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/hook?token=s3cret")
    }

    fn messages(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let bodies = calls.iter().map(|(_, body)| body);
        let values = bodies.map(|body| serde_json::from_slice::<serde_json::Value>(body).unwrap());
        values
            .map(|value| value["reason"].as_str().unwrap().to_owned())
            .collect()
    }
}

async fn called(State(script): State<Script>, headers: HeaderMap, body: Bytes) -> Response {
    script.calls.lock().unwrap().push((headers, body));
    let doing = script.doings.lock().unwrap().pop_front();
    match doing.unwrap_or(Does::Answer(200)) {
        Does::Answer(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Does::Redirect => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/other")]).into_response(),
        Does::Hang => std::future::pending().await,
    }
}

fn script(doings: &[Does]) -> Script {
    Script {
        doings: Arc::new(Mutex::new(doings.iter().copied().collect())),
        ..Script::default()
    }
}

fn alert(reason: &str) -> Alert {
    Alert {
        kind: AlertKind::Failed,
        was: None,
        cdn: Some("dm".to_owned()),
        reason: reason.to_owned(),
        sets: vec![AlertedSet {
            name: "spring".to_owned(),
            items: None,
            plan: None,
        }],
        since_ms: 0,
        at_ms: 0,
    }
}

fn alerts(count: usize) -> Vec<Alert> {
    (0..count).map(|n| alert(&n.to_string())).collect()
}

struct Started {
    webhook: Webhook,
    metrics: Arc<Metrics>,
}

fn start(url: &str, secret_file: Option<&str>) -> Started {
    let metrics = Arc::new(Metrics::default());
    let sink = Sink::new(url, secret_file).unwrap();
    let webhook = Webhook::start_at(sink, Arc::clone(&metrics), QUICK).unwrap();
    Started { webhook, metrics }
}

impl Started {
    /// How many ended like this.
    fn count(&self, result: &str) -> u64 {
        count(&self.metrics, result)
    }
}

fn count(metrics: &Metrics, result: &str) -> u64 {
    let text = metrics.render(0);
    let name = format!("freshen_notifications_total{{result=\"{result}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&name));
    value.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn alerts_arrive_in_order_as_json() {
    let script = script(&[]);
    let Started { webhook, metrics } = start(&script.serve().await, None);
    webhook.send(&alerts(20));
    webhook.stop(PATIENCE).await;
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(script.messages(), expected);
    assert_eq!(count(&metrics, "delivered"), 20);
    let calls = script.calls.lock().unwrap();
    let (headers, _) = &calls[0];
    assert_eq!(headers["content-type"], "application/json");
    assert!(!headers.contains_key("x-freshen-signature"));
}

#[tokio::test]
async fn a_signature_is_of_the_body_and_of_the_secret_as_it_is_now() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let script = script(&[]);
    let started = start(&script.serve().await, file.to_str());
    for (secret, calls) in [("first\n", 1), ("second\n", 2)] {
        std::fs::write(&file, secret).unwrap();
        started.webhook.send(&alerts(1));
        wait_until("it was delivered", || started.count("delivered") == calls).await;
        let calls = script.calls.lock().unwrap();
        let (headers, body) = calls.last().unwrap();
        let signature = headers["x-freshen-signature"].to_str().unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.trim().as_bytes()).unwrap();
        mac.update(body);
        let told = signature.strip_prefix("sha256=").unwrap();
        let told: Vec<u8> = (0..told.len() / 2)
            .map(|at| u8::from_str_radix(&told[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        mac.verify_slice(&told).unwrap();
    }
}

#[tokio::test]
async fn without_its_secret_nothing_is_sent() {
    let script = script(&[]);
    let Started { webhook, metrics } = start(&script.serve().await, Some("/nowhere/secret"));
    webhook.send(&alerts(1));
    webhook.stop(PATIENCE).await;
    assert_eq!(script.calls.lock().unwrap().len(), 0);
    assert_eq!(count(&metrics, "failed"), 1);
}

#[tokio::test]
async fn a_sink_that_recovers_gets_what_it_missed_and_in_order() {
    let script = script(&[Does::Answer(500), Does::Answer(503), Does::Hang]);
    let Started { webhook, metrics } = start(&script.serve().await, None);
    webhook.send(&alerts(2));
    webhook.stop(PATIENCE).await;
    assert_eq!(script.messages(), ["0", "0", "0", "0", "1"]);
    assert_eq!(count(&metrics, "delivered"), 2);
}

#[tokio::test]
async fn a_sink_that_stays_down_gets_five_tries_and_holds_up_none_after_it() {
    let script = script(&[Does::Answer(500); 5]);
    let Started { webhook, metrics } = start(&script.serve().await, None);
    webhook.send(&alerts(2));
    webhook.stop(PATIENCE).await;
    assert_eq!(script.messages(), ["0", "0", "0", "0", "0", "1"]);
    assert_eq!(count(&metrics, "failed"), 1);
    assert_eq!(count(&metrics, "delivered"), 1);
}

#[tokio::test]
async fn a_sink_that_hangs_is_given_up() {
    let script = script(&[Does::Hang; 5]);
    let Started { webhook, metrics } = start(&script.serve().await, None);
    webhook.send(&alerts(1));
    webhook.stop(PATIENCE).await;
    assert_eq!(script.calls.lock().unwrap().len(), 5);
    assert_eq!(count(&metrics, "failed"), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_refusal_not_repeated() {
    let script = script(&[Does::Redirect, Does::Answer(404)]);
    let Started { webhook, metrics } = start(&script.serve().await, None);
    webhook.send(&alerts(3));
    webhook.stop(PATIENCE).await;
    assert_eq!(script.messages(), ["0", "1", "2"]);
    assert_eq!(count(&metrics, "failed"), 2);
}

#[tokio::test]
async fn a_sink_that_hangs_holds_up_nobody_and_the_newest_hundred_are_kept() {
    let script = script(&[Does::Hang]);
    let metrics = Arc::new(Metrics::default());
    let sink = Sink::new(&script.serve().await, None).unwrap();
    let patient = Pace {
        timeout: PATIENCE * 10,
        ..QUICK
    };
    let webhook = Webhook::start_at(sink, Arc::clone(&metrics), patient).unwrap();
    webhook.send(&alerts(1));
    wait_until("it is under way", || {
        script.calls.lock().unwrap().len() == 1
    })
    .await;
    // Nothing is awaited from here on: handing over cannot wait.
    webhook.send(&alerts(250));
    assert_eq!(count(&metrics, "dropped"), 150);
    webhook.stop(Duration::from_millis(10)).await;
    // A hundred that waited, and the one under way.
    assert_eq!(count(&metrics, "dropped"), 150 + 101);
    assert_eq!(script.messages(), ["0"]);
}

#[tokio::test]
async fn nobody_listening_is_a_failure_like_any_other() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let Started { webhook, metrics } = start(&url, None);
    webhook.send(&alerts(2));
    webhook.stop(PATIENCE).await;
    assert_eq!(count(&metrics, "failed"), 2);
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::task::yield_now().await;
    }
}
