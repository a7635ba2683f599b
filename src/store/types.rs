//! The words of the store: places, waiting recipients, changes and what came of them. No I/O.

use std::path::PathBuf;
use std::sync::Arc;

use crate::mail::{Event, FailureClass, Lane, Message, MessageId};

/// Where a message's frame lies in the log. Segment numbers are never reused, so a place is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The segment's number, from 1.
    pub segment: u32,
    /// Octets from the segment's start.
    pub offset: u32,
    /// Octets of the frame; the top bit says that the body is a file of its own.
    pub len: u32,
}

impl Place {
    /// The bit of `len` that marks a message whose body is a file.
    pub(crate) const LARGE: u32 = 1 << 31;

    /// Octets of the frame in the log.
    pub fn frame_len(self) -> u32 {
        self.len & !Place::LARGE
    }

    /// Whether the body is a file of its own.
    pub fn is_large(self) -> bool {
        self.len & Place::LARGE != 0
    }
}

/// One recipient that waits: its lane, when it is due, and which recipient of which message it is.
///
/// The order is that of the index: lane, then due time, then message, then recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitKey {
    /// The line it stands in.
    pub lane: Lane,
    /// When it may be tried, Unix milliseconds.
    pub due_ms: u64,
    /// The message.
    pub id: MessageId,
    /// The recipient's number in the envelope.
    pub n: u32,
}

/// What is kept of a waiting recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its message.
    pub place: Place,
    /// Tries so far.
    pub attempts: u16,
    /// What the last failure spoke of.
    pub last_class: Option<FailureClass>,
    /// The last reply, at most [`Waiting::REPLY_OCTETS_MAX`] octets; longer text is cut.
    pub last_reply: Option<String>,
    /// Whether its DeliveryDelay has been written.
    pub delay_told: bool,
}

impl Waiting {
    /// Octets of the last reply that are kept: a leaf of 64 must stay small.
    pub const REPLY_OCTETS_MAX: usize = 200;

    /// A recipient that was never tried.
    pub fn new(place: Place) -> Waiting {
        Waiting { place, attempts: 0, last_class: None, last_reply: None, delay_told: false }
    }
}

/// A recipient of a new message that waits from now on; its lane comes from [`crate::mail::Facts::lane_of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewWaiting {
    /// The recipient's number in the envelope.
    pub n: u32,
    /// When it may be tried, Unix milliseconds.
    pub due_ms: u64,
}

/// What became of a waiting recipient: gone, or waiting again in the same lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The record that ends here.
    pub key: WaitKey,
    /// The message, as leased.
    pub place: Place,
    /// The new due time (Unix milliseconds) and record; `None` when the recipient has reached its end.
    pub next: Option<(u64, Waiting)>,
}

/// Everything that becomes true together, or not at all.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// A new message.
    pub message: Option<Arc<Message>>,
    /// Which of its recipients wait.
    pub waiting: Vec<NewWaiting>,
    /// Recipients that move on.
    pub settled: Vec<Settled>,
    /// Events, in order.
    pub events: Vec<Event>,
    /// Other records: key, and the value to put or `None` to delete. The first octet of a key names its owner: `c`
    /// settings, `s` suppression, `t` statistics, `x` counters. Keys have at most 128 octets, values at most 4 KiB.
    pub records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// A record's key and value.
pub type Record = (Vec<u8>, Vec<u8>);

/// A change that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Where the new message lies, if there was one.
    pub place: Option<Place>,
    /// The sequence number of the change's first event (of the next one, if it had none). Numbers are global and
    /// without gaps.
    pub first_event: u64,
}

/// What is due in a lane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// In order of due time.
    pub items: Vec<(WaitKey, Waiting)>,
    /// Due time of the first that was neither returned nor skipped, Unix milliseconds.
    pub next_due_ms: Option<u64>,
}

/// Hears of every committed message, on the committer's own thread, after durability and before the waiter.
pub trait CommitSink: Send + Sync + 'static {
    /// `message` is on disk and `waiting` are its recipients that wait. Must not block: the next commit waits for it.
    fn committed(&self, message: &Arc<Message>, place: Place, waiting: &[WaitKey]);
}

/// A segment of the log that takes no more commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub segment: u32,
    /// Sequence number of its first event.
    pub first_event: u64,
    /// One past its last event's.
    pub next_event: u64,
    /// Octets of commits in it.
    pub bytes: u64,
    /// Whether [`crate::store::Store::events_taken`] was called for it.
    pub events_taken: bool,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data folder; made if missing.
    pub dir: PathBuf,
    /// Octets of one log segment; at least [`StoreOptions::FLOOR_BYTES`].
    pub segment_bytes: u64,
    /// Octets of disk that intake must leave free; `None` for the lesser of 1 GiB and 5 % of the disk, at least 1.5 times
    /// the message limit. At least [`StoreOptions::FLOOR_BYTES`].
    pub reserve_bytes: Option<u64>,
    /// Octets of the file that is given up when the disk is full at start; at least [`StoreOptions::FLOOR_BYTES`].
    pub ballast_bytes: u64,
    /// The largest message intake takes, for the default reserve.
    pub message_bytes_max: u64,
    /// Octets of message bodies held in memory at once, before their commit.
    pub memory_bytes_max: u64,
    /// Octets of sled's cache.
    pub cache_bytes: u64,
    /// This machine's number in message ids.
    pub node: u16,
}

impl StoreOptions {
    /// The floor of segment, reserve and ballast, so that a 64 MB disk can be used.
    pub const FLOOR_BYTES: u64 = 4 << 20;

    /// The defaults for a data folder.
    pub fn new(dir: impl Into<PathBuf>) -> StoreOptions {
        StoreOptions {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            reserve_bytes: None,
            ballast_bytes: 64 << 20,
            message_bytes_max: 40 << 20,
            memory_bytes_max: 256 << 20,
            cache_bytes: 16 << 20,
            node: 0,
        }
    }
}

/// What opening found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Whether the data folder was new.
    pub fresh: bool,
    /// Commits replayed from the log.
    pub replayed: u64,
    /// Octets of a commit that was being written when the process or the power went; nobody was told of it.
    pub torn_bytes: u64,
    /// What was repaired, for people, one line each.
    pub repaired: Vec<String>,
    /// What is damaged and stays so, for people, one line each.
    pub damaged: Vec<String>,
}

/// The store's state, for `status` and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Log segments that hold something.
    pub segments: u64,
    /// Freed segments kept for reuse.
    pub spare_segments: u64,
    /// Octets of the log's segments on disk, spare ones included.
    pub log_bytes: u64,
    /// Octets of sled's files.
    pub index_bytes: u64,
    /// Recipients that wait, give or take those that settled since the last checkpoint.
    pub waiting: u64,
    /// Records in memory that no checkpoint has taken yet.
    pub delta_entries: u64,
    /// Octets of log since the last checkpoint: what a restart replays.
    pub replay_bytes: u64,
    /// Groups written since start; each cost one sync.
    pub groups: u64,
    /// Changes committed since start.
    pub changes: u64,
    /// Messages committed since start.
    pub messages: u64,
    /// Microseconds spent in the log's syncs since start.
    pub sync_us: u64,
    /// Checkpoints since start.
    pub checkpoints: u64,
    /// Free octets of the disk.
    pub free_bytes: u64,
    /// Octets that intake must leave free.
    pub reserve_bytes: u64,
    /// Octets of message bodies in memory.
    pub memory_bytes: u64,
    /// The next event's sequence number.
    pub next_event: u64,
    /// Whether the counts that free segments are complete (a scan after start).
    pub counted: bool,
    /// The error that latched the store.
    pub failed: Option<String>,
}
