//! The queue's reads of the store, off the reactor: which lanes there are, what of a lane is due, who in a failing lane
//! is too late.
//!
//! It decides nothing: what it reads goes to the board.

use std::collections::HashSet;
use std::sync::Arc;

use super::hub::Hub;
use super::lane::{Entry, LaneId, Stage, Who, who};
use super::memory::Kept;
use super::settle::{self, Case};
use crate::mail::event::BounceEnd;
use crate::mail::{Body, Domain, EnhancedStatus, Facts, Lane, Message, MessageId, Reply};
use crate::store::{Due, Place, ReadError, Store, StoreFailed, WaitKey, Waiting};
use crate::supervise;

/// Recipients of a failing lane looked at in one go.
const SWEEP_ENTRIES: usize = 256;
/// A lane whose read failed is read again after this long.
const READ_PAUSE_MS: u64 = 5_000;

/// Reads on the pool of threads; a read that panicked is a failed one.
async fn blocking<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> Result<T, StoreFailed> + Send + 'static,
) -> Option<T> {
    match supervise::blocking(name, work).await? {
        Ok(value) => Some(value),
        Err(failed) => {
            tracing::error!(error = %failed, "the queue could not be read");
            None
        }
    }
}

/// Makes every lane with mail on disk known, as far as there is room.
pub(super) async fn list_lanes(hub: &Arc<Hub>) {
    let store = hub.store.clone();
    let Some(lanes) = blocking("queue-list", move || store.lanes()).await else { return };
    hub.with(|board| {
        board.unlisted = false;
        for (lane, due_ms) in lanes {
            let Some(id) = board.lane_for(lane, None) else { break };
            let due_ms = board.time.earliest(due_ms);
            if let Some(state) = board.lanes.get_mut(&id) {
                state.look_at_ms = 0;
            }
            board.note(id, due_ms);
        }
    });
}

/// Learns the domain of a lane that came from disk.
pub(super) async fn learn(hub: Arc<Hub>, id: LaneId) {
    let Some((lane, reach_ms)) = lane_and_reach(&hub, id) else { return };
    let store = hub.store.clone();
    let found = blocking("queue-learn", move || first_domain(&store, &lane, reach_ms)).await;
    let retry_ms = hub.time().now_ms() + READ_PAUSE_MS;
    let damaged = hub.with(|board| {
        let state = board.lanes.get_mut(&id)?;
        if state.stage == Stage::Learning {
            state.stage = Stage::Still;
        }
        match found {
            Some(First::Domain(domain)) => state.domain = Some(domain),
            Some(First::Nothing(next_ms)) => {
                state.begin_load();
                let next_ms = next_ms.map(|at| board.time.earliest(at));
                board.loaded(id, Vec::new(), next_ms);
            }
            Some(First::Damaged(item, why)) => return Some((item, why)),
            None => {
                state.begin_load();
                board.loaded(id, Vec::new(), Some(retry_ms));
            }
        }
        board.arrange(id);
        None
    });
    if let Some((item, why)) = damaged {
        end_damaged(&hub, id, item, &why);
        hub.with(|board| board.arrange(id));
    }
}

enum First {
    Domain(Domain),
    Nothing(Option<u64>),
    Damaged((WaitKey, Waiting), String),
}

fn first_domain(store: &Store, lane: &Lane, reach_ms: u64) -> Result<First, StoreFailed> {
    let due = store.due(lane, reach_ms, 1, &|_| false)?;
    let Some((key, waiting)) = due.items.into_iter().next() else {
        return Ok(First::Nothing(due.next_due_ms));
    };
    match store.facts(waiting.place) {
        Ok(facts) => match settle::mailbox(&facts, key.n) {
            Some(mailbox) => Ok(First::Domain(mailbox.domain().clone())),
            None => Ok(First::Damaged((key, waiting), "no such recipient".into())),
        },
        Err(ReadError::Store(failed)) => Err(failed),
        // Compaction moved it between our two reads: the next look finds its new place.
        Err(ReadError::Gone) => Ok(First::Nothing(Some(0))),
        Err(ReadError::Damaged(why)) => Ok(First::Damaged((key, waiting), why)),
    }
}

fn lane_and_reach(hub: &Hub, id: LaneId) -> Option<(Lane, u64)> {
    hub.with(|board| Some((board.lanes.get(&id)?.lane, board.time.reach_ms())))
}

/// Reads the next page of a lane.
pub(super) async fn load(hub: Arc<Hub>, id: LaneId) {
    let page_max = hub.options.load_entries_max;
    let asked = hub.with(|board| {
        let held = board.held_for_load(id);
        let reach_ms = board.time.reach_ms();
        let lane = board.lanes.get_mut(&id)?;
        Some((lane.lane, lane.next_page(page_max), held, reach_ms))
    });
    let Some((lane, page, held, reach_ms)) = asked else { return };
    let reader = Arc::clone(&hub);
    let page =
        blocking("queue-load", move || read_page(&reader, &lane, (page, reach_ms), &held)).await;
    let retry_ms = hub.time().now_ms() + READ_PAUSE_MS;
    let Some(page) = page else {
        return hub.with(|board| board.loaded(id, Vec::new(), Some(retry_ms)));
    };
    for (item, why) in page.damaged {
        end_damaged(&hub, id, item, &why);
    }
    hub.with(|board| {
        let next_ms = page.next_ms.map(|at| board.time.earliest(at));
        board.loaded(id, page.entries, next_ms);
    });
}

struct Page {
    entries: Vec<Entry>,
    damaged: Vec<((WaitKey, Waiting), String)>,
    next_ms: Option<u64>,
}

fn read_page(
    hub: &Hub,
    lane: &Lane,
    (page, reach_ms): (usize, u64),
    held: &HashSet<Who>,
) -> Result<Page, StoreFailed> {
    let Due { items, next_due_ms } =
        hub.store.due(lane, reach_ms, page, &|key| held.contains(&who(key)))?;
    let mut read = Page {
        entries: Vec::with_capacity(items.len()),
        damaged: Vec::new(),
        next_ms: next_due_ms,
    };
    for (key, waiting) in items {
        match kept(hub, waiting.place) {
            Ok(kept) => read.entries.push(Entry { key, waiting, kept }),
            Err(ReadError::Store(failed)) => return Err(failed),
            Err(ReadError::Gone) => read.next_ms = Some(0),
            Err(ReadError::Damaged(why)) => read.damaged.push(((key, waiting), why)),
        }
    }
    Ok(read)
}

/// The message at a place, from memory where one of its recipients has it there.
fn kept(hub: &Hub, place: Place) -> Result<Arc<Kept>, ReadError> {
    if let Some(kept) = hub.memory.find(place) {
        return Ok(kept);
    }
    let kept = hub.memory.keep(Arc::new(hub.store.message(place)?));
    if kept.message.facts.envelope.recipients.len() > 1 {
        hub.memory.remember(place, &kept);
    }
    Ok(kept)
}

/// Ends a recipient whose message cannot be read any more, with the reason; others go on.
fn end_damaged(hub: &Arc<Hub>, id: LaneId, (key, waiting): (WaitKey, Waiting), why: &str) {
    let facts = hub.store.facts(waiting.place).unwrap_or_else(|_| Facts::blank(key.id));
    let message = without_text(Arc::new(facts));
    let entry = Entry { key, waiting, kept: hub.memory.keep(Arc::new(message)) };
    let status = EnhancedStatus::new(5, 3, 0);
    let reply = Reply::local(status, &format!("the stored message is damaged: {why}"));
    if claim(hub, id, &entry) {
        drop(hub.end(id, &entry, BounceEnd::Damaged, &reply));
    }
}

/// What stands for a message whose text cannot be read.
pub(super) fn without_text(facts: Arc<Facts>) -> Message {
    Message { facts, head: bytes::Bytes::new(), body: Body::Memory(bytes::Bytes::new()) }
}

/// Takes a recipient out of the queue's turns into the caller's hands, as a lease is; `false` where a connection has it.
pub(super) fn claim(hub: &Hub, id: LaneId, entry: &Entry) -> bool {
    hub.with(|board| {
        let owner = board.owner_of(id);
        let wanted = who(&entry.key);
        let ready = board.lanes.get_mut(&id).and_then(|lane| lane.take_out(wanted)).is_some();
        if ready {
            board.entries = board.entries.saturating_sub(1);
        }
        let free = ready || board.lanes.get_mut(&owner).is_some_and(|lane| lane.hold(wanted));
        if let Some(lane) = board.lanes.get_mut(&id).filter(|_| free) {
            lane.in_flight += 1;
            board.in_flight += 1;
        }
        free && board.lanes.contains_key(&id)
    })
}

/// Looks through a lane whose destination fails for those who must be told of their delay, or have waited too long.
pub(super) async fn sweep(hub: Arc<Hub>, id: LaneId) {
    let why = hub.with(|board| {
        let lane = board.lanes.get(&id)?;
        let group = lane.way.and_then(|way| board.groups.get(&way));
        let rest = lane.rest.as_ref().or_else(|| group.and_then(|group| group.rest.as_ref()))?;
        Some((lane.lane, rest.why.clone()))
    });
    let Some((lane, why)) = why else { return };
    let probed_ms = hub.time().now_ms();
    let (mut after, mut look_at_ms) = (None, u64::MAX);
    loop {
        let reader = Arc::clone(&hub);
        let from: Option<WaitKey> = after;
        let page = blocking("queue-sweep", move || lane_page(&reader.store, &lane, from)).await;
        let Some(page) = page else { break };
        let full = page.len() == SWEEP_ENTRIES;
        after = page.last().map(|(key, _, _)| *key).or(after);
        for (key, waiting, facts) in page {
            let next = sweep_one(&hub, id, (key, waiting), facts, (probed_ms, &why)).await;
            look_at_ms = look_at_ms.min(next);
        }
        if !full {
            break;
        }
    }
    hub.with(|board| {
        if let Some(lane) = board.lanes.get_mut(&id) {
            lane.look_at_ms = lane.look_at_ms.min(look_at_ms);
        }
    });
}

type Looked = (WaitKey, Waiting, Arc<Facts>);

fn lane_page(
    store: &Store,
    lane: &Lane,
    after: Option<WaitKey>,
) -> Result<Vec<Looked>, StoreFailed> {
    let from = after.unwrap_or(WaitKey {
        lane: *lane,
        due_ms: 0,
        id: MessageId::from_octets([0; 16]),
        n: 0,
    });
    let mut page: Vec<Looked> = Vec::new();
    for (key, waiting) in store.waiting_after(Some(&from), SWEEP_ENTRIES)? {
        if key.lane != *lane {
            break;
        }
        let known = page.last().filter(|(other, _, _)| other.id == key.id);
        let facts = match known {
            Some((_, _, facts)) => Arc::clone(facts),
            None => match store.facts(waiting.place) {
                Ok(facts) => Arc::new(facts),
                Err(ReadError::Store(failed)) => return Err(failed),
                // What cannot be read is found out when it is its turn.
                Err(ReadError::Gone | ReadError::Damaged(_)) => continue,
            },
        };
        page.push((key, waiting, facts));
    }
    Ok(page)
}

/// Does what is due for one recipient; gives when it has to be looked at again, queue time.
async fn sweep_one(
    hub: &Arc<Hub>,
    id: LaneId,
    (key, waiting): (WaitKey, Waiting),
    facts: Arc<Facts>,
    (probed_ms, why): (u64, &Reply),
) -> u64 {
    let time = hub.time();
    let case =
        Case { key: &key, waiting: &waiting, facts: &facts, time: &time, options: &hub.options };
    let Some(settlement) = settle::waited(&case, probed_ms, why) else {
        let moments = super::expiry::Moments::of(&facts, &time, &hub.options);
        return moments.look_at_ms(waiting.delay_told);
    };
    let place = waiting.place;
    let message = supervise::blocking("queue-sweep", {
        let hub = Arc::clone(hub);
        move || kept(&hub, place)
    });
    let Some(Ok(kept)) = message.await else { return 0 };
    let entry = Entry { key, waiting, kept };
    if claim(hub, id, &entry) {
        // A failed store ends the process.
        let _ = hub.commit(id, &entry, settlement, "").await;
    }
    super::expiry::Moments::of(&facts, &time, &hub.options).expires_ms
}
