//! A Bloom filter in memory: says "surely not suppressed" for nearly every recipient, so that their look-up touches no disk.
//!
//! It may say "perhaps" wrongly, never "surely not". What is removed stays in it until it is built anew.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits for each address that is expected: about one wrong "perhaps" in a hundred.
const BITS_PER_ADDRESS: u64 = 10;
/// Bits set and asked for each address.
const PROBES: u32 = 7;
/// 8 KiB, for six thousand addresses.
const BITS_MIN: u64 = 1 << 16;
/// 64 MiB, for fifty million; beyond that it says "perhaps" more often, and grows no further.
const BITS_MAX: u64 = 1 << 29;

/// See the module.
#[derive(Debug)]
pub(super) struct Filter {
    words: Box<[AtomicU64]>,
    bits: u64,
}

impl Filter {
    /// An empty filter for about `addresses` addresses.
    pub(super) fn for_addresses(addresses: u64) -> Filter {
        let bits = addresses
            .saturating_mul(BITS_PER_ADDRESS)
            .checked_next_power_of_two()
            .unwrap_or(BITS_MAX)
            .clamp(BITS_MIN, BITS_MAX);
        let words = (0..bits / 64).map(|_| AtomicU64::new(0)).collect();
        Filter { words, bits }
    }

    /// For how many addresses it was made; with more it should be built anew, unless that gives no larger one.
    pub(super) fn capacity(&self) -> u64 {
        if self.bits >= BITS_MAX { u64::MAX } else { self.bits / BITS_PER_ADDRESS }
    }

    /// Puts an address's hash in.
    pub(super) fn insert(&self, hash: u64) {
        for bit in self.probes(hash) {
            if let Some(word) = self.word(bit) {
                word.fetch_or(1 << (bit % 64), Ordering::Relaxed);
            }
        }
    }

    /// Whether the address of this hash may be in it.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.probes(hash).all(|bit| {
            self.word(bit).is_none_or(|word| word.load(Ordering::Relaxed) & (1 << (bit % 64)) != 0)
        })
    }

    fn word(&self, bit: u64) -> Option<&AtomicU64> {
        self.words.get(usize::try_from(bit / 64).ok()?)
    }

    /// Double hashing with the two halves of a hash that is uniform already; the number of bits is a power of two.
    fn probes(&self, hash: u64) -> impl Iterator<Item = u64> + use<> {
        let (step, mask) = ((hash >> 32) | 1, self.bits - 1);
        (0..u64::from(PROBES)).map(move |n| hash.wrapping_add(n.wrapping_mul(step)) & mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suppression::bucket::hash_of;

    #[test]
    fn a_full_filter_never_denies_and_is_seldom_wrong() {
        let count = 20_000;
        let filter = Filter::for_addresses(count);
        let of = |n: u64| hash_of(&format!("someone.{n}@example.org"));
        (0..count).for_each(|n| filter.insert(of(n)));
        assert!((0..count).all(|n| filter.may_hold(of(n))));
        let wrong = (count..count + 100_000).filter(|n| filter.may_hold(of(*n))).count();
        assert!(wrong < 1_500, "{wrong} of 100,000");
    }

    #[test]
    fn a_filter_is_bounded() {
        assert_eq!(Filter::for_addresses(0).bits, BITS_MIN);
        assert_eq!(Filter::for_addresses(u64::MAX).bits, BITS_MAX);
        assert_eq!(Filter::for_addresses(u64::MAX).capacity(), u64::MAX);
        assert!(Filter::for_addresses(1_000_000).words.len() * 8 <= 2 << 20);
    }
}
