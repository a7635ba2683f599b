//! The mailbox simulator: an SMTP receiver on loopback, inside the process, that answers as SES's simulator addresses do.
//!
//! Mail to it takes the whole way of any mail, over a real connection, and never leaves the machine: `app` adds a route
//! from [`Simulator::domains`] to [`Simulator::address`]. It keeps nothing of what it is sent.

pub mod behaviour;
mod connection;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::mail::Domain;
use crate::smtp::{Limits, Profile};
use crate::supervise;

use connection::Simulation;

/// Connections at once; more wait in the socket's own line. Deliveries to one destination are fewer.
const CONNECTIONS_MAX: usize = 256;

/// Octets of a message: whatever was accepted must fit.
const MESSAGE_BYTES_MAX: u64 = 1 << 30;

/// How long to rest when the system gives no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running simulator; dropping it ends it.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    domains: Vec<Domain>,
    _running: watch::Sender<()>,
}

impl Simulator {
    /// Starts the simulator of this host on a free loopback port.
    pub async fn start(host: &Domain, clock: Arc<dyn Clock>) -> io::Result<Simulator> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let domains = behaviour::domains(host);
        let name = domains.first().unwrap_or(host).clone();
        let limits = Limits { message_bytes_max: MESSAGE_BYTES_MAX, ..Limits::default() };
        let limits = Limits { message_copies_bytes_max: u64::MAX, ..limits };
        let profile = Arc::new(Profile { host: name, limits, clock });
        let (running, ended) = watch::channel(());
        let simulation = Simulation { profile, domains: domains.clone().into() };
        let (socket, places) = (Arc::new(socket), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        drop(supervise::keep("simulator", move || {
            listen(Arc::clone(&socket), simulation.clone(), Arc::clone(&places), ended.clone())
        }));
        Ok(Simulator { address, domains, _running: running })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The domains it answers for.
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }
}

/// Takes connections until the simulator is dropped.
async fn listen(
    socket: Arc<TcpListener>,
    simulation: Simulation,
    places: Arc<Semaphore>,
    mut ended: watch::Receiver<()>,
) {
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let taken = tokio::select! {
            taken = socket.accept() => taken,
            _ = ended.changed() => return,
        };
        let Ok((stream, _)) = taken else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (simulation, mut ended) = (simulation.clone(), ended.clone());
        drop(supervise::spawn("simulator connection", async move {
            tokio::select! {
                // How a delivery ends is in its own event; nobody looks for it here.
                _ = simulation.serve(stream) => {}
                _ = ended.changed() => {}
            }
            drop(place);
        }));
    }
}
