//! Reading: active layer over frozen layer over index, a bounded piece at a time.
//!
//! The layers are read before the index: a record on its way down is then seen at least once, and the layers' word wins.
//! Nothing here writes, and no lock is held while the index reads the disk.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::mail::{Body, Event, Facts, Lane, Message};

use super::delta::{Layer, Slot, Word};
use super::error::{ReadError, StoreFailed};
use super::frame::{self, FrameBody, LEAD_OCTETS, Lead};
use super::layout::{BLOCK, COMMIT_HEAD_OCTETS};
use super::leaf::{Entry, first_of, last_of};
use super::ops::take_octets;
use super::segment::{Segment, Step, Walk};
use super::shared::Shared;
use super::types::{Due, Place, Record, WaitKey, Waiting};

/// Entries of a layer and leaves of the index that one step of a walk takes.
const STEP_ENTRIES: usize = 512;
const STEP_LEAVES: usize = 8;

/// One waiting recipient.
pub(super) fn waiting(shared: &Shared, key: &WaitKey) -> Result<Option<Waiting>, StoreFailed> {
    if let Word::Says(word) = shared.delta.read().waiting(key) {
        return Ok(word);
    }
    let leaves = shared.index.leaves(key, 1)?;
    let found = leaves.into_iter().flatten().find(|(at, _)| at == key);
    Ok(found.map(|(_, waiting)| waiting))
}

/// One record.
pub(super) fn get(shared: &Shared, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailed> {
    if let Word::Says(word) = shared.delta.read().record(key) {
        return Ok(word);
    }
    shared.index.get(key)
}

/// Records by prefix.
pub(super) fn scan(
    shared: &Shared,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Record>, StoreFailed> {
    let end = after_prefix(prefix);
    let mut from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after.to_vec()),
        _ => Bound::Included(prefix.to_vec()),
    };
    let mut records = Vec::new();
    while records.len() < limit {
        let step = (limit - records.len()).clamp(1, STEP_ENTRIES);
        let (part, reached) = scan_step(shared, &from, &end, step)?;
        records.extend(part);
        match reached {
            Some(key) => from = Bound::Excluded(key),
            None => break,
        }
    }
    records.truncate(limit);
    Ok(records)
}

/// The records of one step, and the key it reached if there may be more.
fn scan_step(
    shared: &Shared,
    from: &Bound<Vec<u8>>,
    end: &Bound<Vec<u8>>,
    limit: usize,
) -> Result<(Vec<Record>, Option<Vec<u8>>), StoreFailed> {
    if is_empty_range(from, end) {
        return Ok((Vec::new(), None));
    }
    let range = (from.clone(), end.clone());
    let mut reached: Option<Vec<u8>> = None;
    let mut over = BTreeMap::new();
    {
        // Recursive: a backup holds the lock over a whole scan.
        let delta = shared.delta.read_recursive();
        for layer in delta.frozen.as_deref().into_iter().chain([&delta.active]) {
            let part: Vec<_> = layer.records.range(range.clone()).take(limit).collect();
            if part.len() == limit {
                lower_bound(&mut reached, part.last().map(|(key, _)| (*key).clone()));
            }
            over.extend(part.into_iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    let below = shared.index.range(from.clone(), end.clone(), limit)?;
    if below.len() == limit {
        lower_bound(&mut reached, below.last().map(|(key, _)| key.clone()));
    }
    let mut merged: BTreeMap<_, _> = below.into_iter().map(|(k, v)| (k, Some(v))).collect();
    merged.extend(over);
    let within = |key: &Vec<u8>| reached.as_ref().is_none_or(|reached| key <= reached);
    let records = merged.into_iter().filter(|(key, _)| within(key));
    let records = records.filter_map(|(key, value)| Some((key, value?))).collect();
    Ok((records, reached))
}

/// Sets `bound` to the lesser of itself and `other`.
fn lower_bound<K: Ord>(bound: &mut Option<K>, other: Option<K>) {
    if let Some(other) = other
        && bound.as_ref().is_none_or(|bound| other < *bound)
    {
        *bound = Some(other);
    }
}

/// Where the keys that begin with `prefix` end.
fn after_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}

/// Ranges whose start lies behind their end make a `BTreeMap` panic.
fn is_empty_range(from: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>) -> bool {
    match (from, end) {
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Excluded(end) | Bound::Included(end),
        ) => from >= end,
        _ => false,
    }
}

/// The entries of one lane after `from`, one step of them, and the key the step reached if there may be more.
fn lane_step(
    shared: &Shared,
    from: Bound<WaitKey>,
    lane: Lane,
) -> Result<(Vec<Entry>, Option<WaitKey>), StoreFailed> {
    let mut reached = None;
    let over = layers_step(shared, (from, Bound::Included(last_of(lane))), &mut reached);
    let start = match from {
        Bound::Included(key) | Bound::Excluded(key) => key,
        Bound::Unbounded => first_of(lane),
    };
    let leaves = shared.index.leaves(&start, STEP_LEAVES)?;
    if leaves.len() == STEP_LEAVES {
        lower_bound(&mut reached, leaves.last().and_then(|leaf| leaf.last()).map(|(key, _)| *key));
    }
    let below = leaves.into_iter().flatten().filter(|(key, _)| is_after(from, key));
    Ok((merge(below, over, reached), reached))
}

fn is_after(from: Bound<WaitKey>, key: &WaitKey) -> bool {
    match from {
        Bound::Included(from) => *key >= from,
        Bound::Excluded(from) => *key > from,
        Bound::Unbounded => true,
    }
}

type Words = BTreeMap<WaitKey, Option<Waiting>>;

/// What the layers say of a range, one step of it.
fn layers_step(
    shared: &Shared,
    range: (Bound<WaitKey>, Bound<WaitKey>),
    reached: &mut Option<WaitKey>,
) -> Words {
    let mut over = BTreeMap::new();
    let delta = shared.delta.read();
    for layer in delta.frozen.as_deref().into_iter().chain([&delta.active]) {
        let mut taken = 0;
        for (key, slot) in layer.waits.range(range).take(STEP_ENTRIES) {
            over.insert(*key, slot.value.clone());
            taken += 1;
            if taken == STEP_ENTRIES {
                lower_bound(reached, Some(*key));
            }
        }
    }
    over
}

fn merge(below: impl Iterator<Item = Entry>, over: Words, reached: Option<WaitKey>) -> Vec<Entry> {
    let mut merged: Words = below.map(|(key, waiting)| (key, Some(waiting))).collect();
    merged.extend(over);
    let within = |key: &WaitKey| reached.is_none_or(|reached| *key <= reached);
    let entries = merged.into_iter().filter(|(key, _)| within(key));
    entries.filter_map(|(key, waiting)| Some((key, waiting?))).collect()
}

/// What is due in a lane.
pub(super) fn due(
    shared: &Shared,
    lane: Lane,
    (until_ms, limit): (u64, usize),
    skip: &dyn Fn(&WaitKey) -> bool,
) -> Result<Due, StoreFailed> {
    let mut due = Due::default();
    let mut from = Bound::Included(first_of(lane));
    loop {
        let (entries, reached) = lane_step(shared, from, lane)?;
        for (key, waiting) in entries {
            if skip(&key) {
                continue;
            }
            if key.due_ms > until_ms || due.items.len() >= limit {
                due.next_due_ms = Some(key.due_ms);
                return Ok(due);
            }
            due.items.push((key, waiting));
        }
        match reached {
            Some(key) => from = Bound::Excluded(key),
            None => return Ok(due),
        }
    }
}

/// All lanes that hold mail, with their next due time.
pub(super) fn lanes(shared: &Shared) -> Result<Vec<(Lane, u64)>, StoreFailed> {
    let mut lanes = Vec::new();
    let mut from = Bound::Unbounded;
    while let Some(lane) = next_lane(shared, from)? {
        // Deleted in the delta, a lane may hold nothing although the index has a leaf of it.
        if let Some(next) = due(shared, lane, (0, 0), &|_| false)?.next_due_ms {
            lanes.push((lane, next));
        }
        from = Bound::Excluded(last_of(lane));
    }
    Ok(lanes)
}

/// The first lane of which any layer or the index has an entry in `from`.
fn next_lane(shared: &Shared, from: Bound<WaitKey>) -> Result<Option<Lane>, StoreFailed> {
    let first = |layer: &Layer| -> Option<Lane> {
        let mut range = layer.waits.range((from, Bound::Unbounded));
        range.next().map(|(key, _): (&WaitKey, &Slot)| key.lane)
    };
    let over = {
        let delta = shared.delta.read();
        let frozen = delta.frozen.as_deref().and_then(first);
        first(&delta.active).into_iter().chain(frozen).min()
    };
    let after = match from {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    };
    let below = shared.index.leaf_after(after.as_ref())?;
    let below = below.and_then(|leaf| leaf.first().map(|(key, _)| key.lane));
    Ok(over.into_iter().chain(below).min())
}

/// The queue in key order.
pub(super) fn waiting_after(
    shared: &Shared,
    after: Option<&WaitKey>,
    limit: usize,
) -> Result<Vec<Entry>, StoreFailed> {
    let mut entries = Vec::new();
    let (mut lane, mut from) = match after {
        Some(key) => (Some(key.lane), Bound::Excluded(*key)),
        None => (next_lane(shared, Bound::Unbounded)?, Bound::Unbounded),
    };
    while let Some(at) = lane {
        let (part, reached) = lane_step(shared, from, at)?;
        entries.extend(part);
        if entries.len() >= limit {
            break;
        }
        from = reached.map_or(Bound::Unbounded, Bound::Excluded);
        if reached.is_none() {
            lane = next_lane(shared, Bound::Excluded(last_of(at)))?;
            from = lane.map_or(Bound::Unbounded, |lane| Bound::Included(first_of(lane)));
        }
    }
    entries.truncate(limit);
    Ok(entries)
}

/// The octets of a frame.
pub(super) fn frame_octets(shared: &Shared, place: Place) -> Result<Vec<u8>, ReadError> {
    let segment = shared.segments.get(place.segment).ok_or(ReadError::Gone)?;
    let len = place.frame_len() as usize;
    let end = u64::from(place.offset) + u64::from(place.frame_len());
    if end > segment.len {
        return Err(damaged(place, "the place lies beyond its segment"));
    }
    match segment.read(u64::from(place.offset), len) {
        Ok(octets) => Ok(octets),
        Err(error) => Err(damaged(place, &error.to_string())),
    }
}

fn damaged(place: Place, why: &str) -> ReadError {
    ReadError::Damaged(format!(
        "frame at octet {} of segment {}: {why}",
        place.offset, place.segment
    ))
}

/// The facts of a message, without its body.
pub(super) fn facts(shared: &Shared, place: Place) -> Result<Facts, ReadError> {
    // The facts stand first but the check sum covers all: octets that are not checked decide nothing.
    Ok(read_frame(shared, place)?.facts)
}

fn read_frame(shared: &Shared, place: Place) -> Result<frame::Frame, ReadError> {
    let octets = Bytes::from(frame_octets(shared, place)?);
    frame::read(&octets).map_err(|why| {
        // Freed and written over between the look-up and the read: gone, not damaged.
        if shared.segments.get(place.segment).is_none() {
            ReadError::Gone
        } else {
            damaged(place, why)
        }
    })
}

/// A message.
pub(super) fn message(shared: &Shared, place: Place) -> Result<Message, ReadError> {
    let frame = read_frame(shared, place)?;
    let body = match frame.body {
        FrameBody::Memory(octets) => Body::Memory(octets),
        FrameBody::File(len) => large_body(shared, place, &frame.facts, len)?,
    };
    Ok(Message { facts: std::sync::Arc::new(frame.facts), head: frame.head, body })
}

fn large_body(shared: &Shared, place: Place, facts: &Facts, len: u64) -> Result<Body, ReadError> {
    let path = shared.large.join(facts.id.to_string());
    let there = shared.disk.open(&path, super::disk::OpenHow::Read).and_then(|file| file.len());
    match there {
        Ok(there) if there == len => Ok(Body::File { path, len }),
        Ok(there) => {
            Err(damaged(place, &format!("its body's file has {there} octets instead of {len}")))
        }
        Err(error) => Err(damaged(place, &format!("its body's file: {error}"))),
    }
}

/// Events of one segment with numbers from `seq` on, up to `limit`.
pub(super) fn events_of(
    shared: &Shared,
    segment: &Segment,
    seq: u64,
    limit: usize,
) -> Result<Vec<(u64, Event)>, StoreFailed> {
    let (end, sealed) = {
        let state = segment.state.lock();
        (state.end, state.sealed)
    };
    let io = |error: std::io::Error| {
        StoreFailed::Latched(format!("reading segment {}: {error}", segment.head.segment).into())
    };
    let next_first = shared.segments.next_first(segment.head.segment);
    let start = segment.mark_before(seq);
    let first = if start == BLOCK { segment.head.first_commit } else { 0 };
    let mut walk = Walk::new(segment, start, first, next_first);
    let mut events = Vec::new();
    while events.len() < limit && (sealed || walk.stands_at().0 < end) {
        let Some(step) = walk.next().map_err(io)? else { break };
        let Step::Commit(head, offset) = step else { continue };
        if head.first_event + u64::from(head.events) <= seq {
            continue;
        }
        let at = offset + COMMIT_HEAD_OCTETS as u64 + u64::from(head.ops_len);
        let octets = segment.read(at, head.events_len as usize).map_err(io)?;
        let mut rest = &octets[..];
        for number in (head.first_event..).take(head.events as usize) {
            // What cannot be read was damaged on disk; the others of the commit may still be whole.
            let Ok(one) = take_octets(&mut rest) else { break };
            if let (true, Ok(event)) = (number >= seq, Event::decode(one)) {
                events.push((number, event));
            }
        }
    }
    events.truncate(limit);
    Ok(events)
}

/// Frames that stand one after the other in `octets`, with their offsets: what can be saved of a commit whose operations
/// are damaged.
pub(super) fn frames_in(octets: &[u8]) -> Vec<(u32, Lead)> {
    let mut frames = Vec::new();
    let mut at = 0usize;
    while let Some(lead) =
        octets.get(at..).filter(|rest| rest.len() >= LEAD_OCTETS).and_then(Lead::read)
    {
        let Ok(len) = usize::try_from(lead.frame_len()) else { break };
        let Some(end) = at.checked_add(len) else { break };
        match octets.get(at..end) {
            Some(frame) if frame::is_whole(frame) => {
                frames.extend(u32::try_from(at).ok().map(|at| (at, lead)));
            }
            _ => break,
        }
        at = end;
    }
    frames
}
