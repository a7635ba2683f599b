//! What TCP may know: `/metrics`, `/healthz`, `/readyz`. Figures and yes or no, nothing of mail or people.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::events::Events;
use crate::store::Store;
use crate::supervise;

use super::{connection, metrics};

/// Connections at once: a few scrapers and probes.
const CONNECTIONS_MAX: usize = 64;
/// No connection lives longer, whatever it does; scrapers connect again.
const CONNECTION_AGE_MAX: Duration = Duration::from_mins(1);
/// How long the listener rests after accept failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the SMTP listeners count, since start but for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SmtpFigures {
    /// Connections open now.
    pub open: u64,
    /// Connections that came.
    pub connections: u64,
    /// Those of them that found no place.
    pub refused: u64,
    /// Logins that were refused.
    pub logins_refused: u64,
}

/// Asks the SMTP listeners for their figures.
pub type SmtpWatch = Box<dyn Fn() -> SmtpFigures + Send + Sync>;

/// Whether mail is taken. `app` sets it; `/readyz` and `status` tell it.
#[derive(Default)]
pub struct Readiness {
    listening: AtomicBool,
    draining: AtomicBool,
    smtp: OnceLock<SmtpWatch>,
}

impl Readiness {
    /// All listeners are up.
    pub fn listening(&self) {
        self.listening.store(true, Ordering::Relaxed);
    }

    /// Where the figures of the SMTP listeners come from; the first word holds.
    pub fn watch_smtp(&self, watch: SmtpWatch) {
        // Listeners start once in a process.
        let _ = self.smtp.set(watch);
    }

    /// What the SMTP listeners count; nought before they are up.
    pub fn smtp(&self) -> SmtpFigures {
        self.smtp.get().map(|watch| watch()).unwrap_or_default()
    }

    /// The server is going down: no new mail.
    pub fn draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why mail is not taken, one line each; empty when it is.
    pub fn missing(&self, store: &Store) -> Vec<String> {
        let mut missing = Vec::new();
        if !self.listening.load(Ordering::Relaxed) {
            missing.push("not all listeners are up".to_owned());
        }
        if self.draining.load(Ordering::Relaxed) {
            missing.push("the server is going down".to_owned());
        }
        missing.extend(store.failed().map(|why| format!("the store failed: {why}")));
        missing.extend(store.room().err().map(|no_room| no_room.to_string()));
        missing
    }
}

/// What the probes look at.
pub struct Probes {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Whether mail is taken.
    pub readiness: Arc<Readiness>,
    /// Messages and settings.
    pub store: Store,
    /// What happened.
    pub events: Events,
}

/// Serves the probes until `stop` turns true.
pub async fn serve(listener: TcpListener, probes: Probes, mut stop: watch::Receiver<bool>) {
    let router = router(Arc::new(probes));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = connection::stopped(&mut stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (router, stop) = (router.clone(), stop.clone());
        let serving = async move {
            let served = connection::serve(stream, router, stop);
            // Too long ends it just as well as done.
            let _ = tokio::time::timeout(CONNECTION_AGE_MAX, served).await;
            drop(place);
        };
        drop(supervise::spawn("probe connection", serving));
    }
}

fn router(probes: Arc<Probes>) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(probes)
}

async fn ready(State(probes): State<Arc<Probes>>) -> Response {
    let missing =
        supervise::blocking("readyz", move || probes.readiness.missing(&probes.store)).await;
    match missing {
        Some(missing) if missing.is_empty() => "ready\n".into_response(),
        Some(missing) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", missing.join("\n"))).into_response()
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn show_metrics(State(probes): State<Arc<Probes>>) -> Response {
    let text = supervise::blocking("metrics", move || metrics::text(&probes)).await;
    match text {
        Some(text) => ([(CONTENT_TYPE, metrics::CONTENT)], text).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::clock::SystemClock;
    use crate::events::EventsOptions;
    use crate::store::{RealDisk, StoreOptions};

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn tcp_tells_figures_and_whether_mail_is_taken_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let clock = SystemClock::start();
        let options = StoreOptions::new(dir.path());
        let (store, _) = Store::open(options, clock.clone(), RealDisk::shared()).unwrap();
        let events = Events::open(&store, clock.clone(), EventsOptions::default()).unwrap();
        let readiness = Arc::new(Readiness::default());
        let probes = Probes { clock, readiness: Arc::clone(&readiness), store, events };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let served = supervise::spawn("test", serve(listener, probes, stopped));

        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("listeners"), "{answer}");
        readiness.listening();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        let figures = SmtpFigures { open: 4711, ..SmtpFigures::default() };
        readiness.watch_smtp(Box::new(move || figures));
        assert!(get(address, "/metrics").await.contains("smtp_connections_open 4711"));
        readiness.draining();
        assert!(get(address, "/readyz").await.contains("going down"));
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/api/v1/status").await.starts_with("HTTP/1.1 404"));
        let metrics = get(address, "/metrics").await;
        for name in ["messages_accepted_total", "disk_free_bytes", "resident_bytes", "panics_total"]
        {
            assert!(metrics.contains(&format!("\npostrider_{name} ")), "{name} in {metrics}");
        }
        stop.send_replace(true);
        assert_eq!(served.await.unwrap(), Some(()));
    }
}
