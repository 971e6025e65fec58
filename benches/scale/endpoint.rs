//! An endpoint on loopback that takes every batch, after a while.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// What IPS answers to a batch that it takes.
const ACCEPTED: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>
<cdnCacheInvalidationReturn xmlns="http://www.scene7.com/IpsApi/xsd/2014-04-03"><invalidationHandle>4711</invalidationHandle></cdnCacheInvalidationReturn>
</soapenv:Body></soapenv:Envelope>"#;

/// More than any batch has.
const MAX_BODY: usize = 16 << 20;

/// An endpoint, until it is dropped.
pub(crate) struct Endpoint {
    /// Where it is.
    pub(crate) url: String,
    /// Calls, as they are answered.
    pub(crate) calls: Receiver<Call>,
    _runtime: Runtime,
}

/// A call, as the endpoint saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// When its head was there.
    pub(crate) arrived: Instant,
    /// When its answer was ready.
    pub(crate) answered: Instant,
}

struct Desk {
    latency: Duration,
    /// Where each body is kept as a file.
    keep: Option<PathBuf>,
    kept: AtomicUsize,
    calls: Sender<Call>,
}

impl Endpoint {
    /// One that answers `latency` after it has a call, and keeps bodies in `keep`.
    pub(crate) fn start(latency: Duration, keep: Option<PathBuf>) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("http://{}/ips", listener.local_addr()?);
        let (sender, calls) = mpsc::channel();
        let desk = Arc::new(Desk {
            latency,
            keep,
            kept: AtomicUsize::new(0),
            calls: sender,
        });
        let router = Router::new().fallback(answer).with_state(desk);
        let listener = listener.tap_io(|stream| {
            // Without it answers are late, not wrong.
            _ = stream.set_nodelay(true);
        });
        runtime.spawn(async { axum::serve(listener, router).await });
        Ok(Self {
            url,
            calls,
            _runtime: runtime,
        })
    }
}

async fn answer(
    State(desk): State<Arc<Desk>>,
    body: Body,
) -> Result<([(&'static str, &'static str); 1], &'static str), StatusCode> {
    let arrived = Instant::now();
    let body = to_bytes(body, MAX_BODY).await;
    let body = body.map_err(|_| StatusCode::BAD_REQUEST)?;
    if let Some(folder) = &desk.keep {
        let number = desk.kept.fetch_add(1, Ordering::Relaxed);
        let kept = std::fs::write(folder.join(number.to_string()), &body);
        kept.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    }
    if !desk.latency.is_zero() {
        tokio::time::sleep(desk.latency).await;
    }
    let call = Call {
        arrived,
        answered: Instant::now(),
    };
    // Whoever has gone does not count any more.
    _ = desk.calls.send(call);
    Ok(([("content-type", "text/xml")], ACCEPTED))
}
