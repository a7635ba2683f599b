//! The packer: moves fresh records into buckets and builds the filter. The only writer of buckets beside removal, under the
//! same lock, so that each bucket is read, changed and committed by one at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bucket::{Branch, Bucket, hash_of, prefix};
use super::entry::Entry;
use super::filter::Filter;
use super::{Put, Suppression, read_bucket};
use crate::store::{Change, StoreFailed, kind};
use crate::supervise;

/// Fresh records that wake the packer.
pub(super) const FRESH_WAKE: u64 = 256;
/// How long a few fresh records wait for it.
const PACK_EVERY: Duration = Duration::from_mins(1);
/// Fresh records that one commit moves: at most as many buckets of 4 KiB.
const PACK_PAGE: usize = 64;
/// Values read at once for the filter: 4 MiB at most.
const BUILD_PAGE: usize = 1_000;

impl Suppression {
    /// Builds the filter, then packs what comes, until the store fails. For `supervise::keep`.
    pub async fn run(self) {
        loop {
            let done = async {
                self.build_filter_if_due().await?;
                self.pack().await
            };
            if let Err(error) = done.await {
                tracing::error!("suppressed addresses are not packed any more: {error}");
                return;
            }
            let _woken = tokio::time::timeout(PACK_EVERY, self.0.wake.notified()).await;
        }
    }

    /// Moves every fresh record into its bucket.
    pub(super) async fn pack(&self) -> Result<(), StoreFailed> {
        let _one_at_a_time = self.0.packing.lock().await;
        self.0.fresh.store(0, Ordering::Relaxed);
        loop {
            let list = self.clone();
            let moved = supervise::blocking("suppression packer", move || list.plan()).await;
            let records = moved.unwrap_or(Err(StoreFailed::Closed))?;
            if records.is_empty() {
                return Ok(());
            }
            self.0.store.commit(Change { records, ..Change::default() }).await?;
        }
    }

    /// The records that move one page of fresh records.
    fn plan(&self) -> Result<Vec<Put>, StoreFailed> {
        let fresh = self.0.store.scan(&prefix(kind::suppressed::FRESH), None, PACK_PAGE)?;
        let mut touched: BTreeMap<Branch, Bucket> = BTreeMap::new();
        let (mut puts, mut gone) = (Vec::<Put>::new(), Vec::<Put>::with_capacity(fresh.len()));
        for (key, value) in fresh {
            if let Ok((address, entry)) = Entry::decode(&value) {
                let at = self.touch(hash_of(&address), &mut touched)?;
                touched.entry(at).or_default().put(address, entry);
            }
            gone.push((key, None));
        }
        for (branch, bucket) in touched {
            let fitting = bucket.fit(branch);
            if fitting.iter().all(|(at, _)| *at != branch) {
                gone.push((branch.key(), None));
            }
            puts.extend(fitting.into_iter().map(|(at, octets)| (at.key(), Some(octets))));
        }
        // What is new stands before what goes, so that a look-up in the midst of it finds one or the other.
        puts.extend(gone);
        Ok(puts)
    }

    /// The branch that holds a hash, its bucket among the touched ones.
    fn touch(
        &self,
        hash: u64,
        touched: &mut BTreeMap<Branch, Bucket>,
    ) -> Result<Branch, StoreFailed> {
        if let Some(branch) = Branch::path(hash).find(|branch| touched.contains_key(branch)) {
            return Ok(branch);
        }
        let (branch, bucket) = self.bucket_of(hash)?.unwrap_or((Branch::ROOT, Bucket::default()));
        touched.insert(branch, bucket);
        Ok(branch)
    }

    /// Builds the filter at start, and anew when more addresses have come than it was made for.
    async fn build_filter_if_due(&self) -> Result<(), StoreFailed> {
        let expected = {
            let filters = self.0.filters.read();
            match &filters.ready {
                Some(filter) if filters.held <= filter.capacity() => return Ok(()),
                Some(_) => filters.held,
                None => 0,
            }
        };
        let list = self.clone();
        let built = supervise::blocking("suppression filter", move || list.build(expected)).await;
        built.unwrap_or(Err(StoreFailed::Closed))
    }

    /// Reads everything once to count where nothing is known, and once to fill. Fresh records are read before buckets, and
    /// buckets in the order in which splits move addresses, so what is moved meanwhile is not missed.
    pub(super) fn build(&self, expected: u64) -> Result<(), StoreFailed> {
        let mut expected = expected;
        if expected == 0 {
            self.each_hash(&mut |_| expected += 1)?;
        }
        // Half as much again, so that it lasts for a while.
        let filter = Arc::new(Filter::for_addresses(expected + expected / 2));
        {
            let mut filters = self.0.filters.write();
            filters.building = Some(Arc::clone(&filter));
            // Their commits may not be visible to the scan below.
            filters.recent.iter().for_each(|hash| filter.insert(*hash));
        }
        let mut held = 0;
        self.each_hash(&mut |hash| {
            filter.insert(hash);
            held += 1;
        })?;
        let mut filters = self.0.filters.write();
        filters.building = None;
        filters.ready = Some(filter);
        filters.held = held;
        Ok(())
    }

    fn each_hash(&self, take: &mut dyn FnMut(u64)) -> Result<(), StoreFailed> {
        self.each_value(kind::suppressed::FRESH, &mut |_, value| {
            if let Ok((address, _)) = Entry::decode(value) {
                take(hash_of(&address));
            }
        })?;
        self.each_value(kind::suppressed::BUCKET, &mut |key, value| {
            let branch = Branch::of_key(key).unwrap_or(Branch::ROOT);
            read_bucket(branch, value).entries().for_each(|(hash, _, _)| take(hash));
        })
    }

    fn each_value(&self, kind: u8, take: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreFailed> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.0.store.scan(&prefix(kind), after.as_deref(), BUILD_PAGE)?;
            for (key, value) in &page {
                take(key, value);
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => return Ok(()),
            }
        }
    }
}
