//! The book: all identities and configuration sets as look-ups need them. Never touches the disk.
//!
//! A book does not change: a change makes a new one, and those who hold the old one go on reading it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::config_set::ConfigSet;
use super::entry::Identity;
use super::name::IdentityName;
use crate::mail::{Domain, Mailbox};

/// Everything, by number and by name.
#[derive(Debug, Default, Clone)]
pub(super) struct Book {
    pub(super) identities: BTreeMap<u32, Arc<Identity>>,
    by_name: HashMap<String, Arc<Identity>>,
    pub(super) sets: BTreeMap<u32, Arc<ConfigSet>>,
    sets_by_name: HashMap<String, Arc<ConfigSet>>,
}

impl Book {
    pub(super) fn put_identity(&mut self, identity: Arc<Identity>) {
        self.by_name.insert(identity.name.key(), Arc::clone(&identity));
        self.identities.insert(identity.number, identity);
    }

    pub(super) fn drop_identity(&mut self, identity: &Identity) {
        self.by_name.remove(&identity.name.key());
        self.identities.remove(&identity.number);
    }

    pub(super) fn put_set(&mut self, set: Arc<ConfigSet>) {
        self.sets_by_name.insert(set.name.clone(), Arc::clone(&set));
        self.sets.insert(set.number, set);
    }

    pub(super) fn drop_set(&mut self, set: &ConfigSet) {
        self.sets_by_name.remove(&set.name);
        self.sets.remove(&set.number);
    }

    /// The identity of exactly this name.
    pub(super) fn named(&self, name: &IdentityName) -> Option<&Arc<Identity>> {
        self.by_name.get(&name.key())
    }

    pub(super) fn set_named(&self, name: &str) -> Option<&Arc<ConfigSet>> {
        self.sets_by_name.get(name)
    }

    /// The identity that speaks for an address: the address itself, else its domain, else the nearest domain above.
    pub(super) fn for_address(&self, address: &Mailbox) -> Option<&Arc<Identity>> {
        self.by_name.get(&address.identity()).or_else(|| self.for_domain(address.domain()))
    }

    /// The identity of a domain or of the nearest one above it.
    pub(super) fn for_domain(&self, domain: &Domain) -> Option<&Arc<Identity>> {
        let mut name = domain.as_str();
        loop {
            if let Some(identity) = self.by_name.get(name) {
                return Some(identity);
            }
            (_, name) = name.split_once('.')?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::OnceLock;

    fn book(names: &[&str]) -> Book {
        let mut book = Book::default();
        for (number, name) in (1..).zip(names) {
            let name = IdentityName::parse(name).unwrap();
            book.put_identity(Arc::new(Identity {
                number,
                tenant: 0,
                name,
                bounce: None,
                feedback_forwarding: true,
                verification: crate::identity::Verification::Pending,
                created_ms: 0,
                unknown: Vec::new(),
                sealed: Vec::new(),
                opened: OnceLock::new(),
            }));
        }
        book
    }

    #[test]
    fn the_nearest_identity_speaks_for_an_address() {
        let book = book(&["example.org", "ann@example.org", "news.example.org", "bob@example.net"]);
        let check = |address: &str, want: Option<&str>| {
            let got = book.for_address(&Mailbox::parse(address).unwrap());
            assert_eq!(got.map(|found| found.name.to_string()).as_deref(), want, "for {address}");
        };
        check("ann@example.org", Some("ann@example.org"));
        check("\"ann\"@Example.ORG", Some("ann@example.org"));
        check("Ann@example.org", Some("example.org"));
        check("x@example.org", Some("example.org"));
        check("x@a.b.example.org", Some("example.org"));
        check("x@a.news.example.org", Some("news.example.org"));
        check("bob@example.net", Some("bob@example.net"));
        check("x@example.net", None);
        check("x@badexample.org", None);
        check("x@org", None);
    }

    #[test]
    fn what_was_dropped_is_not_found() {
        let mut book = book(&["example.org", "ann@example.org"]);
        let ann = Arc::clone(&book.identities[&2]);
        book.drop_identity(&ann);
        let found = book.for_address(&Mailbox::parse("ann@example.org").unwrap()).unwrap();
        assert_eq!(found.number, 1);
    }
}
