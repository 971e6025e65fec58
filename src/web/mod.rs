//! The web: health, metrics and the API of a running daemon (edge: network).
//!
//! It reads the state beside its holder, as every command does, and leaves
//! requests there; it decides nothing. `routes` lists all that there is.

mod answer;
mod ask;
mod guard;
mod input;
mod openapi;
mod probe;
mod read;
mod routes;
mod served;
mod server;
mod token;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::daemon::health::Health;
use crate::declare::Declared;

pub use openapi::document as openapi;
pub use server::serve;
pub use token::TokenFile;

/// A clock, in milliseconds.
pub type NowMs = Box<dyn Fn() -> i64 + Send + Sync>;

/// A scan under way; answers with what was read, or why nothing could be.
pub type Reloading = Pin<Box<dyn Future<Output = Result<Arc<Declared>, String>> + Send>>;

/// What the web shows, and whom it tells.
pub struct App {
    /// The state file.
    pub state: PathBuf,
    /// What the daemon acts on; `None` before the first scan.
    pub declared: watch::Receiver<Option<Arc<Declared>>>,
    /// Whether the daemon lives and is ready.
    pub health: Arc<Health>,
    /// Milliseconds since the epoch.
    pub now_ms: NowMs,
    /// Of the clock that `health` goes by, which never jumps.
    pub steady_ms: NowMs,
    /// The metrics as `OpenMetrics` text.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// Makes the daemon look again.
    pub hint: Box<dyn Fn() + Send + Sync>,
    /// Makes the daemon read all manifests again.
    pub reload: Box<dyn Fn() -> Reloading + Send + Sync>,
    /// Whoever shows this token may change something; without it nobody may.
    pub token: Option<TokenFile>,
    /// Names besides `localhost` under which visitors may come.
    pub hosts: Vec<String>,
    /// What visitors may take.
    pub limits: Limits,
}

/// What visitors may take; more of them wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Plans and the like made at once.
    pub heavy_reads: usize,
    /// Bytes of a body.
    pub body: usize,
    /// Until a request's headers are there.
    pub header: Duration,
    /// From there until it is answered.
    pub request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            heavy_reads: 2,
            body: 1 << 20,
            header: Duration::from_secs(5),
            request: Duration::from_mins(1),
        }
    }
}
