//! The asker, by itself: an invented clock, a real account on loopback.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use freshen::declare::{Options, declare};
use freshen::load::scan;
use freshen::lookup::{Known, Missing, table};
use freshen::provider::LookUp;
use freshen::sandbox::{self, Failure};
use freshen::state::{Holder, LookUps, Store};
use freshen::submit::asker::{Asker, ask_due};
use freshen::submit::clock::Clock;
use freshen::submit::courier::Courier;
use freshen::submit::transport::{Patience, Transport};

use crate::world::World;

pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

/// Time passes only where somebody waits for it.
struct Invented(AtomicI64);

impl Clock for Invented {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn sleep_until(
        &self,
        at_ms: i64,
        _is_busy: bool,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.fetch_max(at_ms, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> f64 {
        1.0
    }
}

/// A set whose assets are listed, and whoever asks for them.
pub(crate) struct Bench {
    pub(crate) world: World,
    clock: Arc<Invented>,
    known: Arc<Known>,
    asker: Arc<Asker>,
    look_up: LookUp,
    /// All there are.
    look_ups: Vec<LookUp>,
    runtime: tokio::runtime::Runtime,
    _store: Store,
}

impl Bench {
    fn new(spec: &str) -> Self {
        let world = World::new(spec);
        world.sandbox.put("a", "AcmeCorp/Spring", "Image");
        Self::of(world, spec, "poll: 2m")
    }

    /// Of what is in the folder `AcmeCorp/Spring` of that world.
    pub(crate) fn of(world: World, spec: &str, search: &str) -> Self {
        let secrets = sandbox::Options::default();
        world.write("user", &secrets.user);
        world.write("password", &secrets.password);
        let cdn = world.cdn("dynamic-media", spec);
        let file = |name: &str| format!("file: '{}'", world.folder().join(name).display());
        let cdn = cdn.replace("env: IPS_USER", &file("user"));
        let cdn = cdn.replace("env: IPS_PASSWORD", &file("password"));
        world.write("manifests/cdn.yaml", &cdn);
        world.set(
            "spring",
            &format!("  assetsFrom: [{{ dynamicMedia: {{ folder: AcmeCorp/Spring, {search} }} }}]"),
        );
        let known = Arc::new(Known::new(Missing::Fails, Vec::new));
        let options = Options {
            manifests: vec![world.folder().join("manifests")],
            max_expansion: 1_000,
            known: Arc::clone(&known),
        };
        let declared = scan(&options.manifests, |tree| declare(tree, &options)).unwrap();
        let path = world.folder().join("freshen.db");
        let holder = Holder {
            pid: 1,
            host: "here".to_owned(),
            command: "freshen run".to_owned(),
            since_ms: NOW_MS,
        };
        let store = Store::open(&path, &holder, NOW_MS).unwrap();
        let clock = Arc::new(Invented(AtomicI64::new(NOW_MS)));
        let asker = Self::asker(&world, &clock, &known);
        Self {
            clock,
            known,
            asker,
            look_up: declared.look_ups[0].clone(),
            look_ups: declared.look_ups,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            _store: store,
            world,
        }
    }

    fn asker(world: &World, clock: &Arc<Invented>, known: &Arc<Known>) -> Arc<Asker> {
        let courier = Courier::new(Transport::new(Patience::default()).unwrap(), Vec::new());
        let answers = LookUps::new(&world.folder().join("freshen.db"));
        let clock: Arc<dyn Clock> = Arc::<Invented>::clone(clock);
        let asker = Asker::new(Arc::new(courier), clock, (answers, Arc::clone(known)));
        Arc::new(asker)
    }

    /// Another process, which knows only what the state does.
    pub(crate) fn restart(&mut self) {
        self.asker = Self::asker(&self.world, &self.clock, &self.known);
    }

    pub(crate) fn ask(&self) -> bool {
        self.runtime
            .block_on(self.asker.ask(&self.look_up))
            .unwrap()
    }

    pub(crate) fn wait_until(&self, at_ms: i64) {
        self.clock.0.store(at_ms, Ordering::SeqCst);
    }

    /// Asks all that is due, and waits for nothing but the budget.
    pub(crate) fn ask_due(&self) -> bool {
        self.runtime
            .block_on(ask_due(&self.asker, &self.look_ups))
            .unwrap()
    }

    /// What a run does whose time is up.
    pub(crate) fn break_off(&self) {
        self.asker.break_off(&self.look_ups).unwrap();
    }

    /// What the daemon does once it has read the manifests.
    pub(crate) fn forget_others(&self) {
        self.asker.forget_others(&self.look_ups).unwrap();
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// What is known: the rows of the table, and what is wrong.
    pub(crate) fn known(&self) -> (Option<Vec<table::Cells>>, Option<String>) {
        let target = self.look_up.provider.target();
        let view = self.known.view();
        let recorded = view.find(target, self.look_up.query.digest()).unwrap();
        let good = recorded.good.as_ref();
        let rows = good.map(|good| table::rows(&good.bytes).collect());
        let failure = recorded.failure.as_ref();
        (rows, failure.map(|failure| failure.message.clone()))
    }

    /// Milliseconds until it is due, from now on.
    pub(crate) fn due_in_ms(&self) -> i64 {
        self.asker.due_ms(&self.look_up).unwrap() - self.clock.now_ms()
    }
}

#[test]
fn it_is_due_at_once_and_then_after_its_poll_whatever_the_answer() {
    let bench = Bench::new("");
    assert_eq!(bench.due_in_ms(), 0);
    assert!(bench.ask(), "the first answer is news");
    assert_eq!(bench.due_in_ms(), 120_000);
    bench.wait_until(NOW_MS + 50_000);
    assert_eq!(bench.due_in_ms(), 70_000);
    bench.wait_until(NOW_MS + 120_000);
    assert_eq!(bench.due_in_ms(), 0);
    assert!(!bench.ask(), "the same answer is none");
    bench.world.sandbox.remove("a");
    assert!(bench.ask(), "what is wrong is news");
    assert_eq!(bench.due_in_ms(), 120_000);
    assert!(!bench.ask(), "once");
}

#[test]
fn waits_grow_with_failures_last_over_a_restart_and_end_with_an_answer() {
    let mut bench = Bench::new("");
    bench.world.sandbox.fail(Failure::Code(30_000), Some(3));
    for wait_ms in [1_000, 2_000, 4_000] {
        bench.ask();
        assert_eq!(bench.due_in_ms(), wait_ms);
        bench.restart();
        assert_eq!(bench.due_in_ms(), wait_ms);
    }
    bench.ask();
    assert_eq!(bench.due_in_ms(), 120_000);
    let status = |status, retry_after: Option<&str>| Failure::Status {
        status,
        retry_after: retry_after.map(str::to_owned),
    };
    bench.world.sandbox.fail(status(429, Some("70")), Some(1));
    bench.ask();
    assert_eq!(bench.due_in_ms(), 70_000);
}

#[test]
fn an_answer_that_nobody_wants_is_forgotten_after_a_month_and_no_other() {
    let bench = Bench::new("");
    bench.ask();
    let day_ms = 24 * 60 * 60 * 1000;
    let kept = |look_ups: &[LookUp]| {
        bench.asker.forget_others(look_ups).unwrap();
        let reader = freshen::state::Reader::open(&bench.world.folder().join("freshen.db"));
        reader.unwrap().unwrap().look_ups().unwrap().len()
    };
    bench.wait_until(NOW_MS + 29 * day_ms);
    assert_eq!(kept(&[]), 1);
    bench.wait_until(NOW_MS + 31 * day_ms);
    assert_eq!(kept(std::slice::from_ref(&bench.look_up)), 1);
    assert_eq!(kept(&[]), 0);
}

#[test]
fn what_repeating_does_not_help_is_left_alone_until_a_secret_changes() {
    let bench = Bench::new("");
    bench.world.write("password", "wrong");
    bench.ask();
    assert_eq!(bench.due_in_ms(), 15 * 60 * 1000);
    let right = sandbox::Options::default().password;
    bench.world.write("password", &right);
    assert_eq!(bench.due_in_ms(), 0);
    assert!(bench.ask());
}

#[test]
fn the_budget_is_debited_before_anything_is_sent_and_lasts_over_a_restart() {
    let mut bench = Bench::new("rateLimit: { lookUps: 2/1h }");
    // The company's handle, and the assets.
    bench.ask();
    assert_eq!(bench.clock.now_ms(), NOW_MS, "two calls are at once");
    bench.restart();
    bench.ask();
    assert_eq!(bench.clock.now_ms(), NOW_MS + 30 * 60 * 1000);
    bench.world.sandbox.fail(Failure::Hang, None);
    let before = bench.world.sandbox.calls().len();
    bench.runtime.block_on(async {
        let asked = bench.asker.ask(&bench.look_up);
        tokio::pin!(asked);
        while bench.world.sandbox.calls().len() == before {
            tokio::select! {
                biased;
                _ = &mut asked => unreachable!("it hangs"),
                () = tokio::task::yield_now() => {}
            }
        }
    });
    bench.restart();
    let waited_ms = bench.clock.now_ms();
    bench.world.sandbox.set_faults(sandbox::Faults::default());
    bench.ask();
    assert_eq!(bench.clock.now_ms(), waited_ms + 30 * 60 * 1000);
}
