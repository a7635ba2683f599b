//! The store keeps what was accepted: messages, waiting recipients, events and settings, durably and in one commit.
//!
//! Never answers before fdatasync, never retries a failed sync, never starts a new database in place of a bad one.

mod disk;
mod error;
pub mod kind;
mod types;
pub mod vault;

use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;
use crate::mail::{Body, Event, Facts, Lane, Message, MessageId};

pub use disk::{Disk, DiskFile, Listed, OpenHow, RealDisk, Space};
pub use error::{NoRoom, OpenError, ReadError, StoreFailed};
pub use types::{
    Change, CommitSink, Committed, Due, NewWaiting, Opened, Place, Record, SegmentInfo, Settled,
    StoreOptions, StoreStatus, WaitKey, Waiting,
};

/// The store. Cheap to clone; all methods may be called from any thread. Methods that are not `async` may read the disk
/// (microseconds when cached): call them through [`crate::supervise::blocking`] where that matters.
#[derive(Clone)]
pub struct Store {
    dir: Arc<Path>,
    disk: Arc<dyn Disk>,
}

/// A place in memory for a message that is being taken; given back when dropped.
#[derive(Debug)]
pub struct MemoryPlace {
    _permit: (),
}

/// Writes a body of its own file; unlinked when dropped unfinished.
pub struct LargeWriter {
    _file: Arc<dyn DiskFile>,
}

impl LargeWriter {
    /// Appends octets. Blocks.
    pub fn write(&mut self, _octets: &[u8]) -> std::io::Result<()> {
        Err(std::io::Error::other("the store is being built"))
    }

    /// Makes the file and its name durable. Blocks.
    pub fn finish(self) -> std::io::Result<Body> {
        Err(std::io::Error::other("the store is being built"))
    }
}

fn unbuilt() -> StoreFailed {
    StoreFailed::Latched("the store is being built".into())
}

#[allow(
    missing_docs,
    clippy::unused_async,
    clippy::missing_panics_doc,
    reason = "a shell, for an hour"
)]
impl Store {
    /// Opens the store in `options.dir`: locks it, repairs what can be repaired, replays the log. Blocks.
    pub fn open(
        options: StoreOptions,
        _clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
    ) -> Result<(Store, Opened), OpenError> {
        Ok((Store { dir: options.dir.into(), disk }, Opened::default()))
    }
    /// Makes a change durable. Resolves after fdatasync. Cancellation-safe: the change may still happen.
    pub async fn commit(&self, _change: Change) -> Result<Committed, StoreFailed> {
        Err(unbuilt())
    }
    /// The value of a record.
    pub fn get(&self, _key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailed> {
        Err(unbuilt())
    }
    /// Records whose key begins with `prefix`, after the key `after`, in order.
    pub fn scan(
        &self,
        _prefix: &[u8],
        _after: Option<&[u8]>,
        _limit: usize,
    ) -> Result<Vec<Record>, StoreFailed> {
        Err(unbuilt())
    }
    /// Lanes that hold mail, each with its next due time, Unix milliseconds.
    pub fn lanes(&self) -> Result<Vec<(Lane, u64)>, StoreFailed> {
        Err(unbuilt())
    }
    /// What is due in a lane until `until_ms`, without what `skip` knows.
    pub fn due(
        &self,
        _lane: &Lane,
        _until_ms: u64,
        _limit: usize,
        _skip: &dyn Fn(&WaitKey) -> bool,
    ) -> Result<Due, StoreFailed> {
        Err(unbuilt())
    }
    /// The whole queue in key order, for operators.
    pub fn waiting_after(
        &self,
        _after: Option<&WaitKey>,
        _limit: usize,
    ) -> Result<Vec<(WaitKey, Waiting)>, StoreFailed> {
        Err(unbuilt())
    }
    /// One waiting recipient, if it still waits; after [`ReadError::Gone`] its place is the present one.
    pub fn waiting(&self, _key: &WaitKey) -> Result<Option<Waiting>, StoreFailed> {
        Err(unbuilt())
    }
    /// The facts of a message.
    pub fn facts(&self, _place: Place) -> Result<Facts, ReadError> {
        Err(unbuilt().into())
    }
    /// A message.
    pub fn message(&self, _place: Place) -> Result<Message, ReadError> {
        Err(unbuilt().into())
    }
    /// A file for a body above the in-memory bound. Blocks.
    pub fn large_writer(&self, _id: MessageId) -> std::io::Result<LargeWriter> {
        Err(std::io::Error::other("the store is being built"))
    }
    /// Removes the file of a finished large body whose message will never be committed.
    pub fn discard_large(&self, _body: &Body) {}
    /// Whether the disk has room for more mail.
    pub fn room(&self) -> Result<(), NoRoom> {
        Ok(())
    }
    /// Waits for a place in memory for `bytes` octets of a message.
    pub async fn memory(&self, _bytes: u32) -> MemoryPlace {
        MemoryPlace { _permit: () }
    }
    /// Sets who hears of committed messages.
    pub fn notify(&self, _sink: Arc<dyn CommitSink>) {}
    /// Events from `seq` on, as far as the log still has them; older ones are in the sealed files of `events`.
    pub fn events_from(&self, _seq: u64, _limit: usize) -> Result<Vec<(u64, Event)>, StoreFailed> {
        Err(unbuilt())
    }
    /// Segments that take no more commits, oldest first.
    pub fn sealed_segments(&self) -> Vec<SegmentInfo> {
        Vec::new()
    }
    /// Waits until a segment has been sealed since the last call.
    pub async fn wait_sealed(&self) {
        std::future::pending::<()>().await;
    }
    /// All events of a segment.
    pub fn segment_events(&self, _segment: u32) -> Result<Vec<(u64, Event)>, StoreFailed> {
        Err(unbuilt())
    }
    /// Says that a segment's events are durable elsewhere, so that it may be freed.
    pub async fn events_taken(&self, _segment: u32) -> Result<(), StoreFailed> {
        Err(unbuilt())
    }
    /// Figures.
    pub fn status(&self) -> StoreStatus {
        StoreStatus::default()
    }
    /// The error that latched the store.
    pub fn failed(&self) -> Option<String> {
        None
    }
    /// Waits until the store has failed.
    pub async fn wait_failed(&self) {
        std::future::pending::<()>().await;
    }
    /// A new message id.
    pub fn new_id(&self) -> MessageId {
        MessageId::new(0, 0, 0)
    }
    /// The disk it lies on.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }
    /// The data folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
    /// Writes a checkpoint now and waits for it.
    pub async fn checkpoint(&self) {}
    /// Ends the store: what was handed in is committed, a checkpoint written, the folder unlocked. Blocks.
    pub fn close(self) {}
}
