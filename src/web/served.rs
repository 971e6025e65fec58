//! What every handler is handed, and the threads that may wait for a disk.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::App;
use super::answer::Refusal;
use crate::declare::Declared;
use crate::inspect::Moment;
use crate::state::{self, Reader, StateError};

/// What every handler is handed.
pub(super) type Shared = Arc<Served>;

pub(super) struct Served {
    app: Arc<App>,
    turns: Arc<Semaphore>,
}

impl Served {
    pub(super) fn new(app: Arc<App>) -> Shared {
        let turns = Arc::new(Semaphore::new(app.limits.heavy_reads));
        Arc::new(Self { app, turns })
    }

    pub(super) fn app(&self) -> &App {
        &self.app
    }

    /// Does what takes long, a few at a time.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&App) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let turns = Arc::clone(&self.turns);
        let turn = turns.acquire_owned().await.expect("it is never closed");
        self.aside(move |app| {
            // Kept until the work is done, even where nobody waits for it any more.
            let _turn = turn;
            work(app)
        })
        .await
    }

    /// Does what takes no longer than a disk does.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&App) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let app = Arc::clone(&self.app);
        let done = spawn_blocking(move || work(&app)).await;
        done.unwrap_or_else(|_| {
            let error = "freshen failed at this; its log says where";
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error))
        })
    }
}

impl App {
    /// What the daemon acts on now.
    pub(super) fn declared(&self) -> Result<Arc<Declared>, Refusal> {
        let declared = self.declared.borrow().clone();
        declared.ok_or_else(|| {
            Refusal::not_now("the manifests have not been read yet").hint("try again in a moment")
        })
    }

    /// The state as it is now.
    pub(super) fn reader(&self) -> Result<Reader, Refusal> {
        let path = self.state.clone();
        Ok(Reader::open(&path)?.ok_or(StateError::Absent { path })?)
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            now_ms: (self.now_ms)(),
            holder: state::holder(&self.state),
        }
    }
}
