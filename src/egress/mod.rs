//! Egress: from which pool and which address of this host mail leaves. It never opens a connection itself.
//!
//! A *pool* is a set of exits whose reputation is kept together; an *exit* is one source address with the name it says
//! in EHLO. For now there is one pool, made from the bootstrap file.

pub mod routes;

use std::net::IpAddr;
use std::sync::Arc;

use crate::mail::Domain;

/// One source address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Exit {
    /// Its number, never reused.
    pub number: u16,
    /// The address bound before connecting; `None` leaves the choice to the system.
    pub source: Option<IpAddr>,
    /// The name said in EHLO (RFC 5321 §4.1.1.1), which should be the address's name in DNS.
    pub ehlo: Domain,
}

impl Exit {
    /// The source address as events show it; empty where the system chooses.
    pub fn name(&self) -> String {
        self.source.map(|source| source.to_string()).unwrap_or_default()
    }
}

/// A set of exits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its number, never reused.
    pub number: u16,
    /// Its name, as configuration sets give it.
    pub name: String,
    /// At least one.
    pub exits: Vec<Exit>,
}

/// All pools. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pools(Arc<[Pool]>);

impl Pools {
    /// The number of the pool that every installation has.
    pub const DEFAULT: u16 = 1;

    /// The one default pool: an exit for each of `addresses`, or one that leaves the choice to the system.
    pub fn one(addresses: &[IpAddr], ehlo: &Domain) -> Pools {
        let sources: Vec<Option<IpAddr>> = match addresses {
            [] => vec![None],
            some => some.iter().copied().map(Some).collect(),
        };
        let exits = (1u16..)
            .zip(sources)
            .map(|(number, source)| Exit { number, source, ehlo: ehlo.clone() })
            .collect();
        Pools(Arc::new([Pool { number: Pools::DEFAULT, name: "default".into(), exits }]))
    }

    /// Every pool, in order of number.
    pub fn all(&self) -> &[Pool] {
        &self.0
    }

    /// The pool of a number.
    pub fn get(&self, number: u16) -> Option<&Pool> {
        self.0.iter().find(|pool| pool.number == number)
    }

    /// The pool of a name.
    pub fn named(&self, name: &str) -> Option<&Pool> {
        self.0.iter().find(|pool| pool.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_pool_has_an_exit_for_each_address() {
        let ehlo = Domain::parse("mail.example.org").unwrap();
        let pools = Pools::one(&[[192, 0, 2, 1].into(), [192, 0, 2, 2].into()], &ehlo);
        let pool = pools.get(Pools::DEFAULT).unwrap();
        assert_eq!(pools.named("default"), Some(pool));
        let names: Vec<_> = pool.exits.iter().map(|exit| (exit.number, exit.name())).collect();
        assert_eq!(names, [(1, "192.0.2.1".to_owned()), (2, "192.0.2.2".to_owned())]);
    }

    #[test]
    fn without_addresses_the_system_chooses() {
        let pools = Pools::one(&[], &Domain::parse("localhost").unwrap());
        assert_eq!(pools.all()[0].exits[0].source, None);
    }
}
