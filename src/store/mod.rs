//! The store keeps what was accepted: messages, waiting recipients, events and settings, durably and in one commit.
//!
//! It never answers before fdatasync, never retries a failed sync, never starts a new database in place of a bad one.
//!
//! **Truth is the log**: segments of 64 MiB in `spool/`, written by one thread ([`committer`]). What came while it was
//! syncing becomes the next *commit*: one write, one fdatasync, then all its waiters are answered. **The index** (sled, in
//! `db/`) lags behind: changes live in memory (the [`delta`], readable at once) until a checkpoint carries them over, and a
//! start replays the log from the index's position `h`. Mail that leaves within seconds never touches the index.
//!
//! | where | what | check |
//! |---|---|---|
//! | `spool/NNNNNNNN.log`, first 4 KiB | number, nonce of this use, first commit, first event | CRC32C |
//! | then commits, each from a multiple of 4 KiB | header: segment, nonce, commit number, first event, lengths, wall time | CRC32C |
//! | | operations: frame, new waiting, waiting, gone, put, delete | CRC32C, with the events |
//! | | events: length and record each | |
//! | | frames: lead, facts, head, body (or its file's length) | CRC32C each |
//! | `spool/NNNNNNNN.spare` | a freed segment that waits to be written over (half the cost of a fresh one's sync) | |
//! | `spool/large/ID` | a body above 1 MiB, durable before the commit that names it | length, in its frame |
//! | `db/`: `h` | log position that the index stands for | |
//! | `db/`: `q ‖ lane ‖ due ‖ id ‖ n` | a leaf: up to 64 waiting recipients of one lane, ≤ 4 KiB | |
//! | `db/`: `c…` `s…` `t…` `x…` | settings, suppression, statistics, counters, ≤ 4 KiB each | |
//! | `lock`, `ballast` | who has the folder; room given up when the disk is full at start | |
//!
//! The committer writes one commit at a time, so only the very last can be torn: a start cuts it off. Any other octets that
//! do not check are damage: named, their message *damaged*, the rest lives. The nonce keeps what a recycled segment held
//! before, and what a stranger writes into a message, from passing for a commit.
//!
//! A segment is freed when its events are durable elsewhere ([`Store::events_taken`]), no waiting recipient points into
//! it, and `h` has passed it.

mod backup;
mod checkpoint;
mod committer;
mod compact;
mod delta;
mod disk;
mod error;
#[cfg(any(test, feature = "test-hooks"))]
mod fault;
mod frame;
mod free;
mod index;
pub mod kind;
mod large;
mod layout;
mod leaf;
mod lock;
mod log;
mod memory;
mod open;
mod ops;
mod prepare;
mod read;
mod rebuild;
mod replay;
mod restore;
mod room;
mod segment;
mod shared;
mod sparse;
mod types;
pub mod vault;

#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::mail::{Body, Event, Facts, Lane, Message, MessageId};
use crate::supervise;

pub use backup::{BackupError, BackupOptions, BackupReport, verify_backup};
pub use disk::{Disk, DiskFile, Listed, OpenHow, RealDisk, Space};
pub use error::{NoRoom, OpenError, ReadError, StoreFailed};
#[cfg(any(test, feature = "test-hooks"))]
pub use fault::{Fault, FaultDisk};
pub use large::LargeWriter;
pub use lock::check_free;
pub use memory::MemoryPlace;
pub use rebuild::{RebuildReport, SealedEvents, rebuild};
pub use restore::Rereadable;
pub use types::{
    Change, CommitSink, Committed, Due, NewWaiting, Opened, Place, Record, SegmentInfo, Settled,
    StoreOptions, StoreStatus, WaitKey, Waiting,
};

use shared::{Ending, Request, Shared};

/// The store. Cheap to clone; all methods may be called from any thread. Methods that are not `async` may read the disk
/// (microseconds when cached): call them through [`crate::supervise::blocking`] where that matters.
///
/// Dropping the last clone ends it as a crash would: what was answered is on disk. [`Store::close`] also writes a
/// checkpoint.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

/// Ends the threads when the last clone goes.
struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _lock: lock::DirLock,
}

impl Store {
    /// Opens the store in `options.dir`: locks it, repairs what can be repaired, replays the log. Blocks.
    pub fn open(
        options: StoreOptions,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
    ) -> Result<(Store, Opened), OpenError> {
        let open::Parts { shared, log, lock, orphans, opened } = open::run(options, clock, disk)?;
        room::lay_ballast(&shared);
        let handle = Handle { shared: Arc::clone(&shared), threads: Mutex::default(), _lock: lock };
        let died = |shared: &Arc<Shared>| {
            let shared = Arc::clone(shared);
            move || drop(shared.latch.set("one of its threads panicked"))
        };
        let io = open::io(&shared.spool);
        let worker = Arc::clone(&shared);
        let thread =
            supervise::thread("committer", move || committer::run(&worker, log), died(&shared));
        handle.threads.lock().push(thread.map_err(&io)?);
        let worker = Arc::clone(&shared);
        let thread = supervise::thread(
            "checkpoint",
            move || checkpoint::run(&worker, orphans),
            died(&shared),
        );
        handle.threads.lock().push(thread.map_err(&io)?);
        Ok((Store { handle: Arc::new(handle) }, opened))
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// Makes a change durable: everything in it, or nothing. Resolves after fdatasync.
    ///
    /// Cancellation-safe in that the store stays sound; the change may still happen.
    pub async fn commit(&self, change: Change) -> Result<Committed, StoreFailed> {
        let shared = self.shared();
        shared.latch.check()?;
        let prepared = prepare::Prepared::of(change, shared.options.segment_bytes)?;
        let place = Arc::clone(&shared.places).acquire_owned().await;
        let place = place.map_err(|_| StoreFailed::Closed)?;
        let (answer, answered) = oneshot::channel();
        shared.send(Request::Change { prepared: Box::new(prepared), answer, place })?;
        // A committer that died latched first.
        answered.await.unwrap_or_else(|_| shared.latch.check().and(Err(StoreFailed::Closed)))
    }

    /// The value of a record.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailed> {
        read::get(self.shared(), key)
    }

    /// Up to `limit` records whose key begins with `prefix`, after the key `after`, in order.
    pub fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreFailed> {
        read::scan(self.shared(), prefix, after, limit)
    }

    /// Lanes that hold mail, each with its next due time (Unix milliseconds), by seeking from lane to lane.
    pub fn lanes(&self) -> Result<Vec<(Lane, u64)>, StoreFailed> {
        read::lanes(self.shared())
    }

    /// What is due in a lane until `until_ms`, at most `limit`, without what `skip` knows. Never 2^64 − 1 ms: such a
    /// recipient is never due.
    ///
    /// Not one moment of the queue: a recipient that is settled while this runs may still be returned, so `skip` must
    /// know those whose settling began before the call and ended during it.
    pub fn due(
        &self,
        lane: &Lane,
        until_ms: u64,
        limit: usize,
        skip: &dyn Fn(&WaitKey) -> bool,
    ) -> Result<Due, StoreFailed> {
        read::due(self.shared(), *lane, (until_ms, limit), skip)
    }

    /// The whole queue in key order, for operators, at most `limit` a call.
    pub fn waiting_after(
        &self,
        after: Option<&WaitKey>,
        limit: usize,
    ) -> Result<Vec<(WaitKey, Waiting)>, StoreFailed> {
        read::waiting_after(self.shared(), after, limit)
    }

    /// One waiting recipient, if it still waits; after [`ReadError::Gone`] its place is the present one.
    pub fn waiting(&self, key: &WaitKey) -> Result<Option<Waiting>, StoreFailed> {
        read::waiting(self.shared(), key)
    }

    /// The facts of a message. Reads its whole frame, for the check sum.
    pub fn facts(&self, place: Place) -> Result<Facts, ReadError> {
        read::facts(self.shared(), place)
    }

    /// A message.
    pub fn message(&self, place: Place) -> Result<Message, ReadError> {
        read::message(self.shared(), place)
    }

    /// A file for a body above the in-memory bound. Blocks.
    pub fn large_writer(&self, id: MessageId) -> std::io::Result<LargeWriter> {
        LargeWriter::new(self.disk(), self.shared().large.clone(), id)
    }

    /// Removes the file of a finished large body whose message will never be committed. Blocks.
    pub fn discard_large(&self, body: &Body) {
        if let Body::File { path, .. } = body
            && let Err(error) = self.shared().disk.unlink(path)
        {
            tracing::warn!(file = %path.display(), "a body could not be removed: {error}");
        }
    }

    /// Whether the disk has room for more mail.
    pub fn room(&self) -> Result<(), NoRoom> {
        room::check(self.shared())
    }

    /// Waits for a place in memory for `bytes` octets of a message; at most the whole of `memory_bytes_max`. Taken before
    /// 354 and held until the commit. Cancellation-safe.
    pub async fn memory(&self, bytes: u32) -> MemoryPlace {
        let shared = self.shared();
        memory::take(&shared.memory, bytes, shared.options.memory_bytes_max).await
    }

    /// Sets who hears of committed messages.
    pub fn notify(&self, sink: Arc<dyn CommitSink>) {
        *self.shared().sink.write() = Some(sink);
    }

    /// Up to `limit` events from number `seq` on, as far as the log still has them; older ones are in the sealed files of
    /// `events`.
    pub fn events_from(&self, seq: u64, limit: usize) -> Result<Vec<(u64, Event)>, StoreFailed> {
        let shared = self.shared();
        let mut events = Vec::new();
        for segment in shared.segments.all() {
            if events.len() >= limit {
                break;
            }
            if segment.state.lock().next_event > seq {
                events.extend(read::events_of(shared, &segment, seq, limit - events.len())?);
            }
        }
        Ok(events)
    }

    /// Segments that take no more commits, oldest first.
    pub fn sealed_segments(&self) -> Vec<SegmentInfo> {
        let segments = self.shared().segments.all();
        let infos = segments.iter().filter_map(|segment| {
            let state = segment.state.lock();
            state.sealed.then_some(SegmentInfo {
                segment: segment.head.segment,
                first_event: segment.head.first_event,
                next_event: state.next_event,
                bytes: state.end,
                events_taken: state.taken,
            })
        });
        infos.collect()
    }

    /// Waits until a segment has been sealed since the last call. Cancellation-safe; for one waiter.
    pub async fn wait_sealed(&self) {
        self.shared().sealed.notified().await;
    }

    /// All events of a segment; none if it is not there any more.
    pub fn segment_events(&self, segment: u32) -> Result<Vec<(u64, Event)>, StoreFailed> {
        match self.shared().segments.get(segment) {
            Some(segment) => read::events_of(self.shared(), &segment, 0, usize::MAX),
            None => Ok(Vec::new()),
        }
    }

    /// Says that a segment's events are durable elsewhere, so that it may be freed. Not kept over a restart: say it again.
    #[allow(clippy::unused_async, reason = "a later store may have to make it durable")]
    pub async fn events_taken(&self, segment: u32) -> Result<(), StoreFailed> {
        if let Some(segment) = self.shared().segments.get(segment) {
            segment.state.lock().taken = true;
            self.shared().kick();
        }
        self.shared().latch.check()
    }

    /// Figures.
    pub fn status(&self) -> StoreStatus {
        let shared = self.shared();
        let figure = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
        let from = *shared.checkpointed.lock();
        let segments = shared.segments.all().len() as u64;
        let spare_segments = shared.spares.count() as u64;
        let (waiting, delta_entries, end) = {
            let delta = shared.delta.read();
            let frozen = delta.frozen.as_ref().map_or(0, |frozen| frozen.len());
            (delta.counts.total(), (delta.active.len() + frozen) as u64, delta.end)
        };
        let free_memory = memory::free_bytes(&shared.memory);
        StoreStatus {
            segments,
            spare_segments,
            log_bytes: (segments + spare_segments) * shared.options.segment_bytes,
            index_bytes: shared.index.size(),
            waiting,
            delta_entries,
            replay_bytes: checkpoint::log_bytes(shared, from, end),
            groups: figure(&shared.figures.groups),
            changes: figure(&shared.figures.changes),
            messages: figure(&shared.figures.messages),
            sync_us: figure(&shared.figures.sync_us),
            checkpoints: figure(&shared.figures.checkpoints),
            free_bytes: shared.disk.space(&shared.options.dir).map_or(0, |space| space.free),
            reserve_bytes: shared.reserve_bytes,
            memory_bytes: shared.options.memory_bytes_max.saturating_sub(free_memory),
            next_event: end.event,
            counted: shared.counted.load(Ordering::Acquire),
            failed: self.failed(),
        }
    }

    /// The error that latched the store.
    pub fn failed(&self) -> Option<String> {
        self.shared().latch.why().map(|why| why.to_string())
    }

    /// Waits until the store has failed. Cancellation-safe.
    pub async fn wait_failed(&self) {
        self.shared().latch.wait().await;
    }

    /// A new message id, unlike any other of this machine.
    pub fn new_id(&self) -> MessageId {
        let shared = self.shared();
        let count = shared.ids.fetch_add(1, Ordering::Relaxed);
        // The run's chance keeps ids of two runs in one millisecond apart; the counter those of one run.
        let unique = shared.salt.wrapping_add(count);
        MessageId::new(shared.clock.now_ms(), shared.options.node, unique)
    }

    /// The disk it lies on.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.shared().disk)
    }

    /// The data folder.
    pub fn dir(&self) -> &Path {
        &self.handle.shared.options.dir
    }

    /// Writes a checkpoint now and waits for it. Cancellation-safe.
    pub async fn checkpoint(&self) {
        let (waiter, done) = oneshot::channel();
        self.shared().chores.lock().waiters.push(waiter);
        self.shared().kick();
        // A thread that is gone has done its last checkpoint.
        let _ = done.await;
    }

    /// Writes a backup of the settings and suppressions, and of the queue when asked for, while the store runs. Blocks.
    pub fn backup(
        &self,
        out: &mut dyn std::io::Write,
        options: &BackupOptions,
    ) -> Result<BackupReport, BackupError> {
        backup::write(self.shared(), out, options)
    }

    /// Brings a backup into this store, which must be new; reads it to its end first. Blocks: not for a reactor's thread.
    pub fn restore(&self, input: &mut dyn Rereadable) -> Result<BackupReport, BackupError> {
        restore::run(self, input)
    }

    /// Looks for sparse segments now, and waits until they are moved.
    #[cfg(test)]
    pub(crate) async fn compact(&self) {
        self.shared().chores.lock().compact = true;
        self.checkpoint().await;
    }

    /// Ends the store for all its clones: what was handed in is committed, a checkpoint written. Blocks. The folder is
    /// unlocked when the last clone is dropped.
    pub fn close(self) {
        self.handle.stop(Ending::Checkpoint);
    }
}

impl Handle {
    fn stop(&self, ending: Ending) {
        let mut threads = self.threads.lock();
        self.shared.inbox.lock().closing = true;
        self.shared.inbox_filled.notify_all();
        let mut threads = threads.drain(..);
        // The committer first: the last checkpoint takes what it still wrote.
        join(threads.next());
        self.shared.chores.lock().ending = Some(ending);
        self.shared.chores_filled.notify_all();
        join(threads.next());
        self.shared.chores.lock().waiters.clear();
    }
}

/// Waits for a thread, unless it is this one: the last clone may be dropped by the committer's sink.
fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) =
        thread.filter(|thread| thread.thread().id() != std::thread::current().id())
    {
        // A panic in it was logged and counted, and latched the store.
        let _ = thread.join();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop(Ending::AtOnce);
    }
}
