//! Lock-out of those who guess: pure bookkeeping of failures by address and by user, in bounded tables.
//!
//! Never asks whether a user exists, so that it cannot tell. An address that fails too often is locked for growing spans. A user
//! whom many addresses guess at leaves each of them one failure instead of five; it is never locked for an address that has not
//! failed, so the owner is still let in from elsewhere. Who was let in from an address before is checked despite the
//! failures of others there: one stale application cannot lock out its neighbours behind the same address.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Failures that an address has before it is locked: people mistype, applications are configured wrongly once.
const ADDRESS_FREE: u32 = 5;
/// The same, at a user who is being guessed at.
const ADDRESS_FREE_AT_ATTACKED_USER: u32 = 1;
/// Failures, from wherever, that make a user one who is being guessed at.
const USER_FREE: u32 = 20;
/// The first lock; each further failure doubles it.
const LOCK_FIRST: Duration = Duration::from_secs(15);
/// The longest lock.
const LOCK_MAX: Duration = Duration::from_hours(1);
/// Failures are forgotten after this much peace.
const FORGET: Duration = Duration::from_hours(2);
/// How long a success from an address speaks for its user there.
const KNOWN: Duration = Duration::from_hours(48);
/// Entries of one generation of one table; two generations live at once, 50 octets each entry: 10 MiB in all at most.
const GENERATION_MAX: usize = 32 * 1024;

/// Failures and successes of the last hours.
#[derive(Debug)]
pub(super) struct Lockout {
    hasher: RandomState,
    addresses: Table<Failures>,
    users: Table<Failures>,
    known: Table<Duration>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    count: u32,
    last: Duration,
    locked_until: Duration,
}

impl Failures {
    fn recent(self, now: Duration) -> Failures {
        if now.saturating_sub(self.last) > FORGET { Failures::default() } else { self }
    }
}

impl Lockout {
    pub(super) fn new() -> Lockout {
        Lockout {
            hasher: RandomState::new(),
            addresses: Table::default(),
            users: Table::default(),
            known: Table::default(),
        }
    }

    /// Whether `client` may try `user` at uptime `now`; if not, for how long yet.
    pub(super) fn check(&self, now: Duration, client: IpAddr, user: &str) -> Result<(), Duration> {
        let address = self.address(client);
        let Some(failures) = self.addresses.get(address) else { return Ok(()) };
        let retry_after = failures.locked_until.saturating_sub(now);
        if retry_after.is_zero() || self.is_known(now, address, user) {
            return Ok(());
        }
        Err(retry_after)
    }

    /// Counts a failure.
    pub(super) fn failed(&mut self, now: Duration, client: IpAddr, user: &str) {
        let (address, user_key) = (self.address(client), self.user(user));
        self.known.remove(self.hasher.hash_one((address, user_key)));

        let mut at_user = self.users.get(user_key).unwrap_or_default().recent(now);
        at_user = Failures { count: at_user.count.saturating_add(1), last: now, ..at_user };
        self.users.put(user_key, at_user);

        let free =
            if at_user.count > USER_FREE { ADDRESS_FREE_AT_ATTACKED_USER } else { ADDRESS_FREE };
        let mut from = self.addresses.get(address).unwrap_or_default().recent(now);
        from = Failures { count: from.count.saturating_add(1), last: now, ..from };
        if let Some(span) = lock_span(from.count, free) {
            from.locked_until = now + span;
        }
        self.addresses.put(address, from);
    }

    /// Remembers that `user` was let in from `client`. Failures stay counted: whoever owns one credential must not clear the
    /// slate between guesses at another.
    pub(super) fn succeeded(&mut self, now: Duration, client: IpAddr, user: &str) {
        let pair = (self.address(client), self.user(user));
        self.known.put(self.hasher.hash_one(pair), now);
    }

    fn is_known(&self, now: Duration, address: u64, user: &str) -> bool {
        let pair = self.hasher.hash_one((address, self.user(user)));
        self.known.get(pair).is_some_and(|at| now.saturating_sub(at) <= KNOWN)
    }

    /// One host has one IPv4 address, but a whole /64 of IPv6.
    fn address(&self, client: IpAddr) -> u64 {
        let owner = match client.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
            }
        };
        self.hasher.hash_one(owner)
    }

    fn user(&self, user: &str) -> u64 {
        self.hasher.hash_one(user)
    }
}

/// How long the `count`-th failure locks, when `free` are free.
fn lock_span(count: u32, free: u32) -> Option<Duration> {
    let doublings = count.checked_sub(free)?.min(16);
    Some(LOCK_FIRST.saturating_mul(1 << doublings).min(LOCK_MAX))
}

/// A bounded table that forgets what was touched longest ago: when the young generation is full, the old one is dropped.
#[derive(Debug)]
struct Table<V> {
    young: HashMap<u64, V>,
    old: HashMap<u64, V>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Table { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<V: Copy> Table<V> {
    fn get(&self, key: u64) -> Option<V> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    fn put(&mut self, key: u64, value: V) {
        if self.young.len() >= GENERATION_MAX && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: u64) {
        self.young.remove(&key);
        self.old.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn guess(lockout: &mut Lockout, times: u32, client: IpAddr, user: &str) {
        for _ in 0..times {
            lockout.failed(at(0), client, user);
        }
    }

    #[test]
    fn an_address_that_guesses_is_locked_for_growing_spans() {
        let mut lockout = Lockout::new();
        guess(&mut lockout, ADDRESS_FREE - 1, HERE, "ann");
        assert_eq!(lockout.check(at(0), HERE, "ann"), Ok(()));
        for (failures, seconds) in [(5, 15), (6, 30), (7, 60), (8, 120), (13, 3600), (99, 3600)] {
            let mut lockout = Lockout::new();
            guess(&mut lockout, failures, HERE, "ann");
            assert_eq!(lockout.check(at(0), HERE, "ann"), Err(at(seconds)), "{failures} failures");
            assert_eq!(lockout.check(at(0), HERE, "other"), Err(at(seconds)));
            assert_eq!(lockout.check(at(seconds), HERE, "ann"), Ok(()));
        }
    }

    #[test]
    fn a_valid_user_from_elsewhere_is_still_let_in() {
        let mut lockout = Lockout::new();
        guess(&mut lockout, 10_000, HERE, "ann");
        assert_eq!(lockout.check(at(0), ELSEWHERE, "ann"), Ok(()));
    }

    #[test]
    fn at_a_user_who_is_guessed_at_each_address_has_one_failure() {
        let mut lockout = Lockout::new();
        for last in 0..USER_FREE {
            lockout.failed(at(0), IpAddr::from([10, 0, 0, u8::try_from(last).unwrap()]), "ann");
        }
        lockout.failed(at(0), ELSEWHERE, "bob");
        assert_eq!(lockout.check(at(0), ELSEWHERE, "bob"), Ok(()));
        lockout.failed(at(0), HERE, "ann");
        assert!(lockout.check(at(0), HERE, "ann").is_err());
    }

    #[test]
    fn a_stale_application_does_not_lock_out_its_neighbour_at_the_same_address() {
        let mut lockout = Lockout::new();
        lockout.succeeded(at(0), HERE, "good");
        guess(&mut lockout, 100, HERE, "stale");
        assert_eq!(lockout.check(at(1), HERE, "good"), Ok(()));
        assert!(lockout.check(at(1), HERE, "stale").is_err());
        lockout.failed(at(1), HERE, "good");
        assert!(lockout.check(at(1), HERE, "good").is_err(), "one failure ends the trust");
    }

    #[test]
    fn a_success_does_not_clear_the_failures_of_others() {
        let mut lockout = Lockout::new();
        for _ in 0..ADDRESS_FREE {
            lockout.failed(at(0), HERE, "victim");
            lockout.succeeded(at(0), HERE, "own");
        }
        assert!(lockout.check(at(0), HERE, "victim").is_err());
    }

    #[test]
    fn peace_is_forgiven_and_a_network_of_ipv6_is_one_client() {
        let mut lockout = Lockout::new();
        let six = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        for last in 0..5 {
            lockout.failed(at(0), six(last), "ann");
        }
        assert!(lockout.check(at(0), six(99), "ann").is_err());
        let later = at(0) + FORGET + at(1);
        lockout.failed(later, six(1), "ann");
        assert_eq!(lockout.check(later, six(1), "ann"), Ok(()));
    }

    #[test]
    fn a_million_guessers_do_not_grow_the_tables() {
        let mut lockout = Lockout::new();
        for n in 0..1_000_000u32 {
            lockout.failed(at(0), IpAddr::V4(n.into()), &n.to_string());
        }
        assert!(lockout.addresses.young.len() + lockout.addresses.old.len() <= 2 * GENERATION_MAX);
        assert!(lockout.users.young.len() + lockout.users.old.len() <= 2 * GENERATION_MAX);
    }
}
