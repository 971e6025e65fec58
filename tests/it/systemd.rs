//! What a service manager hears, on a socket of its own.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::time::Duration;

use freshen::daemon::systemd::Notifier;

/// Longer than anything here takes, on any machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The daemon's part: only this process has the socket in its environment.
#[test]
fn child_that_notifies() {
    if std::env::var_os("FRESHEN_TEST_NOTIFY").is_none() {
        return;
    }
    let mut notifier = Notifier::from_environment();
    assert_eq!(notifier.interval(), Some(Duration::from_secs(1)));
    notifier.ready();
    notifier.status(&format!("a\nREADY=1\u{1b}[31m {}", "ü".repeat(1_000)));
    for now_ms in [0, 999, 1_000, 1_001] {
        notifier.progress(now_ms);
    }
    let reload = std::panic::catch_unwind(|| {
        let _reloading = notifier.reloading();
        panic!("the reload failed");
    });
    assert!(reload.is_err());
    notifier.stopping();
}

/// All that the manager at `socket`, known as `name`, hears from a child.
fn heard(socket: &UnixDatagram, name: &str) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "systemd::child_that_notifies"])
        .env("FRESHEN_TEST_NOTIFY", "1")
        .env("NOTIFY_SOCKET", name)
        .env("WATCHDOG_USEC", "2000000")
        .env_remove("WATCHDOG_PID")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut messages = Vec::new();
    while messages.last().is_none_or(|last| last != "STOPPING=1\n") {
        let mut bytes = [0; 8192];
        let length = socket.recv(&mut bytes).unwrap();
        messages.push(String::from_utf8(bytes[..length].to_vec()).unwrap());
    }
    assert!(child.wait().unwrap().success());
    messages
}

fn check(messages: &[String]) {
    let [ready, status, first, second, reloading, reloaded, stopping] = messages else {
        panic!("{messages:#?}");
    };
    assert_eq!(ready, "READY=1\n");
    let status = status.strip_prefix("STATUS=").unwrap();
    assert!(
        status.starts_with("a\\u{a}READY=1\\u{1b}[31m üü"),
        "{status}"
    );
    assert_eq!(status.find('\n'), Some(status.len() - 1));
    assert!(status.len() <= 1_024 + 1);
    assert_eq!([first, second], ["WATCHDOG=1\n", "WATCHDOG=1\n"]);
    let at = reloading
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .unwrap();
    assert!(at.trim_end().parse::<u64>().unwrap() > 0, "{reloading}");
    assert_eq!(reloaded, "READY=1\n");
    assert_eq!(stopping, "STOPPING=1\n");
}

#[test]
fn a_service_manager_hears_the_whole_life_of_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    check(&heard(&socket, path.to_str().unwrap()));
}

#[test]
fn an_abstract_socket_is_as_good_as_a_path() {
    let name = format!("freshen-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    check(&heard(&socket, &format!("@{name}")));
}
