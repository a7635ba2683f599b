//! The faces: control socket, probes, SMTP listeners. Each stops when told.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::{App, AppError, CONTROL_SOCKET, Hands};
use crate::config::Config;
use crate::http::admin::{self, AdminState};
use crate::http::probes::{self, Probes, SmtpFigures, SmtpWatch};
use crate::submission::{self, MailDoor, Submission};

impl App {
    /// The control socket and the probes.
    pub(super) async fn start_http(
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
            intake: self.intake.clone(),
            queue: self.way.queue.clone(),
            routes: self.way.routes.clone(),
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

    /// The SMTP listeners, last of all: nobody is answered before everything behind him stands.
    pub(super) async fn start_submission(
        &mut self,
        config: &Config,
        hands: &Hands,
    ) -> Result<(), AppError> {
        let tls = self.state.certificate.server_config()?;
        let options = submission::Options::of(config, tls, Arc::clone(&hands.clock));
        let door = MailDoor {
            access: Arc::clone(&self.state.access),
            intake: Arc::new(self.intake.clone()),
        };
        let started = Submission::start(options, Arc::new(door)).await;
        let submission = started.map_err(AppError::Listen)?;
        self.readiness.watch_smtp(figures(&submission));
        self.submission = Some(submission);
        Ok(())
    }
}

/// What the listeners count, for `/metrics`.
fn figures(submission: &Submission) -> SmtpWatch {
    let (open, counters) = (submission.open_connections(), submission.counters());
    Box::new(move || SmtpFigures {
        open: open() as u64,
        connections: counters.connections.load(Ordering::Relaxed),
        refused: counters.connections_refused.load(Ordering::Relaxed),
        logins_refused: counters.logins_refused.load(Ordering::Relaxed),
    })
}
