//! Finds segments of which little is still wanted, and hands what lives in them to the committer to be moved.
//!
//! Runs on the maintenance thread. The committer decides anew, record by record, whether a move still holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::error::StoreFailed;
use super::frame;
use super::leaf::Entry;
use super::read;
use super::segment::Segment;
use super::shared::{Move, Request, Shared};
use super::types::{Place, WaitKey};

/// A segment with less than a quarter of its octets alive is worth moving.
const LIVE_SHARE: u64 = 4;
/// Segments looked at in one round: those with the fewest recipients.
const CANDIDATES_MAX: usize = 4;
/// Recipients of one candidate that are held in memory; one with more waits until it has fewer.
const KEYS_MAX: usize = 200_000;
/// Octets of frames moved in one commit.
const MOVE_OCTETS_MAX: usize = 1 << 20;
/// How often a round is made; each reads the whole index.
pub(super) const EVERY: Duration = Duration::from_mins(10);
/// The same when the disk is below its reserve.
pub(super) const EVERY_WHEN_LOW: Duration = Duration::from_secs(30);

/// What lives in one candidate, by offset.
#[derive(Default)]
struct Live {
    frames: BTreeMap<u32, (Place, Vec<WaitKey>)>,
    octets: u64,
    keys: usize,
}

/// One round.
pub(super) fn run(shared: &Shared) -> Result<(), StoreFailed> {
    let candidates = candidates(shared);
    if candidates.is_empty() {
        return Ok(());
    }
    let mut found: HashMap<u32, Live> =
        candidates.iter().map(|segment| (segment.head.segment, Live::default())).collect();
    collect(shared, &mut found)?;
    for segment in candidates {
        let live = found.remove(&segment.head.segment).unwrap_or_default();
        let sparse = live.octets < segment.len / LIVE_SHARE && live.keys < KEYS_MAX;
        if sparse && live.keys > 0 {
            move_all(shared, &segment, live)?;
        }
    }
    Ok(())
}

/// Segments that only their waiting recipients keep, fewest first.
fn candidates(shared: &Shared) -> Vec<Arc<Segment>> {
    let passed = shared.checkpointed.lock().segment;
    let mut candidates: Vec<(u64, Arc<Segment>)> = Vec::new();
    for segment in shared.segments.all() {
        let number = segment.head.segment;
        let done = {
            let state = segment.state.lock();
            state.sealed && state.taken
        };
        let count = shared.delta.read().counts.of_segment(number);
        if done && number < passed && count > 0 {
            candidates.push((count, segment));
        }
    }
    candidates.sort_by_key(|(count, _)| *count);
    candidates.into_iter().take(CANDIDATES_MAX).map(|(_, segment)| segment).collect()
}

fn collect(shared: &Shared, found: &mut HashMap<u32, Live>) -> Result<(), StoreFailed> {
    let over: Vec<Entry> = {
        let delta = shared.delta.read();
        let slots =
            delta.active.waits.iter().filter_map(|(key, slot)| Some((key, slot.value.as_ref()?)));
        let wanted = slots.filter(|(_, waiting)| found.contains_key(&waiting.place.segment));
        wanted.map(|(key, waiting)| (*key, waiting.clone())).collect()
    };
    for entry in &over {
        note(found, entry);
    }
    let mut after = None;
    while let Some(entries) = shared.index.leaf_after(after.as_ref())? {
        for entry in &entries {
            note(found, entry);
        }
        after = entries.first().map(|(key, _)| *key);
        if after.is_none() {
            break;
        }
    }
    Ok(())
}

fn note(found: &mut HashMap<u32, Live>, (key, waiting): &Entry) {
    let Some(live) = found.get_mut(&waiting.place.segment).filter(|live| live.keys < KEYS_MAX)
    else {
        return;
    };
    let place = waiting.place;
    live.keys += 1;
    let (_, keys) = live.frames.entry(place.offset).or_insert_with(|| {
        live.octets += u64::from(place.frame_len());
        (place, Vec::new())
    });
    keys.push(*key);
}

fn move_all(shared: &Shared, segment: &Segment, live: Live) -> Result<(), StoreFailed> {
    shared.moving.write().insert(segment.head.segment);
    let mut moves = Vec::new();
    let mut octets = 0;
    for (place, keys) in live.frames.into_values() {
        // A damaged frame stays where it is until its recipients have ended as damaged.
        let Ok(frame) = read::frame_octets(shared, place) else { continue };
        if !frame::is_whole(&frame) {
            continue;
        }
        octets += frame.len();
        moves.push(Move { frame, place, keys });
        if octets >= MOVE_OCTETS_MAX {
            hand_over(shared, std::mem::take(&mut moves))?;
            octets = 0;
        }
    }
    if !moves.is_empty() {
        hand_over(shared, moves)?;
    }
    segment.state.lock().moved_at = Some(shared.clock.uptime());
    Ok(())
}

fn hand_over(shared: &Shared, moves: Vec<Move>) -> Result<(), StoreFailed> {
    let (answer, answered) = std::sync::mpsc::sync_channel(1);
    shared.send(Request::Moves { moves, answer })?;
    answered.recv().unwrap_or(Err(StoreFailed::Closed))
}
