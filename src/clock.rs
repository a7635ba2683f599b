//! Time, by the door: everything that asks what time it is asks a [`Clock`].
//!
//! The only file that may call `SystemTime::now` and `Instant::now`. Wall time is stored and shown; spans are measured
//! with uptime, which never goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// Wall time in Unix milliseconds, which may jump either way: never used to measure a span.
    fn now_ms(&self) -> u64;
    /// Time since the clock was made, which never goes back.
    fn uptime(&self) -> Duration;
}

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts counting uptime.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    pub fn start() -> Arc<SystemClock> {
        Arc::new(SystemClock { start: Instant::now() })
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    fn uptime(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicU64,
    uptime_ms: AtomicU64,
}

impl ManualClock {
    /// Wall time `wall_ms`, uptime nought.
    pub fn at(wall_ms: u64) -> Arc<ManualClock> {
        Arc::new(ManualClock { wall_ms: AtomicU64::new(wall_ms), uptime_ms: AtomicU64::new(0) })
    }

    /// Lets `span` pass on both clocks.
    pub fn pass(&self, span: Duration) {
        let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
        self.uptime_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Steps the wall clock alone, as an administrator or NTP does.
    pub fn step_wall(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.uptime_ms.load(Ordering::SeqCst))
    }
}
