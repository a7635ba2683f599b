//! How full the queue and the disk are: asked for every message, looked up a few times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::limits::IntakeLimits;
use super::refusal::Refusal;
use crate::clock::Clock;
use crate::store::{Store, StoreStatus};

/// How long an answer holds. What can come in meanwhile is far below what the bounds keep free.
const FRESH_FOR: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Gauge {
    store: Store,
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
    /// Recipients of messages accepted since the last look.
    since: AtomicU64,
}

struct Seen {
    at: Option<Duration>,
    recipients: u64,
    octets: u64,
    room: bool,
}

impl Gauge {
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>) -> Gauge {
        let seen = Seen { at: None, recipients: 0, octets: 0, room: false };
        Gauge { store, clock, seen: Mutex::new(seen), since: AtomicU64::new(0) }
    }

    /// Whether there is room for a message of `recipients`.
    pub(super) fn check(&self, recipients: u64, limits: &IntakeLimits) -> Result<(), Refusal> {
        let now = self.clock.uptime();
        let mut seen = self.seen.lock();
        if seen.at.is_none_or(|at| now.saturating_sub(at) >= FRESH_FOR) {
            let status = self.store.status();
            *seen = Seen {
                at: Some(now),
                recipients: status.waiting,
                octets: octets_in_use(&status),
                room: self.store.room().is_ok(),
            };
            self.since.store(0, Ordering::Relaxed);
        }
        let waiting = seen.recipients + self.since.load(Ordering::Relaxed);
        if !seen.room {
            return Err(Refusal::DiskLow);
        }
        if waiting.saturating_add(recipients) > limits.queued_recipients_max
            || seen.octets >= limits.queued_octets_max
        {
            return Err(Refusal::QueueFull);
        }
        Ok(())
    }

    /// Counts the recipients of a message that was accepted.
    pub(super) fn accepted(&self, recipients: u64) {
        self.since.fetch_add(recipients, Ordering::Relaxed);
    }
}

/// Octets of the log without the segments that are only kept for reuse.
fn octets_in_use(status: &StoreStatus) -> u64 {
    let all = (status.segments + status.spare_segments).max(1);
    status.log_bytes / all * status.segments
}
