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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn answer(request: &[u8], stop: bool) -> String {
        let router = Router::new().route("/", get(|| async { "here" }));
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let (sender, stopped) = watch::channel(false);
        client.write_all(request).await.unwrap();
        let reading = async {
            if stop {
                sender.send_replace(true);
            }
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (answer, ()) = tokio::join!(reading, serve(server, router, stopped));
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_is_cut_at_its_deadline() {
        let answer = answer(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ", false).await;
        assert!(!answer.contains("here"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_connection_that_says_nothing_more_is_closed() {
        let answer = answer(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", false).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_beyond_its_bounds_is_refused() {
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        for head in [many, format!("a: {}\r\n", "x".repeat(2 * HEAD_OCTETS_MAX))] {
            let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{head}\r\n");
            let answer = answer(request.as_bytes(), false).await;
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_idle_connections_at_once() {
        let answer = answer(b"", true).await;
        assert_eq!(answer, "");
    }
}
