//! A daemon under test: the real program, its log, and a way to talk to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::world::World;

/// Longer than anything here takes, on any machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running daemon; killed when dropped.
pub(crate) struct Keeper {
    pub(crate) child: Child,
    log: Arc<Mutex<String>>,
    address: String,
}

/// What the web answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Keeper {
    /// Starts `freshen run` in the folder of `world`, and waits until it has
    /// read the manifests.
    pub(crate) fn start(world: &World, arguments: &[&str]) -> Self {
        Self::start_with(world.daemon(arguments))
    }

    /// Starts `command`, which runs the daemon.
    pub(crate) fn start_with(command: Command) -> Self {
        let keeper = Self::launch(command);
        keeper.wait_for_log("ready");
        keeper
    }

    /// Starts `command`, which runs the daemon, and waits for its address.
    pub(crate) fn launch(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().unwrap();
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut keeper = Self {
            child,
            log,
            address: String::new(),
        };
        keeper.wait_for_log("listening");
        let log = keeper.log();
        let address = log.split("address=").nth(1).unwrap();
        address
            .split_whitespace()
            .next()
            .unwrap()
            .clone_into(&mut keeper.address);
        keeper
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has logged `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        self.wait_until(&format!("`{text}` in the log"), |keeper| {
            keeper.log().contains(text)
        });
    }

    /// Waits until `is_so`.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain: {what}\n{}",
                self.log()
            );
            std::thread::yield_now();
        }
    }

    /// Passes that have ended.
    pub(crate) fn passes(&self) -> usize {
        self.log().matches(" pass ").count()
    }

    /// Asks the web for a page.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\n"), "")
    }

    /// Posts to the web with the token of [`World::token`].
    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        let head = format!(
            "POST {path} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        self.ask(&head, body)
    }

    fn ask(&self, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let address = &self.address;
        write!(
            stream,
            "{head}Host: {address}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            body: body.to_owned(),
        }
    }

    /// The value of a metric, by its name and labels as they are written.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let page = self.get("/metrics").body;
        let line = page.lines().find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(' '))
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
    }

    /// Sends it a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end, and returns its exit code.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "no end: {}", self.log());
            std::thread::yield_now();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What [`World::daemon`] lets change something.
pub(crate) const TOKEN: &str = "a-token-for-tests";
