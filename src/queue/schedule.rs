//! When a failed try is repeated. Pure: no clock, no random numbers.

use std::time::Duration;

use crate::mail::MessageId;

/// Waits double until here; 2^20 minutes are two years.
const DOUBLINGS_MAX: u32 = 20;

/// The wait after failed try `attempt` (from 1): `first`, doubled each time up to `max`, give or take a fifth.
///
/// `chance` is spread over all of `u64`; it keeps recipients that failed together from coming back together.
pub fn wait(attempt: u32, first: Duration, max: Duration, chance: u64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(DOUBLINGS_MAX);
    let middle = first.saturating_mul(1 << doublings).min(max);
    let fifth = middle / 5;
    // The upper half of `chance` as a fraction of two fifths, without leaving integers.
    let part = u32::try_from(chance >> 32).unwrap_or(u32::MAX);
    let spread = fifth.saturating_mul(2).as_nanos() * u128::from(part) / u128::from(u32::MAX);
    let spread = Duration::from_nanos(u64::try_from(spread).unwrap_or(u64::MAX));
    middle.saturating_sub(fifth).saturating_add(spread)
}

/// A number that looks like chance and is the same for the same try, so that a test can repeat it.
pub fn chance(id: MessageId, n: u32, attempt: u32) -> u64 {
    let start = mix(u64::from(n) << 32 | u64::from(attempt));
    id.octets().chunks(8).fold(start, |seed, octets| {
        mix(seed ^ octets.iter().fold(0, |word, &octet| word << 8 | u64::from(octet)))
    })
}

/// The finaliser of splitmix64: every bit of the input moves half the bits of the output.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const CAP: Duration = Duration::from_hours(4);

    #[track_caller]
    fn check(attempt: u32, middle_secs: u64) {
        let middle = Duration::from_secs(middle_secs);
        assert_eq!(wait(attempt, MINUTE, CAP, 0), middle * 4 / 5, "least, attempt {attempt}");
        assert_eq!(wait(attempt, MINUTE, CAP, u64::MAX), middle * 6 / 5, "most, attempt {attempt}");
    }

    #[test]
    fn the_first_retry_comes_after_a_minute_and_then_they_double_to_the_cap() {
        check(0, 60);
        check(1, 60);
        check(2, 120);
        check(5, 960);
        check(8, 7680);
        check(9, 4 * 3600);
        check(u32::MAX, 4 * 3600);
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_a_fifth_of_its_middle(attempt: u32, first_s in 1u64..86_400, cap_s in 1u64..864_000, chance: u64) {
            let (first, cap) = (Duration::from_secs(first_s), Duration::from_secs(cap_s));
            let wait = wait(attempt, first, cap, chance);
            prop_assert!(wait <= cap * 6 / 5);
            prop_assert!(wait >= first.min(cap) * 4 / 5);
        }
    }

    #[test]
    fn recipients_that_failed_together_come_back_spread_out() {
        let id = MessageId::new(1_700_000_000_000, 0, 1);
        let mut tenths = [0u32; 10];
        for n in 0..1000 {
            let chance = chance(id, n, 1);
            tenths[usize::try_from(chance / (u64::MAX / 10 + 1)).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|&count| (60..150).contains(&count)), "{tenths:?}");
    }
}
