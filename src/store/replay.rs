//! Replay: brings the log after the index's position into the delta, at start.
//!
//! The committer writes one commit at a time, so only the very last one can be torn: it is cut off, nobody was told of it.
//! Anything else that does not check is damage: it is named, what can be saved of it waits anew, and the rest lives.

use std::sync::Arc;

use super::delta::{Delta, FrameCursor};
use super::frame;
use super::layout::{BLOCK, COMMIT_HEAD_OCTETS, CommitHead, Position};
use super::ops::{self, Op};
use super::read::frames_in;
use super::segment::{Segment, Segments, Step, Walk};
use super::types::{Opened, Place, WaitKey};

/// Replays everything after `from`, records only of commits from number `records_from` on; returns the delta, standing where the next commit goes.
pub(super) fn run(
    segments: &Segments,
    (from, records_from): (Position, u64),
    opened: &mut Opened,
) -> std::io::Result<Delta> {
    let mut delta = Delta::new(from);
    delta.records_from = records_from;
    for segment in segments.all() {
        let number = segment.head.segment;
        if number < from.segment {
            settle_older(segments, &segment);
            continue;
        }
        let (offset, commit) = if number == from.segment {
            (from.offset, from.commit)
        } else {
            (BLOCK, segment.head.first_commit)
        };
        delta.end = Position {
            segment: number,
            offset,
            commit,
            event: delta.end.event.max(segment.head.first_event),
        };
        replay_segment(segments, &segment, &mut delta, opened)?;
    }
    delta.replaying = false;
    Ok(delta)
}

/// A segment that the index has passed: sealed, and where its events end is where the next one's begin.
fn settle_older(segments: &Segments, segment: &Segment) {
    let next_event = segments.next_event(segment.head.segment);
    let mut state = segment.state.lock();
    state.sealed = true;
    state.end = segment.len;
    state.next_event = next_event.unwrap_or(state.next_event);
}

fn replay_segment(
    segments: &Segments,
    segment: &Arc<Segment>,
    delta: &mut Delta,
    opened: &mut Opened,
) -> std::io::Result<()> {
    let number = segment.head.segment;
    let next_first = segments.next_first(number);
    {
        let mut state = segment.state.lock();
        state.sealed = next_first.is_some();
        state.end = delta.end.offset;
        state.next_event = delta.end.event;
    }
    let mut walk = Walk::new(segment, delta.end.offset, delta.end.commit, next_first);
    let mut pending: Option<(CommitHead, u64)> = None;
    while let Some(step) = walk.next()? {
        // A commit with something valid behind it was durable: what does not check in it is damage.
        if let Some((head, offset)) = pending.take() {
            take(segment, &head, offset, delta, opened)?;
        }
        match step {
            Step::Commit(head, offset) => pending = Some((head, offset)),
            Step::Gap(start, end) => opened.damaged.push(format!(
                "octets {start} to {end} of segment {number} hold no readable commit; what they held is lost"
            )),
        }
    }
    if let Some((head, offset)) = pending {
        if next_first.is_some() || is_whole(segment, &head, offset)? {
            take(segment, &head, offset, delta, opened)?;
        } else {
            opened.torn_bytes += head.total();
            opened.repaired.push(format!(
                "cut off a commit of {} octets at octet {offset} of segment {number} that was being written",
                head.total()
            ));
        }
    }
    Ok(())
}

/// Whether all check sums of a commit hold.
fn is_whole(segment: &Segment, head: &CommitHead, offset: u64) -> std::io::Result<bool> {
    let len = usize::try_from(head.frames_start() + u64::from(head.frames_len))
        .map_err(std::io::Error::other)?;
    let octets = segment.read(offset, len)?;
    let split = usize::try_from(head.frames_start()).map_err(std::io::Error::other)?;
    let (front, frames) = octets.split_at_checked(split).unwrap_or((&[], &[]));
    let sums = front.get(COMMIT_HEAD_OCTETS..).map(crc32c::crc32c) == Some(head.crc);
    let whole: u64 = frames_in(frames).iter().map(|(_, lead)| lead.frame_len()).sum();
    Ok(sums && whole == u64::from(head.frames_len))
}

/// Applies one commit, or what can be saved of it.
fn take(
    segment: &Segment,
    head: &CommitHead,
    offset: u64,
    delta: &mut Delta,
    opened: &mut Opened,
) -> std::io::Result<()> {
    let at = offset + COMMIT_HEAD_OCTETS as u64;
    let octets = segment.read(at, head.ops_len as usize + head.events_len as usize)?;
    let read = if crc32c::crc32c(&octets) == head.crc {
        ops::read_all(octets.get(..head.ops_len as usize).unwrap_or_default()).ok()
    } else {
        None
    };
    let ops = match read {
        Some(ops) => ops,
        None => salvage(segment, head, offset, opened)?,
    };
    let frames = u32::try_from(offset + head.frames_start()).unwrap_or(u32::MAX);
    let mut cursor = FrameCursor::new(head.segment, frames);
    for op in &ops {
        let record = matches!(op, Op::Put(..) | Op::Delete(_));
        if !record || head.commit >= delta.records_from {
            delta.apply(op, &mut cursor);
        }
    }
    segment.note(head, offset);
    delta.end.offset = offset + head.total();
    delta.end.commit = head.commit + 1;
    delta.end.event = head.first_event + u64::from(head.events);
    opened.replayed += 1;
    Ok(())
}

/// The operations are damaged: every whole frame's recipients wait anew, due at once. That may repeat a delivery; it
/// loses none.
fn salvage(
    segment: &Segment,
    head: &CommitHead,
    offset: u64,
    opened: &mut Opened,
) -> std::io::Result<Vec<Op>> {
    let octets = segment.read(offset + head.frames_start(), head.frames_len as usize)?;
    let octets = bytes::Bytes::from(octets);
    let mut ops = Vec::new();
    for (at, lead) in frames_in(&octets) {
        let start = at as usize;
        let end = start + usize::try_from(lead.frame_len()).map_err(std::io::Error::other)?;
        let Ok(frame) = frame::read(&octets.slice(start..end)) else { continue };
        let len = u32::try_from(lead.frame_len()).unwrap_or(u32::MAX);
        let large = if lead.is_large() { Place::LARGE } else { 0 };
        let id = frame.facts.id;
        ops.push(Op::Frame { len: len | large, id });
        for n in 0.. {
            let Some(lane) = frame.facts.lane_of(n) else { break };
            ops.push(Op::New(WaitKey { lane, due_ms: frame.facts.accepted_ms, id, n }));
        }
    }
    opened.damaged.push(format!(
        "the operations of commit {} at octet {offset} of segment {} are damaged; its {} messages wait anew",
        head.commit,
        head.segment,
        ops.iter().filter(|op| matches!(op, Op::Frame { .. })).count()
    ));
    Ok(ops)
}
