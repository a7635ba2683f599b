//! The delta: what the log holds and the index does not yet, in memory and readable at once.
//!
//! Two layers: commits go to the active one; a checkpoint freezes it, carries it into the index and drops it. Readers
//! merge active over frozen over index. Mail that is accepted and delivered between two checkpoints annihilates here and
//! never reaches the index. No I/O.

use std::collections::{BTreeMap, HashMap, btree_map};
use std::sync::Arc;

use crate::mail::MessageId;

use super::layout::Position;
use super::ops::Op;
use super::types::{Place, WaitKey, Waiting};

/// What a layer says of one waiting recipient.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// Its record, or `None` where one below is deleted.
    pub(super) value: Option<Waiting>,
    /// Nothing of this key lies in a layer below, so deleting it needs no trace.
    fresh: bool,
}

/// One layer.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) waits: BTreeMap<WaitKey, Slot>,
    pub(super) records: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Layer {
    pub(super) fn len(&self) -> usize {
        self.waits.len() + self.records.len()
    }
}

/// How many waiting records point where. Counted physically: each record in a layer or in the index counts once, so that
/// a count can be too high for a moment but never too low.
#[derive(Debug, Default)]
pub(super) struct Counts {
    segments: HashMap<u32, u64>,
    large: HashMap<MessageId, u64>,
    /// Large messages whose count fell to nought; to be looked at again before their file goes.
    large_done: Vec<MessageId>,
    total: u64,
}

impl Counts {
    pub(super) fn add(&mut self, id: MessageId, place: Place) {
        *self.segments.entry(place.segment).or_default() += 1;
        self.total += 1;
        if place.is_large() {
            *self.large.entry(id).or_default() += 1;
        }
    }

    pub(super) fn sub(&mut self, id: MessageId, place: Place) {
        self.total = self.total.saturating_sub(1);
        lower(&mut self.segments, &place.segment);
        if place.is_large() && lower(&mut self.large, &id) {
            self.large_done.push(id);
        }
    }

    pub(super) fn of_segment(&self, segment: u32) -> u64 {
        self.segments.get(&segment).copied().unwrap_or_default()
    }

    pub(super) fn has_large(&self, id: MessageId) -> bool {
        self.large.contains_key(&id)
    }

    /// Large messages that nothing points to any more, since the last call.
    pub(super) fn take_large_done(&mut self) -> Vec<MessageId> {
        let mut done = std::mem::take(&mut self.large_done);
        // An operation may have lowered the count to nought and the next one of the same commit raised it again.
        done.retain(|id| !self.large.contains_key(id));
        done
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

/// Lowers a count; `true` when it fell to nought.
fn lower<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u64>, key: &K) -> bool {
    let Some(count) = counts.get_mut(key) else { return false };
    *count -= 1;
    let done = *count == 0;
    if done {
        counts.remove(key);
    }
    done
}

/// Where the frames of a commit lie, while its operations are applied in order.
#[derive(Debug)]
pub(super) struct FrameCursor {
    segment: u32,
    next: u32,
    current: Place,
}

impl FrameCursor {
    /// `frames` is where the commit's frames begin, in octets from the segment's start.
    pub(super) fn new(segment: u32, frames: u32) -> FrameCursor {
        FrameCursor { segment, next: frames, current: Place { segment, offset: frames, len: 0 } }
    }

    /// Moves to the next frame and says where it lies.
    pub(super) fn advance(&mut self, len: u32) -> Place {
        self.current = Place { segment: self.segment, offset: self.next, len };
        self.next = self.next.saturating_add(self.current.frame_len());
        self.current
    }

    fn resolve(&self, place: Place) -> Place {
        if place.segment == 0 { self.current } else { place }
    }
}

/// What the layers say of a key.
#[derive(Debug)]
pub(super) enum Word<T> {
    /// It is there, or it is deleted.
    Says(Option<T>),
    /// Only the index knows.
    Silent,
}

/// Both layers, the counts and the log's end that they stand for.
#[derive(Debug)]
pub(super) struct Delta {
    pub(super) active: Layer,
    pub(super) frozen: Option<Arc<Layer>>,
    pub(super) counts: Counts,
    /// Where the next commit goes: everything before it is in the layers or below.
    pub(super) end: Position,
    /// During replay the index may already hold part of what is replayed, so nothing is fresh.
    pub(super) replaying: bool,
    /// Replay takes records only from this commit on: a rebuild has the older ones from a backup.
    pub(super) records_from: u64,
}

impl Delta {
    pub(super) fn new(end: Position) -> Delta {
        Delta {
            active: Layer::default(),
            frozen: None,
            counts: Counts::default(),
            end,
            replaying: true,
            records_from: 0,
        }
    }

    /// Applies one operation of a commit.
    pub(super) fn apply(&mut self, op: &Op, frames: &mut FrameCursor) {
        match op {
            Op::Frame { len, .. } => {
                frames.advance(*len);
            }
            Op::New(key) => self.put(*key, Waiting::new(frames.current)),
            Op::Wait(key, waiting) => {
                let place = frames.resolve(waiting.place);
                self.put(*key, Waiting { place, ..waiting.clone() });
            }
            Op::Gone(key) => self.remove(key),
            Op::Put(key, value) => {
                self.active.records.insert(key.clone(), Some(value.clone()));
            }
            Op::Delete(key) => {
                self.active.records.insert(key.clone(), None);
            }
        }
    }

    fn put(&mut self, key: WaitKey, waiting: Waiting) {
        self.counts.add(key.id, waiting.place);
        let below =
            self.replaying || self.frozen.as_ref().is_some_and(|f| f.waits.contains_key(&key));
        match self.active.waits.entry(key) {
            btree_map::Entry::Vacant(slot) => {
                slot.insert(Slot { value: Some(waiting), fresh: !below });
            }
            btree_map::Entry::Occupied(mut slot) => {
                if let Some(old) = slot.get_mut().value.replace(waiting) {
                    self.counts.sub(key.id, old.place);
                }
            }
        }
    }

    fn remove(&mut self, key: &WaitKey) {
        match self.active.waits.entry(*key) {
            btree_map::Entry::Vacant(slot) => {
                slot.insert(Slot { value: None, fresh: false });
            }
            btree_map::Entry::Occupied(mut slot) => {
                if let Some(old) = slot.get_mut().value.take() {
                    self.counts.sub(key.id, old.place);
                }
                if slot.get().fresh {
                    slot.remove();
                }
            }
        }
    }

    /// The layers' word on a waiting recipient.
    pub(super) fn waiting(&self, key: &WaitKey) -> Word<Waiting> {
        let slot = self
            .active
            .waits
            .get(key)
            .or_else(|| self.frozen.as_ref().and_then(|frozen| frozen.waits.get(key)));
        slot.map_or(Word::Silent, |slot| Word::Says(slot.value.clone()))
    }

    /// The layers' word on a record.
    pub(super) fn record(&self, key: &[u8]) -> Word<Vec<u8>> {
        self.active
            .records
            .get(key)
            .or_else(|| self.frozen.as_ref().and_then(|frozen| frozen.records.get(key)))
            .map_or(Word::Silent, |value| Word::Says(value.clone()))
    }

    /// Freezes the active layer for a checkpoint; the caller made sure that none is frozen.
    pub(super) fn freeze(&mut self) -> (Arc<Layer>, Position) {
        let layer = Arc::new(std::mem::take(&mut self.active));
        self.frozen = Some(Arc::clone(&layer));
        (layer, self.end)
    }

    /// Drops the frozen layer, now in the index; `removed` are the records of the index that it replaced or deleted.
    pub(super) fn thaw(&mut self, removed: &[(MessageId, Place)]) {
        self.frozen = None;
        for (id, place) in removed {
            self.counts.sub(*id, *place);
        }
    }
}
