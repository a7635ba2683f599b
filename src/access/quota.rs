//! What a credential has used: a rate by the second and a window of 24 hours. Pure: time comes in as a number.
//!
//! The window is counted in hours, each of which is one small record, written in the commit of the message that it counts.
//! It forgets nothing at a restart; a crash may count messages that were in flight, accepted or not, at most once.

use std::collections::BTreeMap;
use std::time::Duration;

const HOUR_MS: u64 = 3_600_000;
/// The window slides over this many whole hours and parts of the two at its ends.
const WINDOW_HOURS: u64 = 24;
/// Recipients that may come at once, as seconds of the rate: a client's own clock is not exact.
const BURST: Duration = Duration::from_secs(1);

/// Use of one credential.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// Recipients by hour since the epoch, of the last 25 hours.
    hours: BTreeMap<u64, u64>,
    /// Uptime at which the rate is met again.
    ready: Duration,
    /// When it was last used, Unix milliseconds.
    pub(super) last_used_ms: u64,
}

/// The hour of a wall time.
pub(super) fn hour_of(now_ms: u64) -> u64 {
    now_ms / HOUR_MS
}

impl Usage {
    /// Recipients in the 24 hours before `now_ms`; of the oldest hour the part that is still inside.
    ///
    /// Hours in the future count too: setting the clock back gives nobody a new quota.
    pub(super) fn in_window(&self, now_ms: u64) -> u64 {
        let hour = hour_of(now_ms);
        let whole: u64 =
            self.hours.range(hour.saturating_sub(WINDOW_HOURS - 1)..).map(|(_, n)| n).sum();
        let oldest = hour.checked_sub(WINDOW_HOURS).and_then(|hour| self.hours.get(&hour));
        let inside_ms = HOUR_MS - now_ms % HOUR_MS;
        let part = oldest.map_or(0, |n| n.saturating_mul(inside_ms).div_ceil(HOUR_MS));
        whole + part
    }

    /// Whether the rate allows another recipient at uptime `now`.
    pub(super) fn rate_allows(&self, now: Duration, per_second: Option<u32>) -> bool {
        let Some(per_second) = per_second else { return true };
        self.ready.saturating_sub(now) + Duration::from_secs(1) / per_second.max(1) <= BURST
    }

    /// Takes `recipients` from the rate. A message of more recipients than the rate is allowed and makes the next one wait.
    pub(super) fn charge_rate(&mut self, now: Duration, per_second: Option<u32>, recipients: u32) {
        let Some(per_second) = per_second else { return };
        let span = Duration::from_secs(u64::from(recipients)) / per_second.max(1);
        self.ready = self.ready.max(now).saturating_add(span);
    }

    /// Counts recipients in an hour; gives what the hour's record says from now on.
    pub(super) fn add(&mut self, hour: u64, recipients: u64) -> u64 {
        let count = self.hours.entry(hour).or_default();
        *count = count.saturating_add(recipients);
        *count
    }

    /// Takes back what was counted for a message that was not accepted.
    pub(super) fn give_back(&mut self, hour: u64, recipients: u64) {
        if let Some(count) = self.hours.get_mut(&hour) {
            *count = count.saturating_sub(recipients);
        }
    }

    /// What an hour's record says now.
    pub(super) fn of_hour(&self, hour: u64) -> u64 {
        self.hours.get(&hour).copied().unwrap_or_default()
    }

    /// Drops the hours that have left the window for good and names them, so that their records can go.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<u64> {
        let first = hour_of(now_ms).saturating_sub(WINDOW_HOURS);
        let kept = self.hours.split_off(&first);
        std::mem::replace(&mut self.hours, kept).into_keys().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64, minutes: u64) -> u64 {
        (1_000 + hours) * HOUR_MS + minutes * 60_000
    }

    #[test]
    fn a_recipient_leaves_the_window_after_24_hours_and_not_before() {
        let mut usage = Usage::default();
        usage.add(hour_of(at(0, 30)), 60);
        for (hours, minutes, want) in [
            (0, 30, 60),
            (23, 59, 60),
            (24, 0, 60),
            (24, 30, 30),
            (24, 59, 1),
            (25, 0, 0),
            (90, 0, 0),
        ] {
            assert_eq!(usage.in_window(at(hours, minutes)), want, "at {hours}:{minutes}");
        }
    }

    #[test]
    fn a_clock_set_back_gives_no_new_quota() {
        let mut usage = Usage::default();
        usage.add(hour_of(at(48, 0)), 7);
        assert_eq!(usage.in_window(at(0, 0)), 7);
    }

    #[test]
    fn what_has_left_the_window_is_dropped_and_named() {
        let mut usage = Usage::default();
        for hour in 0..40 {
            usage.add(hour_of(at(hour, 0)), 1);
        }
        let gone = usage.expire(at(39, 10));
        assert_eq!(gone, (0..15).map(|hour| hour_of(at(hour, 0))).collect::<Vec<_>>());
        assert_eq!(usage.hours.len(), 25);
    }

    #[test]
    fn the_rate_lets_a_second_s_worth_through_and_then_makes_wait() {
        let mut usage = Usage::default();
        let (start, rate) = (Duration::from_secs(100), Some(10));
        let mut let_through = 0;
        while usage.rate_allows(start, rate) {
            usage.charge_rate(start, rate, 1);
            let_through += 1;
        }
        assert_eq!(let_through, 10);
        assert!(!usage.rate_allows(start, rate));
        assert!(usage.rate_allows(start + Duration::from_millis(101), rate));
        assert!(usage.rate_allows(start, None));
    }

    #[test]
    fn a_message_of_many_recipients_is_paid_for_afterwards() {
        let mut usage = Usage::default();
        let start = Duration::from_secs(100);
        usage.charge_rate(start, Some(10), 1_000);
        assert!(!usage.rate_allows(start + Duration::from_secs(98), Some(10)));
        assert!(usage.rate_allows(start + Duration::from_millis(99_101), Some(10)));
    }

    #[test]
    fn what_was_not_accepted_is_not_counted() {
        let mut usage = Usage::default();
        assert_eq!(usage.add(5, 3), 3);
        assert_eq!(usage.add(5, 4), 7);
        usage.give_back(5, 4);
        assert_eq!(usage.of_hour(5), 3);
    }
}
