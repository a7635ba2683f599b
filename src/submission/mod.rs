//! Submission: the SMTP listeners for applications (RFC 6409, RFC 8314). Drives [`crate::smtp::Session`] and calls the
//! [`Door`].
//!
//! It authenticates, bounds connections, time and octets, and decides nothing about mail. It never writes a 250 that the
//! door did not give.

mod caps;
mod connection;
mod door;
mod listener;
mod options;
mod pace;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::smtp::Profile;
use crate::supervise;

pub use door::{Door, MailDoor};
pub use options::{CapLimits, Deadlines, ListenerOptions, Mode, Options};

use caps::Caps;
use connection::Shared;
use listener::Listener;

/// Whether connections go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// They do.
    Running,
    /// Each ends after its transaction.
    Drain,
    /// All end now.
    Now,
}

/// What happened since the start, for `/metrics`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that came.
    pub connections: AtomicU64,
    /// Those of them that found no place.
    pub connections_refused: AtomicU64,
    /// Logins that were refused.
    pub logins_refused: AtomicU64,
    /// Messages that got their 250.
    pub messages_accepted: AtomicU64,
}

/// The running listeners.
pub struct Submission {
    addresses: Vec<SocketAddr>,
    caps: Arc<Caps>,
    counters: Arc<Counters>,
    stop: watch::Sender<Stop>,
}

/// Why listening did not start.
#[derive(Debug)]
pub enum StartError {
    /// The address cannot be bound.
    Bind(SocketAddr, io::Error),
    /// A listener of [`Mode::Tls`] without a certificate.
    NoCertificate(SocketAddr),
}

/// How often a drain looks whether the last connection has ended.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

impl Submission {
    /// Binds every address, then serves until [`Submission::drain`]. Either all listeners start or none does.
    pub async fn start<D: Door>(options: Options, door: Arc<D>) -> Result<Submission, StartError> {
        let (stop, stopped) = watch::channel(Stop::Running);
        let caps = Caps::new(options.caps);
        let counters = Arc::new(Counters::default());
        let clock = Arc::clone(&options.clock);
        let shared = Arc::new(Shared {
            door,
            profile: Arc::new(Profile {
                host: options.host,
                limits: options.limits,
                clock: Arc::clone(&clock),
            }),
            tls: options.tls.map(TlsAcceptor::from),
            caps: Arc::clone(&caps),
            deadlines: options.deadlines,
            clock,
            counters: Arc::clone(&counters),
        });
        let mut sockets = Vec::with_capacity(options.listeners.len());
        for listener in options.listeners {
            let address = listener.address;
            if matches!(listener.mode, Mode::Tls) && shared.tls.is_none() {
                return Err(StartError::NoCertificate(address));
            }
            let socket = TcpListener::bind(address)
                .await
                .map_err(|error| StartError::Bind(address, error))?;
            let bound = socket.local_addr().map_err(|error| StartError::Bind(address, error))?;
            sockets.push((bound, socket, listener.mode));
        }
        let mut addresses = Vec::with_capacity(sockets.len());
        for (address, socket, mode) in sockets {
            addresses.push(address);
            let (shared, stop) = (Arc::clone(&shared), stopped.clone());
            let listener = Arc::new(Listener { socket, mode, shared, stop });
            drop(supervise::keep("submission listener", move || {
                let listener = Arc::clone(&listener);
                async move { listener.run().await }
            }));
        }
        Ok(Submission { addresses, caps, counters, stop })
    }

    /// Where it listens, in the order of the options.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.caps.open()
    }

    /// Tells at any time how many connections are open.
    pub fn open_connections(&self) -> impl Fn() -> usize + Send + Sync + use<> {
        let caps = Arc::clone(&self.caps);
        move || caps.open()
    }

    /// What happened so far.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Stops listening, tells idle clients 421, lets open transactions end, and after `patience` ends what is left. A
    /// message whose 250 was not written is still the client's.
    pub async fn drain(self, patience: Duration) {
        self.stop.send_replace(Stop::Drain);
        let all_gone = async {
            while self.caps.open() > 0 {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        if tokio::time::timeout(patience, all_gone).await.is_err() {
            let connections = self.caps.open();
            tracing::warn!(connections, "ending {connections} connections in a transaction");
        }
        self.stop.send_replace(Stop::Now);
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Bind(address, error) => write!(
                f,
                "cannot listen on {address}: {error}, choose another address or stop what uses it"
            ),
            StartError::NoCertificate(address) => {
                write!(
                    f,
                    "listener {address} speaks TLS but there is no certificate, name one in [tls]"
                )
            }
        }
    }
}

impl std::error::Error for StartError {}
