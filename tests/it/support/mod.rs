//! What the tests share: the real server in a folder of its own, a client that counts every 250, foreign sinks.

pub mod client;
pub mod listener;
pub mod server;
pub mod sink;
pub mod tools;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A port that nobody has now, below those that the system gives to outgoing connections: one of these could take it
/// while a server is down.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const PORTS: std::ops::Range<u32> = 10_000..32_000;
    loop {
        // Runs beside this one start elsewhere.
        let at = std::process::id().wrapping_mul(61) + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(PORTS.start + at % (PORTS.end - PORTS.start)).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until `ready` gives something; a wait that ends without names what it waited for.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the long lengths are asked for (`tests/run --long`).
pub fn long() -> bool {
    std::env::var_os("POSTRIDER_LONG").is_some()
}
