//! `run`: the daemon.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use super::args::{Bootstrap, Global};
use super::exit::{Exit, Failure};
use super::log::{LogFormat, LogLevel};
use super::workspace::{self, failed_on_state};
use super::{duration, log, looking, reconcile};
use crate::daemon::driver::{self, Driver, Ended, Settings};
use crate::daemon::health::Health;
use crate::daemon::observing::Observing;
use crate::daemon::poller::Poller;
use crate::daemon::scanner::{self, Scan};
use crate::daemon::schedule::Timing;
use crate::daemon::telling::Telling;
use crate::daemon::webhook::{Sink, Webhook};
use crate::declare::Declared;
use crate::load::Index;
use crate::lookup::{Known, Missing};
use crate::metrics::Metrics;
use crate::state::{Store, check_location};
use crate::submit::clock::{Clock, SystemClock};
use crate::submit::courier::Courier;
use crate::submit::origin::Origin;
use crate::submit::stop::Stop;
use crate::submit::transport::{Patience, Transport};
use crate::web::{self, App, Limits, TokenFile};

/// `run`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Address of health, metrics and the API
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9180")]
    listen: SocketAddr,
    /// Plan and report, send nothing, hold no state
    #[arg(long, conflicts_with = "bootstrap")]
    observe: bool,
    /// What a state without a past means
    #[arg(long, value_enum, value_name = "CHOICE")]
    bootstrap: Option<Bootstrap>,
    /// Read every manifest this often, whether or not a change was noticed
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse_interval_ms)]
    scan_interval: u64,
    /// Act on a change once the manifests have read the same for this long
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = duration::parse_ms)]
    settle: u64,
    /// How long calls under way may take once it is asked to end
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse_ms)]
    grace: u64,
    /// A host besides the provider's own that may be sent credentials
    #[arg(long, value_name = "ORIGIN")]
    allow_endpoint: Vec<Origin>,
    /// A name, besides localhost, under which visitors may come
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Whoever shows the token in this file may change something over HTTP
    #[arg(long, value_name = "FILE")]
    api_token_file: Option<String>,
    /// Tell this URL what fails, is blocked or refused, and recovers
    #[arg(long, value_name = "URL")]
    notify: Option<String>,
    /// Sign what it is told with the secret in this file
    #[arg(long, value_name = "FILE", requires = "notify")]
    notify_secret_file: Option<PathBuf>,
    /// How the log is written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What the log holds
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    log_level: LogLevel,
}

/// Runs until it is asked to end.
pub(super) fn run(arguments: &Arguments, global: &Global) -> Result<Exit, Failure> {
    log::init(arguments.log_format, arguments.log_level);
    let sink = sink(arguments)?;
    let store = if arguments.observe {
        None
    } else {
        check_past(arguments, global)?;
        let store = workspace::store(global, "run")?;
        ask_first(arguments, global, &store)?;
        Some(store)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let ended = runtime.block_on(serve(arguments, global, store, sink));
    // A scan under way has nothing to record.
    runtime.shutdown_background();
    ended
}

/// Refuses to begin without a past unless it is said what that means: a lost
/// state must not purge everything.
fn check_past(arguments: &Arguments, global: &Global) -> Result<(), Failure> {
    check_location(&global.state, &global.manifests).map_err(failed_on_state)?;
    let is_new = match workspace::reader(global)? {
        None => true,
        Some(reader) => reader.is_new().map_err(failed_on_state)?,
    };
    if is_new && arguments.bootstrap == Some(Bootstrap::Adopt) {
        warn!(
            hint = "if a state was lost, `freshen invalidate` sends what it owed",
            "the state remembers nothing: all that is declared is recorded as fresh, and not sent"
        );
    }
    if !is_new || arguments.bootstrap.is_some() {
        return Ok(());
    }
    let error = anyhow::anyhow!(
        "the state `{}` remembers nothing, so everything that is declared would look new; nothing was started",
        global.state.display()
    );
    Err(Failure::nothing(error).hint(
        "`--bootstrap adopt` records it all as fresh, `--bootstrap invalidate` sends it under \
         the limits of each set; `--observe` sends nothing",
    ))
}

/// What a state without a past begins with includes what accounts list: asked
/// later, it would all look new.
fn ask_first(arguments: &Arguments, global: &Global, store: &Store) -> Result<(), Failure> {
    if !store.is_new().map_err(failed_on_state)? {
        return Ok(());
    }
    let known = workspace::known(global, Missing::Fails);
    let index = Arc::new(workspace::index(global));
    let declared = workspace::declared_with(global, &index, &known)?;
    let asking = (&arguments.allow_endpoint[..], u64::MAX);
    looking::ask(&declared, &known, global, asking).map(drop)
}

fn sink(arguments: &Arguments) -> Result<Option<Sink>, Failure> {
    let Some(url) = &arguments.notify else {
        return Ok(None);
    };
    let secret = arguments.notify_secret_file.as_deref();
    let sink = Sink::new(url, secret.and_then(Path::to_str));
    sink.map(Some).map_err(|error| {
        let hint = error.hint();
        Failure::usage(error.to_string()).hint(hint)
    })
}

/// What both loops are made with.
struct Parts {
    scanner: scanner::Handle,
    scans: watch::Receiver<Option<Arc<Scan>>>,
    stop: Stop,
    telling: Telling,
    clock: Arc<dyn Clock>,
    index: Arc<Index>,
    known: Arc<Known>,
}

async fn serve(
    arguments: &Arguments,
    global: &Global,
    store: Option<Store>,
    sink: Option<Sink>,
) -> Result<Exit, Failure> {
    let started = Instant::now();
    let listener = listen(arguments.listen).await?;
    let address = listener.local_addr().context("failed to listen")?;
    info!(%address, "listening");
    let (metrics, health) = (Arc::new(Metrics::default()), Arc::new(Health::default()));
    let webhook = sink
        .map(|sink| Webhook::start(sink, Arc::clone(&metrics)))
        .transpose()
        .context("failed to set up TLS")?;
    let timing = Timing {
        settle_ms: arguments.settle,
        ..Timing::every(arguments.scan_interval)
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let index = Arc::new(workspace::index(global));
    let files = (Arc::clone(&index), Arc::clone(&clock));
    let known = workspace::known(global, Missing::Fails);
    let (scanner, scans) = scanner::spawn(workspace::declaring(global, &known), files, timing);
    let parts = Parts {
        telling: Telling::new(
            (Arc::clone(&metrics), Arc::clone(&health)),
            webhook,
            scanner.clone(),
            (Arc::clone(&clock), started),
        ),
        stop: Stop::default(),
        scanner,
        scans,
        clock,
        index,
        known,
    };
    let app = app(arguments, global, &parts, (metrics, health, started));
    let (ends, ended) = oneshot::channel::<()>();
    let web = tokio::spawn(web::serve(listener, Arc::new(app), async {
        // Whoever drops the other end means the same.
        drop(ended.await);
    }));
    let exit = match store {
        Some(store) => keep(arguments, global, store, parts).await,
        None => observe(global, parts).await,
    };
    drop(ends);
    web.await.context("the web ended badly")?;
    exit
}

/// Holds the state, and reconciles.
async fn keep(
    arguments: &Arguments,
    global: &Global,
    store: Store,
    parts: Parts,
) -> Result<Exit, Failure> {
    let transport = Transport::new(Patience::default()).context("failed to set up TLS")?;
    let courier = Arc::new(Courier::new(transport, arguments.allow_endpoint.clone()));
    let Parts {
        scanner,
        scans,
        stop,
        telling,
        clock,
        index,
        known,
    } = parts;
    let asker = looking::asker(
        &global.state,
        Arc::clone(&courier),
        &known,
        Arc::clone(&clock),
    );
    let watched = (scanner.clone(), scans.clone());
    let poller = tokio::spawn(Poller::new(asker, Arc::clone(&clock), watched).run());
    let settings = Settings {
        bootstrap: arguments.bootstrap.map(reconcile::choice),
        grace: Duration::from_millis(arguments.grace),
        holder: workspace::holder("run"),
        index,
    };
    let driver = Driver::new(
        store,
        courier,
        clock,
        (scanner, scans),
        (stop, telling),
        settings,
    );
    let ended = driver.map_err(failed)?.run().await;
    // Whatever is being asked is asked again by the next run.
    poller.abort();
    end(ended)
}

/// Only looks.
async fn observe(global: &Global, parts: Parts) -> Result<Exit, Failure> {
    let Parts {
        scanner,
        scans,
        stop,
        telling,
        clock,
        known,
        ..
    } = parts;
    let state = global.state.clone();
    let observing = Observing::new((state, known), clock, (scanner, scans), (stop, telling));
    end(observing.map_err(failed)?.run().await)
}

fn app(
    arguments: &Arguments,
    global: &Global,
    parts: &Parts,
    (metrics, health, started): (Arc<Metrics>, Arc<Health>, Instant),
) -> App {
    let (stop, scanner) = (parts.stop.clone(), parts.scanner.clone());
    let reloader = parts.scanner.clone();
    App {
        state: global.state.clone(),
        declared: declared(parts.scans.clone()),
        health,
        now_ms: Box::new(workspace::now_ms),
        steady_ms: Box::new(move || i64::try_from(started.elapsed().as_millis()).unwrap_or(0)),
        metrics: Box::new(move || metrics.render(workspace::now_ms())),
        hint: Box::new(move || {
            scanner.hint();
            stop.make_way();
        }),
        reload: Box::new(move || {
            let scanner = reloader.clone();
            Box::pin(async move { scanner.reload().await.map_err(|error| error.to_string()) })
        }),
        token: arguments.api_token_file.as_ref().map(TokenFile::new),
        hosts: arguments.allow_host.clone(),
        limits: Limits::default(),
    }
}

fn end(ended: Result<Ended, driver::Error>) -> Result<Exit, Failure> {
    match ended.map_err(failed)? {
        Ended::Finished => Ok(Exit::Fine),
        Ended::Unfinished => Ok(Exit::Failed),
    }
}

fn failed(error: driver::Error) -> Failure {
    match error {
        driver::Error::State(error) => failed_on_state(error),
        error => Failure::nothing(error)
            .hint("start it again, once it is clear which state it should hold"),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let context = format!("failed to listen on {address}; nothing was started");
        Failure::nothing(anyhow::Error::new(error).context(context))
            .hint("name a free address with `--listen`")
    })
}

/// What the daemon acts on, for those who do not care when it was read.
fn declared(
    mut scans: watch::Receiver<Option<Arc<Scan>>>,
) -> watch::Receiver<Option<Arc<Declared>>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        while scans.changed().await.is_ok() {
            let scan = scans.borrow_and_update().clone();
            sender.send_replace(scan.map(|scan| Arc::clone(&scan.declared)));
        }
    });
    receiver
}
