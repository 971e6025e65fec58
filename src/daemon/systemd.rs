//! What the service manager is told (edge: environment, sockets).
//!
//! Without `NOTIFY_SOCKET` nothing is sent, and a message that cannot be sent
//! is nobody's trouble. The watchdog is fed by the loop's progress alone: a
//! timer of its own would keep a stuck daemon alive.
#![expect(
    clippy::disallowed_methods,
    reason = "the service manager names its socket in the environment"
)]

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::report::escape;

/// Bytes of a status, at most: a message has to fit into one datagram.
const MAX_STATUS: usize = 1024;

/// A service manager that does not read holds nobody up for longer.
const PATIENCE: Duration = Duration::from_millis(250);

/// Tells the service manager, where there is one.
#[derive(Debug, Default)]
pub struct Notifier {
    address: Option<SocketAddr>,
    watchdog: Option<Watchdog>,
}

#[derive(Clone, Copy, Debug)]
struct Watchdog {
    every_ms: i64,
    fed_ms: Option<i64>,
}

/// A reload under way; over when it is dropped, however that comes about.
#[derive(Debug)]
#[must_use = "a reload is over when this is dropped"]
pub struct Reloading<'a>(&'a Notifier);

impl Notifier {
    /// As the environment says.
    pub fn from_environment() -> Self {
        let address = std::env::var_os("NOTIFY_SOCKET");
        let every = sd_notify::watchdog_enabled().map(|interval| interval / 2);
        Self {
            address: address.and_then(|address| parse(&address)),
            watchdog: every.map(|every| Watchdog {
                every_ms: i64::try_from(every.as_millis()).unwrap_or(i64::MAX),
                fed_ms: None,
            }),
        }
    }

    /// The daemon is up.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The manifests are read again because somebody asked for it.
    pub fn reloading(&self) -> Reloading<'_> {
        // Without the time systemd would wait for this reload until it gives up.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.tell(&[NotifyState::Reloading, now]);
        }
        Reloading(self)
    }

    /// The daemon is about to end.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        let text = escape::terminal(text);
        let end = text.floor_char_boundary(MAX_STATUS);
        self.tell(&[NotifyState::Status(&text[..end])]);
    }

    /// The loop has come round, at `now_ms` of a clock that never jumps.
    pub fn progress(&mut self, now_ms: i64) {
        if self
            .watchdog
            .as_mut()
            .is_some_and(|watchdog| watchdog.is_due(now_ms))
        {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    /// How often the loop has to come round, where somebody watches it.
    pub fn interval(&self) -> Option<Duration> {
        let watchdog = self.watchdog?;
        Some(Duration::from_millis(watchdog.every_ms.unsigned_abs()))
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if let Some(address) = &self.address {
            let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
            drop(send(address, (lines.join("\n") + "\n").as_bytes()));
        }
    }
}

impl Drop for Reloading<'_> {
    fn drop(&mut self) {
        self.0.ready();
    }
}

impl Watchdog {
    fn is_due(&mut self, now_ms: i64) -> bool {
        let is_due = self
            .fed_ms
            .is_none_or(|fed_ms| now_ms - fed_ms >= self.every_ms);
        if is_due {
            self.fed_ms = Some(now_ms);
        }
        is_due
    }
}

/// A path, or an abstract name after `@`, which `sd_notify` would take for a path.
fn parse(address: &OsStr) -> Option<SocketAddr> {
    match address.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(name).ok()
        }
        [b'/', ..] => SocketAddr::from_pathname(address).ok(),
        _ => None,
    }
}

fn send(address: &SocketAddr, message: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.send_to_addr(message, address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifier(address: Option<SocketAddr>, every_ms: i64) -> Notifier {
        Notifier {
            address,
            watchdog: Some(Watchdog {
                every_ms,
                fed_ms: None,
            }),
        }
    }

    #[test]
    fn the_watchdog_is_fed_at_most_at_its_interval_and_never_without_progress() {
        let mut watchdog = Watchdog {
            every_ms: 500,
            fed_ms: None,
        };
        let fed = [0, 499, 500, 999, 1_000, 60_000].map(|now_ms| watchdog.is_due(now_ms));
        assert_eq!(fed, [true, false, true, false, true, true]);
    }

    #[test]
    fn without_a_socket_nothing_happens() {
        let mut notifier = notifier(None, 0);
        notifier.ready();
        notifier.status("fine");
        drop(notifier.reloading());
        notifier.progress(0);
        assert!(parse(OsStr::new("relative")).is_none());
        assert!(parse(OsStr::new("")).is_none());
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let filler = UnixDatagram::unbound().unwrap();
        filler.set_nonblocking(true).unwrap();
        while filler.send_to(b"READY=1", &path).is_ok() {}
        let notifier = notifier(Some(SocketAddr::from_pathname(&path).unwrap()), 0);
        // Without a time-out this never returns.
        notifier.ready();
    }

    #[test]
    fn a_socket_that_is_gone_is_nobodys_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        notifier(Some(SocketAddr::from_pathname(path).unwrap()), 0).ready();
    }
}
