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

impl Tally {
    /// What `events` come to.
    pub fn of(events: &[Event]) -> Tally {
        let mut tally = Tally::default();
        for event in events {
            match &event.kind {
                EventKind::Send(_) => tally.accepted += 1,
                EventKind::Attempt(attempt) => {
                    tally.attempts += 1;
                    tally.deferred += u64::from(attempt.result == "deferred");
                }
                EventKind::Delivery(_) => tally.delivered += 1,
                EventKind::DeliveryDelay(_) => tally.delayed += 1,
                EventKind::Bounce(_) => tally.bounced += 1,
                EventKind::Reject { .. } => tally.rejected += 1,
                EventKind::Unknown(_) => {}
            }
        }
        tally
    }

    /// Adds this to the counts: its events are durable now.
    pub fn count(&self) {
        let pairs = [
            (&ACCEPTED, self.accepted),
            (&ATTEMPTS, self.attempts),
            (&DEFERRED, self.deferred),
            (&DELIVERED, self.delivered),
            (&DELAYED, self.delayed),
            (&BOUNCED, self.bounced),
            (&REJECTED, self.rejected),
        ];
        for (counter, number) in pairs {
            if number > 0 {
                counter.fetch_add(number, Ordering::Relaxed);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::MessageId;
    use crate::mail::event::{Attempt, Delivery};

    #[test]
    fn events_are_counted_by_what_they_say() {
        let event = |kind| Event {
            at_ms: 0,
            tenant: 0,
            message: MessageId::new(0, 0, 0),
            recipient: None,
            config_set: 0,
            pool: 1,
            kind,
            unknown: Vec::new(),
        };
        let attempt = |result: &str| {
            event(EventKind::Attempt(Attempt { result: result.into(), ..Attempt::default() }))
        };
        let delivery = event(EventKind::Delivery(Delivery::default()));
        let tally = Tally::of(&[attempt("deferred"), attempt("delivered"), delivery]);
        assert_eq!(tally, Tally { attempts: 2, deferred: 1, delivered: 1, ..Tally::default() });
        let before = read();
        tally.count();
        assert!(read().delivered > before.delivered);
    }
}
