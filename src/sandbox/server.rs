//! The sandbox's server: a thread and a runtime of its own (edge: network).

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tokio::sync::oneshot;

use super::control;
use super::cut::{Cut, CutListener};
use super::faults::{Account, Failure, Faults, Poison, Rule};
use super::options::Options;
use super::world::{Received, World};

/// Where the IPS service lives.
pub(super) const SERVICE_PATH: &str = "/scene7/services/IpsApiService";

/// A running sandbox; it ends when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    origin: SocketAddr,
    world: Arc<Mutex<World>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts to serve. Fails where the address is not on loopback, or taken.
    pub fn start(options: Options) -> io::Result<Self> {
        if !options.listen.ip().is_loopback() {
            let error = "the sandbox listens on loopback only";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        let (listener, address) = bind(options.listen)?;
        let (origin_listener, origin) = bind((options.listen.ip(), 0).into())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let world = Arc::new(Mutex::new(World::new(options)));
        let (served, shown) = (Arc::clone(&world), Arc::clone(&world));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = serve(listener, served) => {}
                        _ = serve_origin(origin_listener, shown) => {}
                        _ = stopped => {}
                    }
                });
                // Calls that hang must not keep the program from ending.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            address,
            origin,
            world,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Root of the edge, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Root of the origin behind it, which caches nothing.
    pub fn origin_url(&self) -> String {
        format!("http://{}", self.origin)
    }

    /// How often the origin was visited there.
    pub fn origin_visits(&self) -> u64 {
        self.world().origin_visits
    }

    /// URL of the IPS service.
    pub fn endpoint(&self) -> String {
        format!("http://{}{SERVICE_PATH}", self.address)
    }

    /// Stores an asset's new bytes; visitors do not see them yet. The asset is
    /// named as it stands in URLs.
    pub fn upload(&self, asset: &str, bytes: impl Into<Vec<u8>>) {
        self.world().upload(asset, bytes.into());
    }

    /// Lets the origin serve what was last uploaded; `false` where nothing was.
    pub fn publish(&self, asset: &str) -> bool {
        self.world().publish(asset)
    }

    /// How often the edge was visited.
    pub fn visits(&self) -> u64 {
        self.world().visits
    }

    /// Puts an asset of that type into a folder of the account, marked for
    /// publish; nothing is uploaded.
    pub fn put(&self, asset: &str, folder: &str, kind: &str) {
        self.world().put(asset, folder, kind);
    }

    /// Marks an asset for publish, or takes the mark away.
    pub fn mark(&self, asset: &str, is_marked: bool) {
        self.world().assets.mark(asset, is_marked);
    }

    /// Takes an asset out of the account; its folder stays.
    pub fn remove(&self, asset: &str) {
        self.world().assets.remove(asset);
    }

    /// Takes a folder out of the account, with what is in it.
    pub fn remove_folder(&self, folder: &str) {
        self.world().assets.remove_folder(folder);
    }

    /// Defines an image preset of the account, or defines it anew.
    pub fn define(&self, preset: &str, modifier: &str) {
        self.world().define(preset, modifier);
    }

    /// Takes all image presets out of the account.
    pub fn remove_presets(&self) {
        self.world().remove_presets();
    }

    /// Replaces all faults.
    pub fn set_faults(&self, faults: Faults) {
        self.world().faults = faults;
    }

    /// Adds a failure for the next `times` calls, or until switched off.
    pub fn fail(&self, failure: Failure, times: Option<u32>) {
        let rule = Rule {
            failure,
            times,
            operation: None,
        };
        self.world().faults.rules.push(rule);
    }

    /// Makes the service refuse `url` with 30001, naming it or not.
    pub fn poison(&self, url: &str, named: bool) {
        let poison = Poison {
            url: url.to_owned(),
            code: 30_001,
            named,
            drops: false,
        };
        self.world().faults.poison.push(poison);
    }

    /// Makes the account another than the options say.
    pub fn set_account(&self, account: Account) {
        self.world().faults.account = account;
    }

    /// Every call so far, in order of arrival.
    pub fn calls(&self) -> Vec<Received> {
        self.world().calls.clone()
    }

    /// How often each URL was accepted.
    pub fn accepted(&self) -> BTreeMap<String, u64> {
        self.world().accepted.clone()
    }

    /// Moves the edge's clock forward.
    pub fn advance(&self, by: Duration) {
        self.world().ahead += by;
    }

    /// Stops, and waits until the port is free.
    pub fn stop(self) {
        drop(self);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked_and_said_so = thread.join();
        }
    }
}

/// The world; each change of it is complete when the lock is released.
pub(super) fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world
        .lock()
        .expect("nothing panics while it holds the lock")
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve_origin(listener: TcpListener, world: Arc<Mutex<World>>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let service = Router::new().fallback(control::show).with_state(world);
    axum::serve(listener, service).await
}

async fn serve(listener: TcpListener, world: Arc<Mutex<World>>) -> io::Result<()> {
    let listener = CutListener(tokio::net::TcpListener::from_std(listener)?);
    let service = Router::new()
        .fallback(control::handle)
        .with_state(world)
        .into_make_service_with_connect_info::<Cut>();
    axum::serve(listener, service).await
}
