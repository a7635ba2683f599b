//! One HTTP connection, with every deadline and bound that hyper does not set by itself.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// From the first octet of a request's head to its last, also while a kept connection is idle.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Octets of a head, and of anything hyper holds unparsed.
const HEAD_OCTETS_MAX: usize = 64 * 1024;
/// Header fields of a request.
const HEADERS_MAX: usize = 64;
/// What a request in flight gets when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Serves requests until the other side is done, a deadline passes or `stop` turns true.
pub(super) async fn serve<I>(io: I, router: Router, mut stop: watch::Receiver<bool>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Without a timer hyper has no header deadline, and a trickle holds the connection for ever.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_OCTETS_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(STOP_GRACE, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        // Whoever called has hung up or was too slow; it knows.
        tracing::debug!(error = %error, "http connection ended: {error}");
    }
}

/// Resolves when the server stops, also when whoever would say so is gone.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
