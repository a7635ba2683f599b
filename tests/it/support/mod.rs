//! What the tests share: the real server in a folder of its own, a client that counts every 250, foreign sinks.

pub mod client;
pub mod listener;
pub mod server;
pub mod sink;
pub mod tools;

use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A port that nobody has now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
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
