//! Listening: takes connections, gives each a place and a task, turns away what has no place.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::supervise;

use super::Stop;
use super::caps::{Full, Place};
use super::connection::{Connection, Entry, Shared};
use super::door::Door;
use super::options::Mode;

/// How long to rest when the system gives no connection, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One listener.
pub(super) struct Listener<D> {
    pub(super) socket: TcpListener,
    pub(super) mode: Mode,
    pub(super) shared: Arc<Shared<D>>,
    pub(super) stop: watch::Receiver<Stop>,
}

impl<D: Door> Listener<D> {
    /// Takes connections until the server stops.
    pub(super) async fn run(&self) {
        let mut stop = self.stop.clone();
        loop {
            let taken = tokio::select! {
                taken = self.socket.accept() => taken,
                _ = stop.wait_for(|stop| *stop != Stop::Running) => return,
            };
            match taken {
                Ok((stream, from)) => self.take(stream, from.ip().to_canonical()),
                Err(error) => self.rest(&error).await,
            }
        }
    }

    /// A connection that broke before we had it is nobody's trouble; without file descriptors, trying at once burns a core.
    async fn rest(&self, error: &io::Error) {
        if error.kind() != io::ErrorKind::ConnectionAborted {
            tracing::warn!(%error, "cannot take connections: {error}");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }

    fn take(&self, stream: TcpStream, client: IpAddr) {
        self.shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        match self.admit(client) {
            Ok((place, entry)) => self.begin(stream, client, place, entry),
            Err(greeting) => {
                self.shared.counters.connections_refused.fetch_add(1, Ordering::Relaxed);
                if !matches!(self.mode, Mode::Tls) {
                    // Who is turned away is not waited for: the line fits an empty socket buffer, or it is lost.
                    let _ = stream.try_write(greeting.as_bytes());
                }
            }
        }
    }

    /// A place for the client, or the greeting that turns it away (RFC 5321 §3.1).
    fn admit(&self, client: IpAddr) -> Result<(Place, Entry), &'static str> {
        let entry = match &self.mode {
            Mode::StartTls => Entry::Plain,
            Mode::Tls => Entry::Tls,
            Mode::Trusted { sources, credential } => {
                if !sources.iter().any(|source| source.contains(client)) {
                    return Err("554 5.7.1 Access denied: your address is not trusted here\r\n");
                }
                let known = self.shared.door.trusted(credential, client);
                Entry::Known(known.map_err(|_| {
                    "554 5.7.1 Access denied: the credential of this listener cannot be used\r\n"
                })?)
            }
        };
        match self.shared.caps.enter(client) {
            Ok(place) => Ok((place, entry)),
            Err(Full::All) => Err("421 4.3.2 Too many connections, try again later\r\n"),
            Err(Full::Address) => {
                Err("421 4.7.0 Too many concurrent SMTP connections from your address\r\n")
            }
        }
    }

    fn begin(&self, stream: TcpStream, client: IpAddr, place: Place, entry: Entry) {
        // Replies are small and waited for. A socket that refuses this is slower, not wrong.
        let _ = stream.set_nodelay(true);
        let mut stop = self.stop.clone();
        let connection =
            Connection::new(Arc::clone(&self.shared), stream, client, place, self.stop.clone());
        let serve = async move {
            tokio::select! {
                biased;
                () = connection.serve(entry) => {}
                _ = stop.wait_for(|stop| *stop == Stop::Now) => {}
            }
        };
        drop(supervise::spawn("submission", serve));
    }
}
