//! What the store's threads and callers share: the delta, the segments, the index, the latch and the queue of requests.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::clock::Clock;

use super::delta::Delta;
use super::disk::Disk;
use super::error::StoreFailed;
use super::index::Index;
use super::log::Spares;
use super::prepare::Prepared;
use super::segment::Segments;
use super::types::{CommitSink, Committed, Place, StoreOptions, WaitKey};

/// Changes that wait for the committer or are in its hands; past it, [`super::Store::commit`] waits.
pub(super) const CHANGES_MAX: usize = 4096;

/// A live frame that compaction wants at the log's end.
pub(super) struct Move {
    /// The frame's octets, whole.
    pub(super) frame: Vec<u8>,
    /// Where it lies now.
    pub(super) place: Place,
    /// The records that point to it, as far as the index knew.
    pub(super) keys: Vec<WaitKey>,
}

/// What the committer is asked for.
pub(super) enum Request {
    /// A change.
    Change {
        prepared: Box<Prepared>,
        answer: oneshot::Sender<Result<Committed, StoreFailed>>,
        /// Given back with the answer.
        place: OwnedSemaphorePermit,
    },
    /// Frames to copy to the log's end.
    Moves { moves: Vec<Move>, answer: std::sync::mpsc::SyncSender<Result<(), StoreFailed>> },
}

/// The committer's inbox.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) requests: VecDeque<Request>,
    pub(super) closing: bool,
}

/// How the store ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a last checkpoint.
    Checkpoint,
    /// As a crash would.
    AtOnce,
}

/// The maintenance thread's inbox.
#[derive(Default)]
pub(super) struct Chores {
    /// Those who wait for a checkpoint.
    pub(super) waiters: Vec<oneshot::Sender<()>>,
    /// Something is to be done now.
    pub(super) kicked: bool,
    /// Sparse segments are to be looked for, whatever the time.
    pub(super) compact: bool,
    /// Set when the store ends.
    pub(super) ending: Option<Ending>,
}

/// Figures that only grow.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) groups: AtomicU64,
    pub(super) changes: AtomicU64,
    pub(super) messages: AtomicU64,
    pub(super) sync_us: AtomicU64,
    pub(super) checkpoints: AtomicU64,
}

/// The first error latches: everything fails from then on.
pub(super) struct Latch {
    why: OnceLock<Arc<str>>,
    set: watch::Sender<bool>,
}

impl Latch {
    pub(super) fn new() -> Latch {
        Latch { why: OnceLock::new(), set: watch::Sender::new(false) }
    }

    /// Latches; only the first reason is kept.
    pub(super) fn set(&self, why: &str) -> StoreFailed {
        let first = self.why.set(why.into()).is_ok();
        if first {
            tracing::error!(store.error = %crate::telemetry::printable(why), "the store failed and takes nothing more");
        }
        self.set.send_replace(true);
        StoreFailed::Latched(self.why().unwrap_or_else(|| why.into()))
    }

    pub(super) fn why(&self) -> Option<Arc<str>> {
        self.why.get().cloned()
    }

    /// An error once the store has failed.
    pub(super) fn check(&self) -> Result<(), StoreFailed> {
        match self.why.get() {
            Some(why) => Err(StoreFailed::Latched(Arc::clone(why))),
            None => Ok(()),
        }
    }

    pub(super) async fn wait(&self) {
        let mut set = self.set.subscribe();
        // The sender lives as long as we do, so the wait ends only when the latch is set.
        let _ = set.wait_for(|set| *set).await;
    }
}

/// See the module.
pub(super) struct Shared {
    pub(super) options: StoreOptions,
    pub(super) spool: PathBuf,
    pub(super) large: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) index: Index,
    pub(super) segments: Arc<Segments>,
    pub(super) spares: Arc<Spares>,
    pub(super) delta: RwLock<Delta>,
    pub(super) inbox: Mutex<Inbox>,
    pub(super) inbox_filled: Condvar,
    pub(super) places: Arc<Semaphore>,
    pub(super) chores: Mutex<Chores>,
    pub(super) chores_filled: Condvar,
    /// Signalled when a checkpoint has dropped its frozen layer.
    pub(super) thawed: Condvar,
    pub(super) thawed_lock: Mutex<()>,
    pub(super) latch: Latch,
    pub(super) sink: RwLock<Option<Arc<dyn CommitSink>>>,
    pub(super) sealed: Notify,
    pub(super) figures: Figures,
    /// Log position of the last checkpoint.
    pub(super) checkpointed: Mutex<super::layout::Position>,
    /// The start's scan has counted the index.
    pub(super) counted: AtomicBool,
    pub(super) memory: Arc<Semaphore>,
    pub(super) reserve_bytes: u64,
    pub(super) ids: AtomicU64,
    /// Chance of this run, mixed into ids.
    pub(super) salt: u64,
    pub(super) room: Mutex<(std::time::Duration, Option<super::disk::Space>)>,
    /// Segments whose frames compaction has moved or is moving.
    pub(super) moving: RwLock<std::collections::HashSet<u32>>,
}

impl Shared {
    /// Wakes the maintenance thread.
    pub(super) fn kick(&self) {
        self.chores.lock().kicked = true;
        self.chores_filled.notify_one();
    }

    /// Hands a request to the committer.
    pub(super) fn send(&self, request: Request) -> Result<(), StoreFailed> {
        let mut inbox = self.inbox.lock();
        if inbox.closing {
            return Err(StoreFailed::Closed);
        }
        inbox.requests.push_back(request);
        drop(inbox);
        self.inbox_filled.notify_one();
        Ok(())
    }

    /// Adds to a figure.
    pub(super) fn count(figure: &AtomicU64, n: u64) {
        figure.fetch_add(n, Ordering::Relaxed);
    }
}
