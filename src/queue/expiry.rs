//! When a recipient has waited too long. Pure.
//!
//! Never ends a recipient for its age alone: it expires by a try (its own, or the probe of its whole destination) that
//! was made after the moment, so that time spent switched off costs nobody the last try.

use super::options::{QueueOptions, ms};
use super::time::QueueTime;
use crate::mail::Facts;

/// What a message without a sensible expiry gets: SES and RFC 5321 §4.5.4.1 speak of four to five days.
const LIFETIME_MS_DEFAULT: u64 = 4 * 24 * 3600 * 1000;

/// The moments of a message, in queue time, Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    /// From when it has been waiting: its acceptance, or the end of its hold.
    pub since_ms: u64,
    /// From when a failed try is the last.
    pub expires_ms: u64,
    /// From when it counts as delayed.
    pub delayed_ms: u64,
}

impl Moments {
    /// The moments of a message.
    pub fn of(facts: &Facts, time: &QueueTime, options: &QueueOptions) -> Moments {
        let accepted_ms = time.accepted(facts.accepted_ms);
        let held_ms = facts.envelope.hold_until_ms.unwrap_or(0).saturating_sub(facts.accepted_ms);
        let lifetime_ms = match facts.expires_ms.saturating_sub(facts.accepted_ms) {
            0 => held_ms.saturating_add(LIFETIME_MS_DEFAULT),
            span => span,
        };
        let since_ms = accepted_ms.saturating_add(held_ms);
        Moments {
            since_ms,
            expires_ms: accepted_ms.saturating_add(lifetime_ms),
            delayed_ms: since_ms.saturating_add(ms(options.delay_after)),
        }
    }

    /// Whether a try that failed at `tried_ms` was the last.
    pub fn is_last_try(&self, tried_ms: u64) -> bool {
        tried_ms >= self.expires_ms
    }

    /// Whether the delay is to be told now.
    pub fn is_delayed(&self, now_ms: u64, told: bool) -> bool {
        !told && now_ms >= self.delayed_ms
    }

    /// When this recipient has to be looked at again although nothing was tried.
    pub fn look_at_ms(&self, told: bool) -> u64 {
        if told { self.expires_ms } else { self.expires_ms.min(self.delayed_ms) }
    }

    /// A retry at `due_ms` that would come after the expiry comes at it: the last try is made then, not hours later.
    pub fn bound(&self, due_ms: u64, now_ms: u64) -> u64 {
        if now_ms < self.expires_ms { due_ms.min(self.expires_ms) } else { due_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use std::time::Duration;

    const T: u64 = 1_790_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn moments(hold: Option<u64>, expires: u64) -> Moments {
        let mut facts = testing::facts(1, T, &["bob@example.net"]);
        facts.envelope.hold_until_ms = hold;
        facts.expires_ms = expires;
        let time = QueueTime::new(T, Duration::ZERO);
        Moments::of(&facts, &time, &QueueOptions::default())
    }

    #[test]
    fn a_recipient_expires_only_by_a_try_after_the_moment() {
        let m = moments(None, T + 96 * HOUR);
        assert!(!m.is_last_try(T + 96 * HOUR - 1));
        assert!(m.is_last_try(T + 96 * HOUR));
    }

    #[test]
    fn the_last_try_is_made_at_the_expiry() {
        let m = moments(None, T + 96 * HOUR);
        assert_eq!(m.bound(T + 99 * HOUR, T + 95 * HOUR), T + 96 * HOUR);
        assert_eq!(m.bound(T + 99 * HOUR, T + 97 * HOUR), T + 99 * HOUR);
        assert_eq!(m.bound(T + 2 * HOUR, T + HOUR), T + 2 * HOUR);
    }

    #[test]
    fn a_delay_counts_from_the_end_of_a_hold() {
        let m = moments(Some(T + 10 * HOUR), T + 106 * HOUR);
        assert_eq!(m.since_ms, T + 10 * HOUR);
        assert!(!m.is_delayed(T + 13 * HOUR, false));
        assert!(m.is_delayed(T + 14 * HOUR, false));
        assert!(!m.is_delayed(T + 14 * HOUR, true), "once");
    }

    #[test]
    fn a_message_without_an_expiry_gets_four_days() {
        assert_eq!(moments(None, 0).expires_ms, T + 96 * HOUR);
    }
}
