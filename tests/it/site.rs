//! A folder of manifests whose Cdns are sandboxes, and a clock that leaps.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use freshen::declare::{Declared, Options as Declaring, declare};
use freshen::load;
use freshen::plan::Plan;
use freshen::reconcile::planning::{self, BootstrapChoice};
use freshen::reconcile::{Events, Options, Outcome, Tools, once};
use freshen::sandbox::{Options as SandboxOptions, Received, Sandbox};
use freshen::state::Store;
use freshen::submit::clock::Clock;
use freshen::submit::courier::Courier;
use freshen::submit::engine::Submitter;
use freshen::submit::stop::Stop;
use freshen::submit::transport::{Patience, Transport};

/// When invented time begins.
pub(crate) const START_MS: i64 = 1_800_000_000_000;

/// A rate that never makes anything wait.
pub(crate) const UNLIMITED: &str = "rateLimit: { requests: 1000000/1s, urls: 1000000000/1s }";

/// Beginning of every URL of these sites.
pub(crate) const IMAGES: &str = "https://s7d1.scene7.com/is/image/AcmeCorp";

type Deed = Box<dyn FnOnce() + Send>;

/// Invented time: whoever waits for nothing else is there at once.
pub(crate) struct Leaping {
    now_ms: AtomicI64,
    chance: AtomicU64,
    deeds: Mutex<Vec<(i64, Deed)>>,
}

impl Leaping {
    fn new(seed: u64) -> Self {
        Self {
            now_ms: AtomicI64::new(START_MS),
            chance: AtomicU64::new(seed | 1),
            deeds: Mutex::default(),
        }
    }

    /// Milliseconds since the beginning.
    pub(crate) fn elapsed_ms(&self) -> i64 {
        self.now_ms() - START_MS
    }

    /// Lets that much time go by.
    pub(crate) fn advance(&self, ms: i64) {
        self.leap(self.now_ms() + ms);
    }

    /// Does `deed` when that much time has gone by since the beginning.
    pub(crate) fn at(&self, elapsed_ms: i64, deed: impl FnOnce() + Send + 'static) {
        let mut deeds = self.deeds.lock().unwrap();
        deeds.push((START_MS + elapsed_ms, Box::new(deed)));
    }

    fn leap(&self, at_ms: i64) {
        self.now_ms.fetch_max(at_ms, Ordering::SeqCst);
        let now_ms = self.now_ms();
        let mut deeds = self.deeds.lock().unwrap();
        for (_, deed) in deeds.extract_if(.., |(due_ms, _)| *due_ms <= now_ms) {
            deed();
        }
    }
}

impl Clock for Leaping {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn sleep_until(
        &self,
        at_ms: i64,
        is_busy: bool,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if is_busy {
                std::future::pending::<()>().await;
            }
            self.leap(at_ms);
        })
    }

    fn random(&self) -> f64 {
        let next = |seed| Some(scrambled(seed));
        let seed = self
            .chance
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, next)
            .unwrap();
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The next of a row of numbers that look like chance; never 0.
pub(crate) fn scrambled(mut seed: u64) -> u64 {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^ (seed << 17)
}

/// A folder of manifests, and time.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) clock: Leaping,
}

impl Site {
    /// An empty one; `seed` decides about chance.
    pub(crate) fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("manifests")).unwrap();
        let clock = Leaping::new(seed);
        Self { folder, clock }
    }

    /// The folder in which `freshen` is run.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file among the manifests, replacing it whole.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let draft = self.folder().join("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, self.manifests().join(name)).unwrap();
    }

    /// Removes a file from among the manifests.
    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.manifests().join(name)).unwrap();
    }

    /// Removes a file from among the manifests, unless there is none.
    pub(crate) fn remove_if_there(&self, name: &str) {
        if self.manifests().join(name).exists() {
            self.remove(name);
        }
    }

    /// Declares `sandbox` as the Cdn `name`, with more lines of its `spec`.
    pub(crate) fn cdn(&self, name: &str, sandbox: &Sandbox, spec: &[&str]) {
        let SandboxOptions { user, password, .. } = SandboxOptions::default();
        let secret = |role: &str, value: &str| {
            let path = self.folder().join(format!("{name}-{role}"));
            std::fs::write(&path, value).unwrap();
            path.display().to_string()
        };
        let (user, password) = (secret("user", &user), secret("password", &password));
        let mut text = format!(
            "apiVersion: freshen/v1\nkind: Cdn\nmetadata: {{ name: {name} }}\nspec:\n  dynamicMedia:\n    \
             endpoint: '{}'\n    company: AcmeCorp\n    companyHandle: 'c|6'\n    \
             publishServers: ['https://s7d1.scene7.com']\n    \
             credentials: {{ user: {{ file: '{user}' }}, password: {{ file: '{password}' }} }}\n",
            sandbox.endpoint()
        );
        for line in spec {
            writeln!(text, "  {line}").unwrap();
        }
        self.write(&format!("cdn-{name}.yaml"), &text);
    }

    /// The password that the Cdn `name` is given from now on.
    pub(crate) fn password(&self, name: &str, password: &str) {
        std::fs::write(self.folder().join(format!("{name}-password")), password).unwrap();
    }

    /// Declares a set, with these lines of its `spec`.
    pub(crate) fn set(&self, name: &str, spec: &[String]) {
        self.write(&format!("set-{name}.yaml"), &set(name, spec));
    }

    /// What is declared now; all of it is in order.
    pub(crate) fn declared(&self) -> Declared {
        let declared = self.declared_with_problems();
        assert!(declared.problems.is_empty(), "{:#?}", declared.problems);
        declared
    }

    /// What is declared now, whatever is wrong with it.
    pub(crate) fn declared_with_problems(&self) -> Declared {
        let manifests = vec![self.manifests()];
        let options = Declaring {
            manifests: manifests.clone(),
            max_expansion: 1_000_000,
            known: std::sync::Arc::default(),
        };
        load::scan(&manifests, |tree| declare(tree, &options)).unwrap()
    }

    /// A state without a past.
    pub(crate) fn store(&self) -> Store {
        Store::in_memory(self.clock.now_ms()).unwrap()
    }

    /// What would be sent now.
    pub(crate) fn plan(&self, store: &Store) -> Plan {
        let options = self.planning();
        planning::plan(&self.declared(), Some(store), &options)
            .unwrap()
            .plan
    }

    /// Reconciles once, for as long as it takes.
    pub(crate) fn reconcile(&self, store: &mut Store) -> Outcome {
        self.reconcile_within(i64::MAX / 4, store)
    }

    /// Reconciles once, for so many milliseconds of invented time.
    pub(crate) fn reconcile_within(&self, max_time_ms: i64, store: &mut Store) -> Outcome {
        self.carry_out(&self.declared(), max_time_ms, store)
    }

    /// Reconciles once, whatever is wrong with what is declared.
    pub(crate) fn reconcile_as_it_is(&self, store: &mut Store) -> Outcome {
        self.carry_out(&self.declared_with_problems(), i64::MAX / 4, store)
    }

    /// Reconciles once, and lets `events` see it and `stop` cut it short.
    pub(crate) fn reconcile_seen_by(
        &self,
        events: &mut dyn Events,
        stop: Stop,
        store: &mut Store,
    ) -> Outcome {
        let options = self.options(i64::MAX / 4, stop);
        self.run(&self.declared(), &options, events, store)
    }

    fn carry_out(&self, declared: &Declared, max_time_ms: i64, store: &mut Store) -> Outcome {
        let options = self.options(max_time_ms, Stop::default());
        self.run(declared, &options, &mut (), store)
    }

    fn options(&self, max_time_ms: i64, stop: Stop) -> Options {
        Options {
            planning: self.planning(),
            saved: None,
            max_time_ms,
            stop,
        }
    }

    fn run(
        &self,
        declared: &Declared,
        options: &Options,
        events: &mut dyn Events,
        store: &mut Store,
    ) -> Outcome {
        let transport = Transport::new(Patience::default()).unwrap();
        let mut submitter = Submitter::new(Arc::new(Courier::new(transport, Vec::new())));
        let tools = Tools {
            submitter: &mut submitter,
            clock: &self.clock,
            events,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(once(declared, store, options, tools))
            .unwrap()
    }

    fn planning(&self) -> planning::Options {
        planning::Options {
            bootstrap: Some(BootstrapChoice::Invalidate),
            now_ms: self.clock.now_ms(),
            ..planning::Options::default()
        }
    }

    fn manifests(&self) -> PathBuf {
        self.folder().join("manifests")
    }
}

/// The manifest of a set, with these lines of its `spec`.
pub(crate) fn set(name: &str, spec: &[String]) -> String {
    let mut text =
        format!("apiVersion: freshen/v1\nkind: AssetSet\nmetadata: {{ name: {name} }}\nspec:\n");
    for line in spec {
        writeln!(text, "  {line}").unwrap();
    }
    text
}

/// The line of a set's `spec` that lists assets `<prefix>-0` and so on.
pub(crate) fn assets(prefix: &str, count: usize) -> String {
    let ids: Vec<String> = (0..count).map(|n| format!("{prefix}-{n}")).collect();
    format!("assets: [{}]", ids.join(", "))
}

/// The URLs of these assets.
pub(crate) fn urls(prefix: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!("{IMAGES}/{prefix}-{n}"))
        .collect()
}

/// The calls that carried URLs.
pub(crate) fn invalidations(sandbox: &Sandbox) -> Vec<Received> {
    let mut calls = sandbox.calls();
    calls.retain(|call| !call.urls.is_empty());
    calls
}
