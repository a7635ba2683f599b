//! One lane in memory: when it is due next, what of it is loaded, how its destination fares. Pure.
//!
//! Never knows a message that is not loaded: what waits on disk is one number, the next due time.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::memory::Kept;
use crate::mail::{Domain, Lane, MessageId, Reply};
use crate::store::{WaitKey, Waiting};

/// A lane's number in this process; never reused, so that a late answer about a lane that is gone finds nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LaneId(pub(super) u64);

/// Which recipient, whatever its due time.
pub(super) type Who = (MessageId, u32);

/// The recipient of a key.
pub(super) fn who(key: &WaitKey) -> Who {
    (key.id, key.n)
}

/// A recipient in memory, ready to be leased.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: WaitKey,
    pub(super) waiting: Waiting,
    pub(super) kept: Arc<Kept>,
}

/// What a lane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing, or its timer runs.
    Still,
    /// Its domain is being read from disk.
    Learning,
    /// Its route is being asked for.
    Asking,
    /// It stands in its group's turns.
    Queued,
    /// It waits for another lane's probe of the same hosts.
    Parked,
}

/// A destination that failed as a whole: nothing is sent but one probe after each pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rest {
    /// Probes that failed, at least 1.
    pub(super) failures: u32,
    /// When the next one is due, queue time.
    pub(super) until_ms: u64,
    /// Whether it is under way.
    pub(super) probing: bool,
    /// What the last one heard.
    pub(super) why: Reply,
}

/// See the module.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) lane: Lane,
    /// Known from the first recipient on; a lane that came from disk learns it before it is routed.
    pub(super) domain: Option<Domain>,
    /// The lane that owns what waits on disk where two domains share one hash; itself otherwise.
    pub(super) owner: Option<LaneId>,
    pub(super) stage: Stage,
    pub(super) way: Option<super::ready::GroupId>,
    pub(super) routed_ms: u64,
    pub(super) rest: Option<Rest>,
    pub(super) timer_ms: Option<u64>,
    pub(super) in_flight: u32,
    /// When a recipient on disk may have to be told of its delay or its end although nothing is tried.
    pub(super) look_at_ms: u64,
    /// Since when it has nothing to do.
    pub(super) idle_ms: Option<u64>,
    /// Whether it stands in the line of those that may be forgotten.
    pub(super) in_idle_line: bool,
    fresh: VecDeque<Entry>,
    loaded: VecDeque<Entry>,
    loaded_next: bool,
    /// Recipients in memory, leased or in hands of an operator: a read from disk passes them over.
    held: HashSet<Who>,
    /// Recipients that settled while a read was under way, which may have seen them still.
    gone: Vec<Who>,
    disk_ms: Option<u64>,
    pub(super) loading: bool,
    page: usize,
}

/// The first read of a lane: small, for its destination may turn out to be slow.
const PAGE_FIRST: usize = 4;

impl LaneState {
    pub(super) fn new(lane: Lane, domain: Option<Domain>, owner: Option<LaneId>) -> LaneState {
        LaneState {
            lane,
            domain,
            owner,
            stage: Stage::Still,
            way: None,
            routed_ms: 0,
            rest: None,
            timer_ms: None,
            in_flight: 0,
            look_at_ms: u64::MAX,
            idle_ms: None,
            in_idle_line: false,
            fresh: VecDeque::new(),
            loaded: VecDeque::new(),
            loaded_next: false,
            held: HashSet::new(),
            gone: Vec::new(),
            disk_ms: None,
            loading: false,
            page: PAGE_FIRST,
        }
    }

    /// Recipients ready in memory.
    pub(super) fn ready(&self) -> usize {
        self.fresh.len() + self.loaded.len()
    }

    /// First attempts in memory.
    pub(super) fn fresh_len(&self) -> usize {
        self.fresh.len()
    }

    /// Adds a first attempt that was just committed.
    pub(super) fn push_fresh(&mut self, entry: Entry) {
        self.held.insert(who(&entry.key));
        self.fresh.push_back(entry);
    }

    /// Adds one that was read from disk; `false` if it is in memory already.
    pub(super) fn push_loaded(&mut self, entry: Entry) -> bool {
        let new = self.held.insert(who(&entry.key));
        if new {
            self.loaded.push_back(entry);
        }
        new
    }

    /// Puts a leased one back, to be the next.
    pub(super) fn push_back_untried(&mut self, entry: Entry) {
        self.loaded.push_front(entry);
        self.loaded_next = true;
    }

    /// The next recipient, in turn from new mail and from disk, so that neither starves the other.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.loaded_next = !self.loaded_next;
        let entry = if self.loaded_next {
            self.fresh.pop_front().or_else(|| self.loaded.pop_front())
        } else {
            self.loaded.pop_front().or_else(|| self.fresh.pop_front())
        };
        // A burst's buffer is not kept for a lane that may never see another.
        if self.fresh.is_empty() && self.fresh.capacity() > 64 {
            self.fresh = VecDeque::new();
        }
        entry
    }

    /// The recipient whose turn is next, without taking it.
    pub(super) fn peek(&self) -> Option<&Entry> {
        self.loaded.front().or_else(|| self.fresh.front())
    }

    /// Forgets everything ready in memory, which then is due on disk; gives how many.
    pub(super) fn drop_window(&mut self, now_ms: u64) -> usize {
        let dropped = self.ready();
        let entries =
            std::mem::take(&mut self.fresh).into_iter().chain(std::mem::take(&mut self.loaded));
        for entry in entries {
            self.held.remove(&who(&entry.key));
        }
        if dropped > 0 {
            self.note(now_ms);
        }
        dropped
    }

    /// Takes one recipient out of what is ready, if it is there.
    pub(super) fn take_out(&mut self, wanted: Who) -> Option<Entry> {
        for line in [&mut self.fresh, &mut self.loaded] {
            if let Some(at) = line.iter().position(|entry| who(&entry.key) == wanted) {
                return line.remove(at);
            }
        }
        None
    }

    /// Keeps reads from disk off a recipient; `false` if it is held already.
    pub(super) fn hold(&mut self, who: Who) -> bool {
        self.held.insert(who)
    }

    /// Lets a recipient go whose outcome is durable.
    pub(super) fn release(&mut self, who: Who) {
        if self.loading {
            self.gone.push(who);
        } else {
            self.held.remove(&who);
        }
    }

    /// Who must be passed over by a read.
    pub(super) fn held(&self) -> &HashSet<Who> {
        &self.held
    }

    /// Something on disk is due at `due_ms`, queue time.
    pub(super) fn note(&mut self, due_ms: u64) {
        self.disk_ms = Some(self.disk_ms.map_or(due_ms, |at| at.min(due_ms)));
    }

    /// When something on disk is due, queue time.
    pub(super) fn disk_ms(&self) -> Option<u64> {
        self.disk_ms
    }

    /// Whether something on disk is due.
    pub(super) fn is_disk_due(&self, now_ms: u64) -> bool {
        self.disk_ms.is_some_and(|at| at <= now_ms)
    }

    /// Whether another page should be read while the last one leaves.
    pub(super) fn wants_page(&self, now_ms: u64) -> bool {
        !self.loading && self.loaded.len() <= self.page / 2 && self.is_disk_due(now_ms)
    }

    /// A read begins: what it finds replaces what is known of the disk.
    pub(super) fn begin_load(&mut self) {
        self.loading = true;
        self.disk_ms = None;
    }

    /// A read ended, and knows when more is due.
    pub(super) fn end_load(&mut self, next_ms: Option<u64>) {
        self.loading = false;
        for who in std::mem::take(&mut self.gone) {
            self.held.remove(&who);
        }
        if let Some(next_ms) = next_ms {
            self.note(next_ms);
        }
    }

    /// Whether a recipient settled while the read was under way that is ending.
    pub(super) fn is_held(&self, who: Who) -> bool {
        self.held.contains(&who)
    }

    /// How many recipients the next read may bring: doubled with each, for a lane that is read again was worth it.
    pub(super) fn next_page(&mut self, page_max: usize) -> usize {
        let page = self.page.min(page_max).max(1);
        self.page = (page * 2).min(page_max);
        if self.rest.is_some() { 1 } else { page }
    }

    /// Whether it may be forgotten: nothing in memory, nothing on disk, nobody working for it.
    pub(super) fn may_go(&self) -> bool {
        self.held.is_empty()
            && self.disk_ms.is_none()
            && !self.loading
            && self.in_flight == 0
            && self.stage == Stage::Still
    }
}

#[cfg(test)]
mod tests {
    use super::super::{memory::Memory, testing};
    use super::*;
    use crate::store::Place;

    const T: u64 = 1_790_000_000_000;

    fn entry(unique: u64) -> Entry {
        let facts = testing::facts(unique, T, &["bob@example.net"]);
        let key = WaitKey { lane: facts.lane_of(0).unwrap(), due_ms: T, id: facts.id, n: 0 };
        let waiting = Waiting::new(Place { segment: 1, offset: 0, len: 1 });
        Entry { key, waiting, kept: Memory::new(0).keep(testing::message(facts)) }
    }

    fn lane() -> LaneState {
        LaneState::new(entry(0).key.lane, None, None)
    }

    #[test]
    fn new_mail_and_retries_take_turns() {
        let mut lane = lane();
        (0..3).for_each(|unique| lane.push_fresh(entry(unique)));
        (10..13).for_each(|unique| assert!(lane.push_loaded(entry(unique))));
        let order: Vec<_> = std::iter::from_fn(|| lane.pop()).map(|e| e.key.id).collect();
        let want = [0, 10, 1, 11, 2, 12].map(|unique| MessageId::new(T, 0, unique));
        assert_eq!(order, want);
    }

    #[test]
    fn a_recipient_that_settled_during_a_read_is_not_sent_again() {
        let mut lane = lane();
        lane.push_fresh(entry(1));
        let leased = lane.pop().unwrap();
        lane.begin_load();
        lane.release(who(&leased.key));
        assert!(!lane.push_loaded(entry(1)), "the read saw it before it settled");
        lane.end_load(None);
        assert!(lane.held().is_empty());
        assert!(lane.may_go());
    }

    #[test]
    fn a_window_that_is_dropped_is_due_on_disk() {
        let mut lane = lane();
        lane.push_fresh(entry(1));
        lane.note(T + 5000);
        assert_eq!(lane.drop_window(T), 1);
        assert_eq!((lane.ready(), lane.disk_ms()), (0, Some(T)));
        assert!(lane.held().is_empty());
    }

    #[test]
    fn pages_grow_while_a_lane_moves_and_a_probe_reads_one() {
        let mut lane = lane();
        assert_eq!([0; 6].map(|_| lane.next_page(64)), [4, 8, 16, 32, 64, 64]);
        lane.rest = Some(Rest { failures: 1, until_ms: 0, probing: true, why: Reply::new(0, "x") });
        assert_eq!(lane.next_page(64), 1);
    }
}
