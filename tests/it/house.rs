//! A daemon's web over a state that is held, and visitors who speak HTTP as
//! they like.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use freshen::daemon::health::Health;
use freshen::declare::Declared;
use freshen::reconcile::inbox;
use freshen::sandbox::{Options, Sandbox};
use freshen::state::{Holder, Store};
use freshen::submit::clock::Clock as _;
use freshen::web::{App, Limits, Reloading, TokenFile, serve};
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use crate::site::{START_MS, Site, UNLIMITED, assets};

/// Longer than any answer takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is in the token's file at first.
pub(crate) const TOKEN: &str = "first-token";

/// A set that was sent, one that waits for approval, a state that is held, and
/// everything a daemon lends its web.
pub(crate) struct House {
    pub(crate) site: Site,
    pub(crate) store: Store,
    pub(crate) health: Arc<Health>,
    pub(crate) steady_ms: Arc<AtomicI64>,
    pub(crate) hints: Arc<AtomicUsize>,
    pub(crate) declared: watch::Sender<Option<Arc<Declared>>>,
    _sandbox: Sandbox,
}

impl House {
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        let site = Site::new(1);
        site.cdn("media", &sandbox, &[UNLIMITED]);
        site.set("spring", &[assets("a", 3)]);
        let limits = "limits: { maxUrls: 1 }".to_owned();
        site.set("large", &[limits, assets("b", 2)]);
        std::fs::write(site.folder().join("token"), TOKEN).unwrap();
        let holder = Holder {
            pid: 1,
            host: "here".to_owned(),
            command: "freshen run".to_owned(),
            since_ms: START_MS,
        };
        let state = site.folder().join("freshen.db");
        let mut store = Store::open(&state, &holder, START_MS).unwrap();
        site.reconcile(&mut store);
        let health = Arc::new(Health::default());
        health.beat(0);
        health.scanned();
        health.state_is_writable(true);
        Self {
            declared: watch::Sender::new(Some(Arc::new(site.declared()))),
            site,
            store,
            health,
            steady_ms: Arc::default(),
            hints: Arc::default(),
            _sandbox: sandbox,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.site.folder()
    }

    /// What the daemon would lend its web.
    pub(crate) fn app(&self) -> App {
        let now_ms = self.site.clock.now_ms();
        let (steady_ms, hints) = (Arc::clone(&self.steady_ms), Arc::clone(&self.hints));
        let declared = self.declared.subscribe();
        App {
            state: self.folder().join("freshen.db"),
            declared: self.declared.subscribe(),
            health: Arc::clone(&self.health),
            now_ms: Box::new(move || now_ms),
            steady_ms: Box::new(move || steady_ms.load(Ordering::SeqCst)),
            metrics: Box::new(|| "# EOF\n".to_owned()),
            hint: Box::new(move || {
                hints.fetch_add(1, Ordering::SeqCst);
            }),
            reload: Box::new(move || -> Reloading {
                let read = declared.borrow().clone();
                Box::pin(async move { read.ok_or_else(|| "nothing was read".to_owned()) })
            }),
            token: Some(self.token_file()),
            hosts: Vec::new(),
            limits: Limits::default(),
        }
    }

    pub(crate) fn token_file(&self) -> TokenFile {
        TokenFile::new(self.folder().join("token").to_str().unwrap())
    }

    /// Answers requests, as the holder does within a second.
    pub(crate) fn answer_requests(&mut self) -> usize {
        let declared = self.site.declared();
        inbox::answer_requests(&declared, &mut self.store, self.site.clock.now_ms()).unwrap()
    }

    /// The web as it stands after a start.
    pub(crate) fn open(&self) -> Web {
        Web::open(self.app())
    }
}

/// A web that is being served; it ends when this is dropped.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    pub(crate) fn open(app: App) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                serve(listener, Arc::new(app), async { drop(stopped.await) }).await;
            });
            runtime.shutdown_background();
        });
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Asks it to stop.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped.
    pub(crate) fn wait(&mut self) {
        self.thread.take().unwrap().join().unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    /// Asks for a change, with the token.
    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[&bearer(TOKEN)], body)
    }

    /// Asks under the server's own address, with these headers.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let host = format!("Host: {}", self.address);
        self.ask_as(method, path, &[&[&*host], headers].concat(), body)
    }

    /// Asks with these headers and no others.
    pub(crate) fn ask_as(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut visit = self.visit();
        visit.say(&request(method, path, headers, body));
        visit.answer()
    }

    pub(crate) fn visit(&self) -> Visit {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Visit(stream)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _panicked_and_said_so = thread.join();
        }
    }
}

/// A whole request.
pub(crate) fn request(method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    if !body.is_empty() {
        write!(request, "Content-Length: {}\r\n", body.len()).unwrap();
    }
    request + "\r\n" + body
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// A connection.
pub(crate) struct Visit(TcpStream);

impl Visit {
    /// Says as much of `text` as the server takes in.
    pub(crate) fn say(&mut self, text: &str) {
        // A server that has heard enough hangs up.
        let _heard_enough = self.0.write_all(text.as_bytes());
    }

    /// Whether anything comes back before `patience` is over.
    pub(crate) fn is_answered_within(&mut self, patience: Duration) -> bool {
        self.0.set_read_timeout(Some(patience)).unwrap();
        let is_answered = self.0.peek(&mut [0]).is_ok();
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        is_answered
    }

    /// All that comes until the server hangs up.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        String::from_utf8(rest).unwrap()
    }

    pub(crate) fn answer(mut self) -> Answer {
        let rest = self.rest();
        let (head, body) = rest
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {rest:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The document, of an answer with this status.
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.has("content-type: application/json");
        serde_json::from_str(&self.body).unwrap()
    }

    /// What is wrong, and the hint.
    pub(crate) fn refusal(&self, status: u16) -> String {
        let json = self.json(status);
        assert_eq!(json["format"], "freshen.error/v1");
        let hint = json["hint"].as_str().unwrap_or_default();
        format!("{} | {hint}", json["error"].as_str().unwrap())
    }

    /// The answer has this line among its headers.
    pub(crate) fn has(&self, header: &str) {
        assert!(self.head.lines().any(|line| line == header), "{self:?}");
    }
}

/// Where visitors wait until they are let go on.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    inside: usize,
    is_open: bool,
}

impl Gate {
    /// Waits until the gate is opened.
    pub(crate) fn pass(&self) {
        let mut waiting = self.state.lock().unwrap();
        waiting.inside += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(waiting, |waiting| !waiting.is_open));
    }

    /// Whether so many wait there before `patience` is over.
    pub(crate) fn holds_within(&self, count: usize, patience: Duration) -> bool {
        let waiting = self.state.lock().unwrap();
        let waited = self
            .changed
            .wait_timeout_while(waiting, patience, |waiting| waiting.inside < count);
        waited.unwrap().0.inside >= count
    }

    /// Waits until so many wait there.
    pub(crate) fn wait_for(&self, count: usize) {
        assert!(self.holds_within(count, PATIENCE), "waited in vain");
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().is_open = true;
        self.changed.notify_all();
    }
}
