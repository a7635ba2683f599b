//! Who may be written in From, and with which keys its mail is signed: identities, configuration sets, DKIM keys and the
//! DNS records that publish them.
//!
//! Nothing here speaks to DNS or to a client, and no secret leaves it in the clear. Look-ups are answered from memory;
//! the store is read at start and written by the doors, the methods by which people change things.

mod book;
mod config_set;
mod doors;
mod entry;
mod error;
mod key;
mod name;
mod records;
mod set_doors;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::RwLock;

use book::Book;
use key::KeyRecord;

use crate::clock::Clock;
use crate::mail::{Domain, Mailbox};
use crate::message::dkim::DkimKey;
use crate::store::vault::Vault;
use crate::store::{Store, StoreFailed, kind};

pub use config_set::{ConfigSet, MAX_AGE_MS_MAX, MAX_AGE_MS_MIN, POOL_DEFAULT, SetOptions};
pub use doors::{IdentityEdit, NewIdentity};
pub use entry::{Identity, Verification};
pub use error::IdentityError;
pub use name::{IdentityName, SET_NAME_CHARS_MAX};
pub use records::{DnsKind, DnsRecord, Need};

/// Identities that there may be, as SES has it; each costs about a kilobyte of memory, and ten once it has signed.
pub const IDENTITIES_MAX: usize = 10_000;
/// Configuration sets that there may be, as SES has it.
pub const CONFIG_SETS_MAX: usize = 10_000;
/// A page of a scan at start.
const PAGE: usize = 1_000;

/// All identities and configuration sets. Share it in an `Arc`.
pub struct Identities {
    store: Store,
    vault: Vault,
    clock: Arc<dyn Clock>,
    /// Where bounces go for identities that do not say.
    bounce: Domain,
    book: Arc<RwLock<Arc<Book>>>,
    /// One change to the book at a time, from its reading to its commit.
    doors: Arc<tokio::sync::Mutex<()>>,
}

impl Identities {
    /// Reads all identities and sets. `bounce` is the domain of return paths of all identities that do not name their
    /// own. A record that cannot be read is logged and left alone; what it held does not exist for this process. Blocks.
    pub fn open(
        store: Store,
        vault: Vault,
        clock: Arc<dyn Clock>,
        bounce: Domain,
    ) -> Result<Identities, IdentityError> {
        let book = read_book(&store)?;
        Ok(Identities {
            store,
            vault,
            clock,
            bounce,
            book: Arc::new(RwLock::new(Arc::new(book))),
            doors: Arc::default(),
        })
    }

    /// The identity that speaks for an address: the address itself, else its domain, else the nearest domain above.
    pub fn for_address(&self, address: &Mailbox) -> Option<Arc<Identity>> {
        self.book().for_address(address).cloned()
    }

    /// The identity of a number.
    pub fn by_number(&self, number: u32) -> Option<Arc<Identity>> {
        self.book().identities.get(&number).cloned()
    }

    /// The identity of exactly this name.
    pub fn named(&self, name: &str) -> Result<Arc<Identity>, IdentityError> {
        let parsed = IdentityName::parse(name)?;
        let unknown = || IdentityError::Unknown(parsed.to_string());
        self.book().named(&parsed).cloned().ok_or_else(unknown)
    }

    /// All identities by number.
    pub fn list(&self) -> Vec<Arc<Identity>> {
        self.book().identities.values().cloned().collect()
    }

    /// The configuration set of a name.
    pub fn config_set(&self, name: &str) -> Option<Arc<ConfigSet>> {
        self.book().set_named(name).cloned()
    }

    /// The configuration set of a number.
    pub fn config_set_by_number(&self, number: u32) -> Option<Arc<ConfigSet>> {
        self.book().sets.get(&number).cloned()
    }

    /// All configuration sets by number.
    pub fn config_sets(&self) -> Vec<Arc<ConfigSet>> {
        self.book().sets.values().cloned().collect()
    }

    /// The keys that sign an identity's mail, RSA first; an address is signed for by the identity of its domain, and by
    /// none if there is no such. Opens keys at their first use: call it where RSA may run.
    pub fn signing_keys(&self, identity: &Identity) -> Result<Vec<Arc<DkimKey>>, IdentityError> {
        match &identity.name {
            IdentityName::Domain(_) => Ok(identity.keys(&self.vault)?.to_vec()),
            IdentityName::Address(address) => match self.book().for_domain(address.domain()) {
                Some(domain) => Ok(domain.keys(&self.vault)?.to_vec()),
                None => Ok(Vec::new()),
            },
        }
    }

    /// The domain of an identity's return paths.
    pub fn bounce_domain<'i>(&'i self, identity: &'i Identity) -> &'i Domain {
        identity.bounce.as_ref().unwrap_or(&self.bounce)
    }

    /// The domain of return paths of all identities that do not name their own, and of mail of ours.
    pub fn bounce_default(&self) -> &Domain {
        &self.bounce
    }

    /// What the domain of an identity must say in DNS. `exits` are the addresses that mail leaves from. An address
    /// without a domain identity has nothing to publish.
    pub fn dns_records(
        &self,
        identity: &Identity,
        hostname: &Domain,
        exits: &[IpAddr],
    ) -> Result<Vec<DnsRecord>, IdentityError> {
        let keys = self.signing_keys(identity)?;
        let Some(key) = keys.first() else { return Ok(Vec::new()) };
        let bounce = self.bounce_domain(identity);
        Ok(records::of_domain(key.domain(), &keys, bounce, hostname, exits))
    }

    fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.read())
    }
}

fn read_book(store: &Store) -> Result<Book, IdentityError> {
    let mut keys: HashMap<u32, Vec<KeyRecord>> = HashMap::new();
    each(store, kind::DKIM_KEY, |number, value| match KeyRecord::decode(number, value) {
        Ok(key) => keys.entry(key.identity).or_default().push(key),
        Err(error) => tracing::error!(key.number = number, "a DKIM key is not used: {error}"),
    })?;
    let mut book = Book::default();
    each(store, kind::IDENTITY, |number, value| match Identity::decode(number, value) {
        Ok(mut identity) => {
            identity.sealed = keys.remove(&number).unwrap_or_default();
            identity.sealed.sort_by_key(|key| key.number);
            book.put_identity(Arc::new(identity));
        }
        Err(error) => tracing::error!(identity.number = number, "an identity is not used: {error}"),
    })?;
    each(store, kind::CONFIG_SET, |number, value| match ConfigSet::decode(number, value) {
        Ok(set) => book.put_set(Arc::new(set)),
        Err(error) => {
            tracing::error!(config_set.number = number, "a configuration set is not used: {error}");
        }
    })?;
    Ok(book)
}

/// All records of a kind that is keyed by number.
fn each(store: &Store, kind: u8, mut take: impl FnMut(u32, &[u8])) -> Result<(), StoreFailed> {
    let prefix = kind::key(kind, &[]);
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(&prefix, after.as_deref(), PAGE)?;
        for (key, value) in &page {
            let number = key.get(prefix.len()..).and_then(|octets| octets.try_into().ok());
            if let Some(number) = number.map(u32::from_be_bytes) {
                take(number, value);
            } else {
                tracing::error!(record.key = ?key, "the key of a setting is none of ours");
            }
        }
        match page.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(()),
        }
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.book().identities.len())
    }
}

#[cfg(test)]
mod tests;
