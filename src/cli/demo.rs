//! `demo`: the whole path against a CDN inside this program.
#![expect(
    clippy::disallowed_methods,
    reason = "works in a folder of its own, and removes it"
)]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::args::{Global, OutputFormat, Plan, Reconcile};
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::{plan, reconcile};
use crate::report::number::counted;
use crate::sandbox::{Options, Sandbox};
use crate::submit::transport::choose_cryptography;

/// The manifests of `examples/quickstart`.
const MANIFESTS: &[(&str, &str)] = &[
    (
        "cdn.yaml",
        include_str!("../../examples/quickstart/cdn.yaml"),
    ),
    (
        "templates.yaml",
        include_str!("../../examples/quickstart/templates.yaml"),
    ),
    (
        "sets.yaml",
        include_str!("../../examples/quickstart/sets.yaml"),
    ),
];

/// What a visitor asks the edge for.
const PAGE: &str = "/is/image/AcmeCorp/backpack?$product$";

/// Shows a stale asset, makes it fresh, and shows that nothing is left to do.
pub(super) fn run() -> Result<Exit, Failure> {
    let stage = Stage::new()?;
    let result = stage.play();
    fs::remove_dir_all(&stage.folder).context("failed to remove the demo's folder")?;
    result
}

struct Stage {
    sandbox: Sandbox,
    folder: PathBuf,
    global: Global,
    output: Output,
    visitor: Visitor,
}

impl Stage {
    fn new() -> Result<Self, Failure> {
        let options = Options::default();
        let (user, password) = (options.user.clone(), options.password.clone());
        let sandbox = Sandbox::start(options).context("failed to start the sandbox")?;
        let folder = std::env::temp_dir().join(format!("freshen-demo-{}", std::process::id()));
        let manifests = folder.join("manifests");
        fs::create_dir_all(&manifests).context("failed to make the demo's folder")?;
        for (name, secret) in [("user", user), ("password", password)] {
            fs::write(folder.join(name), secret).context("failed to write the demo's secrets")?;
        }
        for (name, text) in MANIFESTS {
            let text = at_sandbox(text, &sandbox.endpoint(), &folder);
            fs::write(manifests.join(name), text)
                .context("failed to write the demo's manifests")?;
        }
        let visitor = Visitor::new(sandbox.url())?;
        let global = Global {
            manifests: vec![manifests],
            state: folder.join("freshen.db"),
            output: OutputFormat::Text,
            max_expansion: 1_000_000,
        };
        Ok(Self {
            sandbox,
            folder,
            global,
            output: Output::new(OutputFormat::Text),
            visitor,
        })
    }

    fn play(&self) -> Result<Exit, Failure> {
        output::text(
            "A CDN runs inside this program, on loopback: an origin, a caching edge and the\nAPI that invalidates. The manifests are those of examples/quickstart.\n\n",
        )?;
        self.publish("the old picture");
        output::text("1. A visitor asks for the backpack, and the edge keeps the answer:\n")?;
        self.visit()?;
        self.publish("the NEW picture");
        output::text("\n2. A new picture is published. The edge does not know:\n")?;
        self.visit()?;
        output::text("\n3. What would freshen send?\n\n$ freshen plan -v\n")?;
        let arguments = Plan {
            save: None,
            detailed_exitcode: false,
            verbose: 1,
            since: None,
        };
        plan::run(&arguments, &self.global, self.output)?;
        output::text("\n4. Send it:\n\n$ freshen reconcile\n")?;
        let first = self.reconcile()?;
        output::text("\n5. The visitor again:\n")?;
        self.visit()?;
        output::text(
            "\n6. Once more: the same manifests and the same state, so nothing is sent.\n\n$ freshen reconcile\n",
        )?;
        let second = self.reconcile()?;
        let calls = self
            .sandbox
            .calls()
            .iter()
            .filter(|call| !call.urls.is_empty())
            .count();
        output::text(&format!(
            "\nThe CDN saw {} in all. Your turn: `freshen init`.\n",
            counted(calls as u64, "invalidation call")
        ))?;
        Ok(first.min(second))
    }

    fn publish(&self, picture: &str) {
        self.sandbox.upload("backpack", picture);
        self.sandbox.publish("backpack");
    }

    fn visit(&self) -> Result<(), Failure> {
        let seen = self.visitor.get(PAGE)?;
        output::text(&format!("   GET {PAGE}\n   -> {seen}\n"))
    }

    fn reconcile(&self) -> Result<Exit, Failure> {
        let arguments = Reconcile {
            plan: None,
            set: None,
            approve: Vec::new(),
            max_time: 30_000,
            bootstrap: None,
            allow_endpoint: Vec::new(),
            metrics_file: None,
            since: None,
        };
        reconcile::run(&arguments, &self.global, self.output)
    }
}

/// The same manifest, for the sandbox: its endpoint, its credentials.
fn at_sandbox(text: &str, endpoint: &str, folder: &Path) -> String {
    let secret = |name: &str| format!("{{ file: \"{}\" }}", folder.join(name).display());
    text.replace("region: northAmerica", &format!("endpoint: \"{endpoint}\""))
        .replace("{ env: IPS_USER }", &secret("user"))
        .replace("{ env: IPS_PASSWORD }", &secret("password"))
}

/// Somebody with a browser.
struct Visitor {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    edge: String,
}

impl Visitor {
    fn new(edge: String) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        choose_cryptography();
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            runtime,
            client,
            edge,
        })
    }

    /// What the edge answers, and whether from its cache.
    fn get(&self, page: &str) -> Result<String, Failure> {
        let url = format!("{}{page}", self.edge);
        let answer = self.runtime.block_on(async {
            let answer = self.client.get(url).send().await?;
            let cache = answer.headers().get("x-cache").cloned();
            Ok::<_, reqwest::Error>((cache, answer.text().await?))
        });
        let (cache, body) = answer.context("failed to reach the edge")?;
        let picture = body.lines().next().unwrap_or_default();
        let from = match cache.as_ref().and_then(|cache| cache.to_str().ok()) {
            Some("HIT") => "from its cache",
            _ => "from the origin",
        };
        Ok(format!("\"{picture}\", {from}"))
    }
}
