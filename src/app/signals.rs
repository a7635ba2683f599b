//! What tells the server to end, and whom it tells in turn: signals, the store's failure, systemd.

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::AppError;
use super::state::State;
use crate::supervise;

/// Why the server ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// A signal asked for it.
    Asked,
    /// A write or sync failed; nothing more can be made durable.
    StoreFailed(String),
}

/// Waits for SIGTERM or SIGINT, or for the store to fail; hears SIGHUP meanwhile.
pub(super) async fn wait(state: &State) -> Result<Ended, AppError> {
    let store = &state.store;
    let mut term = listen(SignalKind::terminate())?;
    let mut int = listen(SignalKind::interrupt())?;
    let mut hup = listen(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(Ended::Asked),
            _ = int.recv() => return Ok(Ended::Asked),
            () = store.wait_failed() => {
                let why = store.failed().unwrap_or_else(|| "no reason given".to_owned());
                return Ok(Ended::StoreFailed(why));
            }
            _ = hup.recv() => read_certificate_again(state).await,
        }
    }
}

/// What SIGHUP can do: the certificate. Everything else of the bootstrap file needs a restart, and it says so.
async fn read_certificate_again(state: &State) {
    let certificate = state.certificate.clone();
    match supervise::blocking("certificate", move || certificate.reload()).await {
        Some(Ok(())) => tracing::info!(
            "SIGHUP: the certificate was read again; other changes of the bootstrap file need a restart"
        ),
        Some(Err(error)) => {
            tracing::error!(error = %error, "SIGHUP: {error}; the old certificate stays in use");
        }
        None => {}
    }
}

/// Waits for a second signal.
pub(super) async fn again() {
    let (Ok(mut term), Ok(mut int)) =
        (listen(SignalKind::terminate()), listen(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

fn listen(kind: SignalKind) -> Result<Signal, AppError> {
    signal(kind).map_err(|error| AppError::Machine(format!("signals cannot be heard: {error}")))
}

/// `READY=1`, where systemd listens.
pub(super) fn tell_systemd_ready() {
    notify(NotifyState::Ready);
}

/// `STOPPING=1`, where systemd listens.
pub(super) fn tell_systemd_stopping() {
    notify(NotifyState::Stopping);
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(error = %error, "systemd was not told: {error}");
    }
}
