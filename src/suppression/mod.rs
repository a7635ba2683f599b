//! Who must not be mailed: addresses with the reason and the event that put them here.
//!
//! Never suppresses on anything but a verdict on the recipient, a complaint, an unsubscription or a person's word, and that
//! verdict is its callers'. Intake looks recipients up; queue adds in the commit of the bounce; the doors are for people.
//!
//! A new address is a *fresh* record of its own, which any number of commits may write at the same time, since no two write
//! the same key. One packer moves fresh records into buckets ([`bucket`]), and nobody else writes buckets: so no change is
//! ever lost to another, and no lock is held while the disk is waited for.

mod bucket;
pub mod entry;
mod filter;
mod packer;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify};

use crate::mail::Mailbox;
use crate::store::vault::chance;
use crate::store::{Change, Store, StoreFailed, kind};
use crate::supervise;
use bucket::{Branch, Bucket, hash_of, prefix};
pub use entry::{Entry, Reason};
use filter::Filter;

/// A record for the store: key, and the value to put or `None` to delete.
pub type Put = (Vec<u8>, Option<Vec<u8>>);

/// Fresh records of one address that a look-up reads: more are of no use, the packer takes them all.
const FRESH_OF_ONE_MAX: usize = 64;
/// Addresses that one commit of [`Suppression::add_all`] takes: some 30 KiB.
const ADD_PAGE: usize = 256;
/// More than can be on their way into a commit at once: a filter that is built meanwhile takes them from memory.
const RECENT_MAX: usize = 8_192;

/// The list. Cheap to clone.
#[derive(Clone)]
pub struct Suppression(Arc<Inner>);

struct Inner {
    store: Store,
    filters: RwLock<Filters>,
    /// Held by whoever writes buckets, from reading them to their commit.
    packing: Mutex<()>,
    /// The next fresh key's last part, so that no two commits write one key.
    unique: AtomicU64,
    /// Fresh records written since the packer last looked.
    fresh: AtomicU64,
    wake: Notify,
}

#[derive(Default)]
struct Filters {
    /// `None` until it has been built: then every look-up asks the store.
    ready: Option<Arc<Filter>>,
    /// The one that is being built, which must not miss what comes meanwhile.
    building: Option<Arc<Filter>>,
    /// Addresses put into `ready`.
    held: u64,
    /// The last hashes put in, oldest first, at most [`RECENT_MAX`].
    recent: VecDeque<u64>,
}

impl Filters {
    /// Whether nobody is suppressed.
    fn is_empty(&self) -> bool {
        self.ready.is_some() && self.held == 0
    }

    /// Whether the address of this hash is surely not suppressed.
    fn denies(&self, hash: u64) -> bool {
        self.ready.as_ref().is_some_and(|filter| !filter.may_hold(hash))
    }

    fn insert(&mut self, hash: u64) {
        self.ready.iter().chain(self.building.iter()).for_each(|filter| filter.insert(hash));
        self.held += 1;
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(hash);
    }
}

impl Suppression {
    /// Opens the list. Nothing is read but whether it is empty; [`Suppression::run`] builds the filter.
    pub fn open(store: Store) -> Result<Suppression, StoreFailed> {
        let empty = store.scan(b"s", None, 1)?.is_empty();
        let ready = empty.then(|| Arc::new(Filter::for_addresses(0)));
        let start = chance().map_or(0, u64::from_be_bytes);
        Ok(Suppression(Arc::new(Inner {
            store,
            filters: RwLock::new(Filters { ready, ..Filters::default() }),
            packing: Mutex::new(()),
            unique: AtomicU64::new(start),
            fresh: AtomicU64::new(0),
            wake: Notify::new(),
        })))
    }

    /// The entry of a mailbox, if it is suppressed. Absent ones are answered from memory, except while the filter is being built
    /// after a start.
    pub fn lookup(&self, mailbox: &Mailbox) -> Result<Option<Entry>, StoreFailed> {
        if self.0.filters.read().is_empty() {
            return Ok(None);
        }
        let address = mailbox.identity();
        let hash = hash_of(&address);
        if self.0.filters.read().denies(hash) {
            return Ok(None);
        }
        // Fresh first: what the packer moves between the two reads is then met in its bucket.
        let fresh = self.fresh_of(hash, &address)?;
        if let Some((_, entry)) = fresh.into_iter().max_by_key(|(_, entry)| entry.at_ms) {
            return Ok(Some(entry));
        }
        let found = self.bucket_of(hash)?;
        Ok(found.and_then(|(_, bucket)| bucket.get(&address).cloned()))
    }

    /// The records that suppress a mailbox, for the caller's own commit. Any number of commits may carry such records at
    /// once, also for the same mailbox.
    pub fn record_change(&self, mailbox: &Mailbox, entry: &Entry) -> Vec<Put> {
        let address = mailbox.identity();
        let hash = hash_of(&address);
        // Before the commit, so that there is no moment at which it is durable and not found. If the commit fails, one
        // "perhaps" too many stays.
        self.0.filters.write().insert(hash);
        if self.0.fresh.fetch_add(1, Ordering::Relaxed) + 1 >= packer::FRESH_WAKE {
            self.0.wake.notify_one();
        }
        let unique = self.0.unique.fetch_add(1, Ordering::Relaxed);
        vec![(fresh_key(hash, unique), Some(entry.encode(&address)))]
    }

    /// Suppresses a mailbox.
    pub async fn add(&self, mailbox: &Mailbox, entry: &Entry) -> Result<(), StoreFailed> {
        let records = self.record_change(mailbox, entry);
        self.0.store.commit(Change { records, ..Change::default() }).await?;
        Ok(())
    }

    /// Suppresses many, as an import does. Those before a failure stay.
    pub async fn add_all(&self, list: &[(Mailbox, Entry)]) -> Result<(), StoreFailed> {
        for page in list.chunks(ADD_PAGE) {
            let put = |(mailbox, entry): &(Mailbox, Entry)| self.record_change(mailbox, entry);
            let records = page.iter().flat_map(put).collect();
            self.0.store.commit(Change { records, ..Change::default() }).await?;
        }
        Ok(())
    }

    /// Lets a mailbox be mailed again; whether it was suppressed.
    pub async fn remove(&self, mailbox: &Mailbox) -> Result<bool, StoreFailed> {
        let address = mailbox.identity();
        let hash = hash_of(&address);
        let _one_at_a_time = self.0.packing.lock().await;
        let fresh = self.fresh_of(hash, &address)?;
        let mut records: Vec<Put> = fresh.into_iter().map(|(key, _)| (key, None)).collect();
        if let Some((branch, mut bucket)) = self.bucket_of(hash)?
            && bucket.remove(&address)
        {
            // An empty bucket stays: its path would otherwise lead nowhere.
            records.push((branch.key(), Some(bucket.encode())));
        }
        if records.is_empty() {
            return Ok(false);
        }
        self.0.store.commit(Change { records, ..Change::default() }).await?;
        Ok(true)
    }

    /// A page of the list, in an order that lasts: what stands after the address `after`, at most `limit`. What is added while
    /// somebody reads may or may not be met.
    pub async fn list(
        &self,
        after: Option<&Mailbox>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StoreFailed> {
        self.pack().await?;
        let after = after.map(Mailbox::identity);
        let list = self.clone();
        let page = supervise::blocking("suppression list", move || list.page(after, limit)).await;
        page.unwrap_or(Err(StoreFailed::Closed))
    }

    fn page(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<(String, Entry)>, StoreFailed> {
        let after = after.map(|address| (hash_of(&address), address));
        let start = after.as_ref().map_or(0, |(hash, _)| *hash);
        let mut page = Vec::new();
        let mut next = self.bucket_of(start)?;
        while let Some((branch, bucket)) = next {
            let entries = bucket.entries().filter(|(hash, address, _)| {
                after.as_ref().is_none_or(|(h, a)| (*hash, address) > (*h, a))
            });
            page.extend(entries.map(|(_, address, entry)| (address, entry)));
            if page.len() >= limit {
                page.truncate(limit);
                break;
            }
            let following =
                self.0.store.scan(&prefix(kind::suppressed::BUCKET), Some(&branch.key()), 1)?;
            next = following.first().and_then(|(key, value)| {
                Some((Branch::of_key(key)?, Bucket::decode(value).unwrap_or_default()))
            });
        }
        Ok(page)
    }

    /// The bucket on the way to a hash, from the root down: a split only ever moves addresses further down, so none is missed.
    fn bucket_of(&self, hash: u64) -> Result<Option<(Branch, Bucket)>, StoreFailed> {
        for branch in Branch::path(hash) {
            if let Some(value) = self.0.store.get(&branch.key())? {
                return Ok(Some((branch, read_bucket(branch, &value))));
            }
        }
        Ok(None)
    }

    fn fresh_of(&self, hash: u64, address: &str) -> Result<Vec<(Vec<u8>, Entry)>, StoreFailed> {
        let prefix = [&prefix(kind::suppressed::FRESH)[..], &hash.to_be_bytes()].concat();
        let found = self.0.store.scan(&prefix, None, FRESH_OF_ONE_MAX)?;
        let read = found.into_iter().filter_map(|(key, value)| {
            let (own, entry) = Entry::decode(&value).ok()?;
            (own == address).then_some((key, entry))
        });
        Ok(read.collect())
    }
}

/// `s ‖ FRESH ‖ hash ‖ unique`.
fn fresh_key(hash: u64, unique: u64) -> Vec<u8> {
    [&prefix(kind::suppressed::FRESH)[..], &hash.to_be_bytes(), &unique.to_be_bytes()].concat()
}

/// A bucket that cannot be read is logged and counts as empty: mail goes on, and its host says again who does not exist.
fn read_bucket(branch: Branch, value: &[u8]) -> Bucket {
    Bucket::decode(value).unwrap_or_else(|error| {
        tracing::error!(bucket = ?branch, "a bucket of suppressed addresses is lost: {error}");
        Bucket::default()
    })
}

impl std::fmt::Debug for Suppression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Suppression(..)")
    }
}

#[cfg(test)]
mod tests;
