//! What stands between the program and a CDN: certificates and proxies.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::keeper::Keeper;
use crate::program::{Run, run};
use crate::service::read_request;
use crate::world::{World, address_of};

/// First byte of a connection that begins with a TLS handshake.
const HANDSHAKE: u8 = 22;

/// An authority that signs certificates; who trusts it is for a test to say.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// The secret half of a server called `host`.
    fn certify(&self, host: &str, is_expired: bool) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        if is_expired {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

/// What a server was sent first, by connection.
type Seen<T> = Arc<Mutex<Vec<T>>>;

/// Puts TLS before the service at `service`; tells the first byte of each
/// connection.
fn put_tls_before(service: SocketAddr, config: Arc<ServerConfig>) -> (SocketAddr, Seen<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Seen<u8> = Arc::default();
    let first_bytes = Arc::clone(&seen);
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut first = [0];
            if client.peek(&mut first).unwrap() == 0 {
                continue;
            }
            first_bytes.lock().unwrap().push(first[0]);
            let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            if tls.complete_io(&mut client).is_err() {
                continue;
            }
            let mut client = Stream::new(&mut tls, &mut client);
            let (head, body) = read_request(&mut client);
            let head = head.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1);
            let mut behind = TcpStream::connect(service).unwrap();
            behind.write_all((head + &body).as_bytes()).unwrap();
            let mut answer = Vec::new();
            behind.read_to_end(&mut answer).unwrap();
            client.write_all(&answer).unwrap();
            client.conn.send_close_notify();
            client.flush().unwrap();
        }
    });
    (address, seen)
}

/// A world whose Cdn is at `https://<host>`, and the service behind it.
fn secured(host: &str) -> (World, SocketAddr) {
    let world = World::new("");
    let url = world.sandbox.url();
    let cdn = world.cdn("dynamic-media", "");
    let cdn = cdn.replace(&url, &format!("https://{host}"));
    world.write("manifests/cdn.yaml", &cdn);
    world.set("set", "  assets: [a]");
    let service = address_of(&world.sandbox);
    (world, service)
}

/// A reconcile about to be started, which trusts `authority` alone.
fn reconcile(world: &World, authority: &Authority) -> Command {
    world.write("authority.pem", &authority.pem);
    let mut command = world.command(&["reconcile", "--max-time", "1s"]);
    command.env("SSL_CERT_FILE", "authority.pem");
    command
}

/// Reconciles at `localhost` behind TLS, which must end with `code`. Returns
/// what was said, and how many calls came through.
fn reconcile_behind(config: Arc<ServerConfig>, trusted: &Authority, code: i32) -> (String, usize) {
    let (world, service) = secured("localhost:1");
    let (address, seen) = put_tls_before(service, config);
    let path = world.folder().join("manifests/cdn.yaml");
    let cdn = std::fs::read_to_string(path).unwrap();
    let cdn = cdn.replace("localhost:1", &format!("localhost:{}", address.port()));
    world.write("manifests/cdn.yaml", &cdn);
    let ended = run(&mut reconcile(&world, trusted));
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, code, "{said}");
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty(), "nobody called: {said}");
    assert!(seen.iter().all(|first| *first == HANDSHAKE), "{seen:?}");
    (said, world.sandbox.calls().len())
}

#[test]
fn a_private_authority_is_trusted_where_the_operator_names_it() {
    let ours = Authority::new();
    let config = ours.certify("localhost", false);
    let (said, calls) = reconcile_behind(config, &ours, 0);
    assert!(said.contains("1 URL accepted"), "{said}");
    assert_eq!(calls, 2, "the look-up, and the URL");
}

#[test]
fn a_certificate_that_does_not_hold_stops_the_target_and_nothing_is_sent_in_the_clear() {
    let (ours, others) = (Authority::new(), Authority::new());
    let bad = [
        (ours.certify("localhost", true), "certificate expired"),
        (ours.certify("other.example", false), "not valid for name"),
        (others.certify("localhost", false), "BadSignature"),
    ];
    for (config, cause) in bad {
        let (said, calls) = reconcile_behind(config, &ours, 4);
        let hints = ["this machine's clock", "SSL_CERT_FILE"];
        for part in [&["misconfigured: no secure connection", cause], &hints[..]].concat() {
            assert!(said.contains(part), "no `{part}` in: {said}");
        }
        assert_eq!(calls, 0, "{said}");
    }
}

/// A proxy that leads every tunnel to `end` and answers everything else itself;
/// tells the first line of each request.
fn proxy(end: SocketAddr) -> (String, Seen<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Seen<String> = Arc::default();
    let lines = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let (head, _) = read_request(&client);
            let line = head.lines().next().unwrap().to_owned();
            let is_tunnel = line.starts_with("CONNECT ");
            lines.lock().unwrap().push(line);
            if !is_tunnel {
                let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                client.write_all(answer).unwrap();
                continue;
            }
            let answer = b"HTTP/1.1 200 Connection established\r\n\r\n";
            client.write_all(answer).unwrap();
            let server = TcpStream::connect(end).unwrap();
            relay(client.try_clone().unwrap(), server.try_clone().unwrap());
            relay(server, client);
        }
    });
    (url, asked)
}

/// Passes on whatever comes, on a thread of its own.
fn relay(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        // Either side may hang up whenever it likes.
        drop(std::io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
}

/// Reconciles at `https://ips.example` with a proxy at hand, named by these
/// variables, and others beside. Returns how it ended, and what the proxy was
/// asked for.
fn reconcile_far_away(named_by: &[&str], others: &[(&str, &str)]) -> (Run, Vec<String>) {
    let authority = Authority::new();
    let (world, service) = secured("ips.example");
    let config = authority.certify("ips.example", false);
    let (address, _) = put_tls_before(service, config);
    let (url, asked) = proxy(address);
    let mut command = reconcile(&world, &authority);
    command
        .args(["--allow-endpoint", "https://ips.example"])
        .envs(named_by.iter().map(|name| (*name, &*url)))
        .envs(others.iter().copied());
    let ended = run(&mut command);
    let asked = asked.lock().unwrap().clone();
    (ended, asked)
}

#[test]
fn calls_go_through_the_proxy_that_the_environment_names() {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let (ended, asked) = reconcile_far_away(&[name], &[("NO_PROXY", "other.example")]);
        assert_eq!(ended.code, 0, "{name}: {}", ended.stdout);
        assert!(ended.stdout.contains("1 URL accepted"), "{}", ended.stdout);
        assert!(!asked.is_empty(), "{name} was not asked");
        let is_tunnel = |line: &String| line.starts_with("CONNECT ips.example:443 ");
        assert!(asked.iter().all(is_tunnel), "{asked:?}");
    }
}

#[test]
fn hosts_that_need_no_proxy_are_called_without_one() {
    for spared in ["ips.example", ".example", "other.example, ips.example", "*"] {
        let all = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];
        let (ended, asked) = reconcile_far_away(&all, &[("NO_PROXY", spared)]);
        assert_eq!((ended.code, asked), (4, Vec::new()), "{spared}");
        let said = ended.stdout;
        assert!(said.contains("no connection"), "{spared}: {said}");
    }
}

#[test]
fn nothing_on_loopback_goes_through_a_proxy() {
    let world = World::new("");
    world.set("set", "  assets: [a]");
    let (url, asked) = proxy(([127, 0, 0, 1], 1).into());
    let names = ["HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "ALL_PROXY"];
    let mut command = world.command(&["reconcile"]);
    let ended = run(command.envs(names.map(|name| (name, &*url))));
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert_eq!(asked.lock().unwrap().len(), 0);
}

#[test]
fn notifications_go_through_the_proxy_for_plain_http() {
    let world = World::new("");
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a]");
    let (url, asked) = proxy(([127, 0, 0, 1], 1).into());
    let sink = "http://alerts.example/hook";
    let mut daemon = world.daemon(&["--bootstrap", "adopt", "--notify", sink]);
    daemon.env("http_proxy", url);
    let keeper = Keeper::start_with(daemon);
    keeper.wait_until("the first pass", |keeper| keeper.passes() > 0);
    world.set("set", "  limits: { maxUrls: 1 }\n  assets: [a, b, c]");
    keeper.wait_until("a notification", |_| {
        let asked = asked.lock().unwrap();
        asked.contains(&format!("POST {sink} HTTP/1.1"))
    });
}
