//! Counts of what happened since the process started, for `/metrics` and `status`.
//!
//! Counted where events become durable and nowhere else, so that the figures are those of the event log.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::mail::{Event, EventKind};

/// How often each thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Messages accepted.
    pub accepted: u64,
    /// Tries.
    pub attempts: u64,
    /// Tries after which the recipient waits again.
    pub deferred: u64,
    /// Recipients delivered.
    pub delivered: u64,
    /// Recipients that were told to be late.
    pub delayed: u64,
    /// Recipients bounced, by anyone and for any reason.
    pub bounced: u64,
    /// Messages rejected after acceptance.
    pub rejected: u64,
}

static ACCEPTED: AtomicU64 = AtomicU64::new(0);
static ATTEMPTS: AtomicU64 = AtomicU64::new(0);
static DEFERRED: AtomicU64 = AtomicU64::new(0);
static DELIVERED: AtomicU64 = AtomicU64::new(0);
static DELAYED: AtomicU64 = AtomicU64::new(0);
static BOUNCED: AtomicU64 = AtomicU64::new(0);
static REJECTED: AtomicU64 = AtomicU64::new(0);

/// Counts events that have become durable.
pub fn count(events: &[Event]) {
    for event in events {
        let counter = match &event.kind {
            EventKind::Send(_) => &ACCEPTED,
            EventKind::Attempt(attempt) => {
                if attempt.result == "deferred" {
                    DEFERRED.fetch_add(1, Ordering::Relaxed);
                }
                &ATTEMPTS
            }
            EventKind::Delivery(_) => &DELIVERED,
            EventKind::DeliveryDelay(_) => &DELAYED,
            EventKind::Bounce(_) => &BOUNCED,
            EventKind::Reject { .. } => &REJECTED,
            EventKind::Unknown(_) => continue,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The counts now.
pub fn read() -> Tally {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Tally {
        accepted: of(&ACCEPTED),
        attempts: of(&ATTEMPTS),
        deferred: of(&DEFERRED),
        delivered: of(&DELIVERED),
        delayed: of(&DELAYED),
        bounced: of(&BOUNCED),
        rejected: of(&REJECTED),
    }
}
