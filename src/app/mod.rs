//! The house, built from its configuration: every part once, started in one order and stopped in the other.
//!
//! It decides nothing about mail; it knows who is handed to whom. What a test replaces comes in as [`Hands`].

mod error;
mod faces;
#[cfg(feature = "test-hooks")]
pub mod hooks;
mod mail;
mod options;
mod signals;
mod state;
mod wires;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::Access;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Loaded};
use crate::egress::routes::Pattern;
use crate::http::probes::Readiness;
use crate::identity::Identities;
use crate::intake::{Intake, IntakeParts};
use crate::store::{Disk, RealDisk};
use crate::submission::Submission;
use crate::supervise;
pub use error::AppError;
use mail::Way;
pub use options::store as store_options;
pub use signals::Ended;
use state::State;

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

/// The running server.
pub struct App {
    state: State,
    intake: Intake,
    way: Way,
    submission: Option<Submission>,
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
        let state = state::open(Arc::clone(&config), hands.clone()).await?;
        let (stop, stopped) = watch::channel(false);
        let readiness = Arc::new(Readiness::default());
        let way = mail::build(&config, &state, &hands).await?;
        let intake = door(&state, &config, &hands);
        let (faces, keepers) = (Vec::new(), Vec::new());
        let mut app = App { state, intake, way, submission: None, readiness, stop, faces, keepers };
        app.keepers.push(app.state.events.start());
        let list = app.state.suppression.clone();
        app.keepers.push(supervise::keep("suppression", move || list.clone().run()));
        app.keepers.push(app.way.queue.run());
        app.start_http(&config, &hands, &stopped).await?;
        app.start_submission(&config, &hands).await?;
        app.readiness.listening();
        signals::tell_systemd_ready();
        tracing::info!(server.hostname = %config.hostname, "ready: mail is taken");
        Ok(app)
    }

    /// Credentials.
    pub fn access(&self) -> &Access {
        &self.state.access
    }

    /// Brings all mail that no other route takes to the simulator, so that nothing leaves this machine.
    pub async fn route_all_to_simulator(&self) -> Result<(), AppError> {
        let route = mail::to_simulator(Pattern::All, &self.way.simulator);
        let routed = self.way.routes.add(route).await;
        routed.map_err(|error| AppError::Settings(error.to_string()))
    }

    /// Sending domains.
    pub fn identities(&self) -> &Identities {
        &self.state.identities
    }

    fn face(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.faces.push(supervise::spawn(name, work));
    }

    /// Serves until a signal or the store ends it, then stops every part in order.
    pub async fn run(self) -> Result<Ended, AppError> {
        let ended = signals::wait(&self.state).await?;
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
        let App { state, intake, way, submission, readiness, stop, faces, keepers } = self;
        readiness.draining();
        if let Some(submission) = submission {
            submission.drain(options::SESSIONS_DRAIN).await;
        }
        drop(intake);
        way.queue.stop().await;
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

fn door(state: &State, config: &Config, hands: &Hands) -> Intake {
    Intake::new(IntakeParts {
        store: state.store.clone(),
        access: Arc::clone(&state.access),
        identities: Arc::clone(&state.identities),
        pools: state.pools.clone(),
        suppression: state.suppression.clone(),
        return_paths: state.return_paths.clone(),
        hostname: config.hostname.clone(),
        clock: Arc::clone(&hands.clock),
        limits: options::intake(config),
    })
}
