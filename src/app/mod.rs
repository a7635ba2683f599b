//! The house, built from its configuration: every part once, started in one order and stopped in the other.
//!
//! It decides nothing about mail; it knows who is handed to whom. What a test replaces comes in as [`Hands`].

mod error;
#[cfg(feature = "test-hooks")]
pub mod hooks;
mod options;
mod signals;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::Access;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Loaded};
use crate::egress::Pools;
use crate::events::Events;
use crate::http::admin::{self, AdminState};
use crate::http::probes::{self, Probes, Readiness};
use crate::identity::Identities;
use crate::store::vault::{Vault, VaultError};
use crate::store::{Disk, Opened, RealDisk, Store};
use crate::supervise;
use crate::suppression::Suppression;
pub use error::AppError;
pub use signals::Ended;

/// The control socket's name in the data folder.
pub const CONTROL_SOCKET: &str = "control.sock";

/// What a test puts in the machine's place.
#[derive(Clone)]
pub struct Hands {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Files.
    pub disk: Arc<dyn Disk>,
}

impl Hands {
    /// The machine's own.
    pub fn real() -> Hands {
        Hands { clock: SystemClock::start(), disk: Arc::new(RealDisk) }
    }
}

/// Everything that remembers: floor 2.
#[derive(Clone)]
struct State {
    store: Store,
    events: Events,
    access: Arc<Access>,
    identities: Arc<Identities>,
    #[allow(dead_code, reason = "intake and queue take it when they land")]
    suppression: Suppression,
    pools: Pools,
}

/// The running server.
pub struct App {
    state: State,
    readiness: Arc<Readiness>,
    stop: watch::Sender<bool>,
    /// Tasks that end by themselves once `stop` is true.
    faces: Vec<JoinHandle<Option<()>>>,
    /// Tasks that may be cut at any moment.
    keepers: Vec<JoinHandle<()>>,
}

impl App {
    /// Starts every part; when it returns, mail is taken and systemd knows.
    pub async fn start(loaded: &Loaded, hands: Hands) -> Result<App, AppError> {
        let config = Arc::new(loaded.config.clone());
        let state = open_state(Arc::clone(&config), hands.clone()).await?;
        let (stop, stopped) = watch::channel(false);
        let readiness = Arc::new(Readiness::default());
        let mut app = App { state, readiness, stop, faces: Vec::new(), keepers: Vec::new() };
        app.keepers.push(app.state.events.start());
        app.start_http(&config, &hands, &stopped).await?;
        app.readiness.listening();
        signals::tell_systemd_ready();
        tracing::info!(server.hostname = %config.hostname, "ready: mail is taken");
        Ok(app)
    }

    /// The control socket and the probes.
    async fn start_http(
        &mut self,
        config: &Config,
        hands: &Hands,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), AppError> {
        let path = config.data_dir.join(CONTROL_SOCKET);
        let socket = admin::bind(&path).map_err(|e| AppError::file(&path, e))?;
        let admin = AdminState {
            clock: Arc::clone(&hands.clock),
            hostname: config.hostname.clone(),
            readiness: Arc::clone(&self.readiness),
            store: self.state.store.clone(),
            events: self.state.events.clone(),
            access: Arc::clone(&self.state.access),
            identities: Arc::clone(&self.state.identities),
            suppression: self.state.suppression.clone(),
            pools: self.state.pools.clone(),
        };
        self.face("admin api", admin::serve(socket, admin, stopped.clone()));
        let Some(address) = config.http else { return Ok(()) };
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(|error| AppError::Port { address, error })?;
        let probes = Probes {
            clock: Arc::clone(&hands.clock),
            readiness: Arc::clone(&self.readiness),
            store: self.state.store.clone(),
            events: self.state.events.clone(),
        };
        self.face("probes", probes::serve(listener, probes, stopped.clone()));
        Ok(())
    }

    fn face(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.faces.push(supervise::spawn(name, work));
    }

    /// Serves until a signal or the store ends it, then stops every part in order.
    pub async fn run(self) -> Result<Ended, AppError> {
        let ended = signals::wait(&self.state.store).await?;
        signals::tell_systemd_stopping();
        match ended {
            Ended::Asked => {
                tokio::select! {
                    () = self.stop_in_order() => {}
                    () = signals::again() => tracing::warn!("told twice to stop: ending at once"),
                }
                Ok(Ended::Asked)
            }
            // Nothing more can be made durable, so nothing is worth waiting for.
            Ended::StoreFailed(why) => {
                self.readiness.draining();
                Ok(Ended::StoreFailed(why))
            }
        }
    }

    async fn stop_in_order(self) {
        let App { state, readiness, stop, faces, keepers } = self;
        readiness.draining();
        stop.send_replace(true);
        for face in faces {
            // A face that panicked has been logged; it must not keep the others from stopping.
            let _ = face.await;
        }
        for keeper in keepers {
            keeper.abort();
        }
        let State { store, .. } = state;
        // While the folder is still ours: a name without a server behind it would only mislead.
        let _ = std::fs::remove_file(store.dir().join(CONTROL_SOCKET));
        let _ = supervise::blocking("store close", move || store.close()).await;
        tracing::info!("stopped");
    }
}

async fn open_state(config: Arc<Config>, hands: Hands) -> Result<State, AppError> {
    let opening = supervise::blocking("open", move || {
        make_data_dir(&config.data_dir)?;
        let options = options::store(&config);
        let (store, opened) = Store::open(options, Arc::clone(&hands.clock), hands.disk)?;
        tell(&opened);
        let vault = open_vault(&store, &config.data_dir.join("keys"))?;
        let events = Events::open(&store, Arc::clone(&hands.clock), options::events(&config))
            .map_err(|error| AppError::file(&config.data_dir.join("events"), error))?;
        let bounce =
            config.delivery.bounce_domain.clone().unwrap_or_else(|| config.hostname.clone());
        let clock = Arc::clone(&hands.clock);
        let identities = Identities::open(store.clone(), vault.clone(), clock, bounce)
            .map_err(|error| AppError::Settings(error.to_string()))?;
        let access = Access::open(store.clone(), vault, hands.clock)
            .map_err(|error| AppError::Settings(error.to_string()))?;
        Ok(State {
            events,
            access: Arc::new(access),
            identities: Arc::new(identities),
            suppression: Suppression::open(store.clone())?,
            pools: Pools::one(&config.egress_addresses, &config.hostname),
            store,
        })
    });
    opening.await.unwrap_or(Err(AppError::Panicked))
}

/// The data folder, for its owner's eyes alone.
fn make_data_dir(dir: &Path) -> Result<(), AppError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| AppError::file(dir, error))
}

/// The instance key; made at the first start, never in place of one that is missing beside settings it sealed.
fn open_vault(store: &Store, keys: &Path) -> Result<Vault, AppError> {
    match Vault::open(keys) {
        Err(VaultError::Missing(_)) if store.scan(b"c", None, 1)?.is_empty() => {
            make_data_dir(keys)?;
            Ok(Vault::create(keys)?)
        }
        other => Ok(other?),
    }
}

/// What opening found, once, for the log.
fn tell(opened: &Opened) {
    if opened.fresh {
        tracing::info!("made a new data folder");
    }
    if opened.replayed > 0 || opened.torn_bytes > 0 {
        tracing::info!(
            store.replayed = opened.replayed,
            store.torn_bytes = opened.torn_bytes,
            "replayed {} commits of the log",
            opened.replayed
        );
    }
    for line in &opened.repaired {
        tracing::warn!("repaired: {line}");
    }
    for line in &opened.damaged {
        tracing::error!("damaged: {line}");
    }
}
