//! Compaction: copies what is still wanted of a sparse segment to the log's end, so that the segment can be freed.

use super::committer::{apply, write_group};
use super::error::StoreFailed;
use super::frame::FrameParts;
use super::log::Log;
use super::ops::{CURRENT, Op};
use super::prepare::Prepared;
use super::read;
use super::shared::{Move, Shared};
use super::types::{Place, Waiting};

/// Gives a change that puts a recipient back the present place of its message, if compaction moved it since the lease.
pub(super) fn refresh_places(shared: &Shared, prepared: &mut Prepared) {
    let moving = shared.moving.read();
    if moving.is_empty() {
        return;
    }
    let stale =
        |op: &Op| matches!(op, Op::Wait(_, waiting) if moving.contains(&waiting.place.segment));
    if !prepared.ops.iter().any(stale) {
        return;
    }
    let mut old_key = None;
    for op in &mut prepared.ops {
        match op {
            Op::Gone(key) => old_key = Some(*key),
            Op::Wait(_, waiting) if moving.contains(&waiting.place.segment) => {
                // An error of the index shows at the next checkpoint; the frame itself is kept for a while.
                let present = old_key.and_then(|key| read::waiting(shared, &key).ok().flatten());
                waiting.place = present.map_or(waiting.place, |present| present.place);
            }
            Op::Wait(..) | Op::Frame { .. } | Op::New(_) | Op::Put(..) | Op::Delete(_) => {}
        }
    }
    drop(moving);
    prepared.encode_ops();
}

/// Commits moved frames: on the committer's thread, so that what still waits is known for certain.
pub(super) fn commit_moves(
    shared: &Shared,
    log: &mut Log,
    buffer: &mut Vec<u8>,
    moves: Vec<Move>,
) -> Result<(), StoreFailed> {
    let mut changes = Vec::with_capacity(moves.len());
    for one in moves {
        changes.extend(prepare(shared, one)?);
    }
    if changes.is_empty() {
        return Ok(());
    }
    let written = write_group(shared, log, buffer, &changes)?;
    apply(shared, log, &written, changes);
    Ok(())
}

/// The change that moves one frame, for those of its recipients that still wait for it there.
fn prepare(shared: &Shared, one: Move) -> Result<Option<Prepared>, StoreFailed> {
    let Some(len) = u32::try_from(one.frame.len()).ok() else { return Ok(None) };
    let Some(first) = one.keys.first() else { return Ok(None) };
    let large = one.place.len & Place::LARGE;
    let mut ops = vec![Op::Frame { len: len | large, id: first.id }];
    for key in &one.keys {
        let present = read::waiting(shared, key)?;
        if let Some(present) = present.filter(|present| present.place == one.place) {
            // Gone first: it leaves the trace that keeps the index's older record from coming back.
            ops.push(Op::Gone(*key));
            ops.push(Op::Wait(*key, Waiting { place: CURRENT, ..present }));
        }
    }
    if ops.len() == 1 {
        return Ok(None);
    }
    let frame = FrameParts {
        lead: one.frame,
        head: bytes::Bytes::new(),
        body: bytes::Bytes::new(),
        large: large != 0,
    };
    let mut prepared = Prepared {
        ops,
        ops_octets: Vec::new(),
        events: Vec::new(),
        events_count: 0,
        tally: crate::telemetry::tally::Tally::default(),
        frame: Some(frame),
        message: None,
        waiting: Vec::new(),
    };
    prepared.encode_ops();
    Ok(Some(prepared))
}
