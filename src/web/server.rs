//! The server: a few connections at once, a request on each, and none of them
//! for long.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::ask::Peer;
use super::routes::router;
use super::{App, Limits};

/// Before connections are accepted again where that failed.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// What is under way when the server is to stop may take this long.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Serves `app` until `stop`; requests under way are answered first.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: impl Future<Output = ()>) {
    let limits = app.limits;
    let places = Arc::new(Semaphore::new(limits.connections));
    let router = router(app);
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            (stream, peer, place) = accept(&listener, &places) => {
                let connection = Connection { stream, peer, _place: place };
                connections.spawn(connection.serve(router.clone(), limits, stopped.clone()));
            }
        }
    }
    drop((listener, stopping));
    let answered = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ANSWERS, answered).await.is_err() {
        tracing::warn!("requests were cut off: they took too long to answer while stopping");
    }
}

/// The next visitor, once there is a place for one.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.expect("it is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            // Gone before it was answered.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection; trying again");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// Kept until the visitor is gone.
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Answers one request: then one clock bounds all that can stall.
    async fn serve(self, router: Router, limits: Limits, mut stopped: watch::Receiver<()>) {
        let peer = Peer(self.peer.ip());
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header)
            .keep_alive(false)
            .serve_connection(TokioIo::new(self.stream), service);
        let mut connection = pin!(connection);
        let whole = async {
            tokio::select! {
                done = connection.as_mut() => return done,
                // Its sender is dropped.
                _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
            }
            connection.await
        };
        // As long again as a request may take, to read the answer.
        let longest = limits.header + 2 * limits.request;
        // A visitor that goes away or stalls is no trouble to anybody else.
        drop(tokio::time::timeout(longest, whole).await);
    }
}
