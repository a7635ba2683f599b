//! Counts open connections: all, of one address, of one credential. Never waits; past a cap it says no.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::options::CapLimits;

/// The open connections of all listeners.
#[derive(Debug)]
pub(super) struct Caps {
    limits: CapLimits,
    all: AtomicUsize,
    addresses: Counts<IpAddr>,
    credentials: Counts<u32>,
}

/// Why a connection gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// There are too many.
    All,
    /// There are too many from this address.
    Address,
}

/// A connection's place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    caps: Arc<Caps>,
    address: IpAddr,
}

/// A credential's place; dropping it frees it.
#[derive(Debug)]
pub(super) struct LoginPlace {
    caps: Arc<Caps>,
    credential: u32,
}

impl Caps {
    pub(super) fn new(limits: CapLimits) -> Arc<Caps> {
        let (addresses, credentials) = (Counts::default(), Counts::default());
        Arc::new(Caps { limits, all: AtomicUsize::new(0), addresses, credentials })
    }

    /// A place for a connection from `client`.
    pub(super) fn enter(self: &Arc<Caps>, client: IpAddr) -> Result<Place, Full> {
        let address = network_of(client);
        if self.all.fetch_add(1, Ordering::AcqRel) >= self.limits.connections_max {
            self.all.fetch_sub(1, Ordering::AcqRel);
            return Err(Full::All);
        }
        if !self.addresses.add(address, self.limits.connections_per_address_max) {
            self.all.fetch_sub(1, Ordering::AcqRel);
            return Err(Full::Address);
        }
        Ok(Place { caps: Arc::clone(self), address })
    }

    /// A place for a connection of the credential of this number.
    pub(super) fn log_in(self: &Arc<Caps>, credential: u32) -> Option<LoginPlace> {
        self.credentials
            .add(credential, self.limits.connections_per_credential_max)
            .then(|| LoginPlace { caps: Arc::clone(self), credential })
    }

    /// Open connections.
    pub(super) fn open(&self) -> usize {
        self.all.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.caps.addresses.sub(&self.address);
        self.caps.all.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for LoginPlace {
    fn drop(&mut self) {
        self.caps.credentials.sub(&self.credential);
    }
}

/// What counts as one address: an IPv6 host commonly has a /64 to itself (RFC 6177 §2).
fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        IpAddr::V4(address) => IpAddr::V4(address),
    }
}

/// A count per key, without entries of nought: never larger than the number of connections.
#[derive(Debug)]
struct Counts<K>(Mutex<HashMap<K, usize>>);

impl<K> Default for Counts<K> {
    fn default() -> Counts<K> {
        Counts(Mutex::new(HashMap::new()))
    }
}

impl<K: Hash + Eq> Counts<K> {
    fn add(&self, key: K, max: usize) -> bool {
        let mut counts = self.0.lock();
        let count = counts.entry(key).or_insert(0);
        // A cap of nought still leaves no entry behind: the entry is of a connection that stays.
        let fits = *count < max;
        *count += usize::from(fits);
        if *count == 0 {
            counts.retain(|_, count| *count > 0);
        }
        fits
    }

    fn sub(&self, key: &K) {
        let mut counts = self.0.lock();
        if let Some(count) = counts.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(all: usize, address: usize, credential: usize) -> Arc<Caps> {
        Caps::new(CapLimits {
            connections_max: all,
            connections_per_address_max: address,
            connections_per_credential_max: credential,
        })
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let caps = caps(3, 2, 1);
        let (a, b): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let one = caps.enter(a).unwrap();
        let _two = caps.enter(a).unwrap();
        assert_eq!(caps.enter(a).err(), Some(Full::Address));
        let _three = caps.enter(b).unwrap();
        assert_eq!(caps.enter(b).err(), Some(Full::All));
        assert_eq!(caps.open(), 3);
        drop(one);
        assert!(caps.enter(a).is_ok());
        assert_eq!(caps.open(), 2);
    }

    #[test]
    fn a_credential_has_places_of_its_own() {
        let caps = caps(9, 9, 1);
        let place = caps.log_in(7).unwrap();
        assert!(caps.log_in(7).is_none());
        assert!(caps.log_in(8).is_some());
        drop(place);
        assert!(caps.log_in(7).is_some());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let caps = caps(9, 1, 9);
        let _one = caps.enter("2001:db8::1".parse().unwrap()).unwrap();
        assert_eq!(caps.enter("2001:db8::2".parse().unwrap()).err(), Some(Full::Address));
        assert!(caps.enter("2001:db8:0:1::1".parse().unwrap()).is_ok());
        let _four = caps.enter("192.0.2.1".parse().unwrap()).unwrap();
        assert_eq!(caps.enter("::ffff:192.0.2.1".parse().unwrap()).err(), Some(Full::Address));
    }

    #[test]
    fn nothing_is_kept_of_those_who_left_or_were_turned_away() {
        let caps = caps(9, 1, 0);
        assert!(caps.log_in(7).is_none());
        drop(caps.enter([192, 0, 2, 1].into()));
        assert!(caps.addresses.0.lock().is_empty() && caps.credentials.0.lock().is_empty());
    }
}
