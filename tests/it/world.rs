//! A folder of manifests, a sandbox, and the program between them.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use freshen::sandbox::{Options, Sandbox};
use tempfile::TempDir;

use crate::program::{Run, command, run};

/// Longer than anything here takes, on any machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Where URLs of the tests live.
pub(crate) const ROOT: &str = "https://s7d1.scene7.com/is/image/AcmeCorp";

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    folder: TempDir,
}

impl World {
    /// A sandbox, and a Cdn manifest that points at it; `spec` is added to it.
    pub(crate) fn new(spec: &str) -> Self {
        Self::with(Options::default(), spec)
    }

    /// The same, with a sandbox of these options.
    pub(crate) fn with(options: Options, spec: &str) -> Self {
        let world = Self {
            sandbox: Sandbox::start(options).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        world.write("manifests/cdn.yaml", &world.cdn("dynamic-media", spec));
        world
    }

    /// A Cdn manifest that points at the sandbox, in no hurry about rates
    /// unless `spec` says otherwise.
    pub(crate) fn cdn(&self, name: &str, spec: &str) -> String {
        let rate = if spec.contains("rateLimit") {
            ""
        } else {
            "rateLimit: { requests: 100000/1s, urls: 100000000/1s }"
        };
        format!(
            r#"
apiVersion: freshen/v1
kind: Cdn
metadata: {{ name: {name} }}
spec:
  dynamicMedia:
    endpoint: "{}"
    company: AcmeCorp
    publishServers: ["https://s7d1.scene7.com"]
    imagePresets: [thumbnail, {{ name: product, revision: "1" }}]
    credentials: {{ user: {{ env: IPS_USER }}, password: {{ env: IPS_PASSWORD }} }}
  {rate}
  {spec}
"#,
            self.sandbox.endpoint()
        )
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.folder().join(path)).unwrap();
    }

    /// A set of one name with this spec, in a file of its own.
    pub(crate) fn set(&self, name: &str, spec: &str) {
        let text = format!(
            "apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {name} }}\nspec:\n{spec}\n"
        );
        self.write(&format!("manifests/{name}.yaml"), &text);
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let options = Options::default();
        let mut command = command(self.folder());
        command
            .args(arguments)
            .env("IPS_USER", options.user)
            .env("IPS_PASSWORD", options.password);
        command
    }

    /// The daemon in this folder, about to be started: on a free port, with a
    /// token, and with whatever is declared now taken as fresh.
    pub(crate) fn daemon(&self, arguments: &[&str]) -> std::process::Command {
        self.write("token", crate::keeper::TOKEN);
        let mut command = self.command(&["run", "--listen", "127.0.0.1:0"]);
        command.args(["--api-token-file", "token"]).args(arguments);
        command
    }

    /// Runs the program to its end.
    pub(crate) fn freshen(&self, arguments: &[&str]) -> Run {
        run(&mut self.command(arguments))
    }

    /// Runs the program, which must end with `code`, and returns what it wrote.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let run = self.freshen(arguments);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(run.code, code, "{arguments:?}:\n{said}");
        said
    }

    /// Starts the program and goes on.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Reconciles, and returns the items of each call that the CDN accepted.
    pub(crate) fn sends(&self, code: i32) -> Vec<Vec<String>> {
        self.sends_by(code, &["reconcile"])
    }

    /// Runs a command, and returns the items of each call that the CDN accepted.
    pub(crate) fn sends_by(&self, code: i32, arguments: &[&str]) -> Vec<Vec<String>> {
        let before = self.accepted().len();
        self.ends(code, arguments);
        self.accepted().split_off(before)
    }

    /// The items of every call that the CDN accepted, in order.
    pub(crate) fn accepted(&self) -> Vec<Vec<String>> {
        let calls = self.sandbox.calls().into_iter();
        let accepted = calls.filter(|call| call.accepted && !call.urls.is_empty());
        accepted.map(|call| call.urls).collect()
    }

    /// Waits until `is_so` of the sandbox.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
            std::thread::yield_now();
        }
    }
}

/// Where a sandbox listens.
pub(crate) fn address_of(sandbox: &Sandbox) -> SocketAddr {
    let url = sandbox.url();
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

/// Items of several calls, as a set.
pub(crate) fn items(calls: &[Vec<String>]) -> BTreeSet<String> {
    calls.iter().flatten().cloned().collect()
}

/// `count` ids, one a line.
pub(crate) fn ids(prefix: &str, count: usize) -> String {
    let ids: Vec<String> = (0..count).map(|n| format!("{prefix}{n}\n")).collect();
    ids.concat()
}
