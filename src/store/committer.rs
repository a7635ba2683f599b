//! The committer: the one thread that writes the log. It gathers the changes that came while it was syncing, writes them
//! as one commit with one fdatasync, applies them to the delta, tells the sink, and only then answers.
//!
//! Never answers before the sync, never writes after a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::mail::Message;

use super::delta::FrameCursor;
use super::error::StoreFailed;
use super::layout::{COMMIT_HEAD_OCTETS, CommitHead, blocks};
use super::log::Log;
use super::ops::Op;
use super::prepare::Prepared;
use super::shared::{Request, Shared};
use super::types::{Committed, Place, WaitKey};

/// Changes of one commit.
const GROUP_CHANGES_MAX: usize = 1024;
/// Octets of one commit, beyond its first change.
const GROUP_OCTETS_MAX: usize = 8 << 20;
/// Entries of the active layer at which the committer waits for a checkpoint that is behind.
const DELTA_ENTRIES_MAX: usize = 600_000;
/// How long it waits before it looks again.
const THAW_PAUSE: Duration = Duration::from_millis(50);
/// Capacity that the commit buffer keeps between commits.
const BUFFER_KEPT: usize = 1 << 20;

/// Runs until the store closes and nothing is left to write.
pub(super) fn run(shared: &Shared, mut log: Log) {
    let mut group = Vec::with_capacity(GROUP_CHANGES_MAX);
    let mut buffer = Vec::with_capacity(BUFFER_KEPT);
    loop {
        wait_for_room(shared);
        if !gather(shared, &log, &mut group) {
            return;
        }
        match take_moves(&mut group) {
            Some((moves, answer)) => {
                let result = super::compact::commit_moves(shared, &mut log, &mut buffer, moves);
                let _ = answer.send(result);
            }
            None => commit_group(shared, &mut log, &mut buffer, &mut group),
        }
        if buffer.capacity() > BUFFER_KEPT {
            buffer = Vec::with_capacity(BUFFER_KEPT);
        }
    }
}

/// Waits while the delta is full and a checkpoint is at work; the changes stay in the bounded inbox.
fn wait_for_room(shared: &Shared) {
    loop {
        let full = {
            let delta = shared.delta.read();
            delta.active.len() > DELTA_ENTRIES_MAX
        };
        if !full || shared.latch.check().is_err() || shared.inbox.lock().closing {
            return;
        }
        shared.kick();
        let mut thawed = shared.thawed_lock.lock();
        shared.thawed.wait_for(&mut thawed, THAW_PAUSE);
    }
}

/// Takes the next group off the inbox; `false` when the store is closed and the inbox empty.
fn gather(shared: &Shared, log: &Log, group: &mut Vec<Request>) -> bool {
    let bytes_max =
        GROUP_OCTETS_MAX.min(usize::try_from(log.segment_bytes / 4).unwrap_or(usize::MAX));
    let mut inbox = shared.inbox.lock();
    while inbox.requests.is_empty() {
        if inbox.closing {
            return false;
        }
        shared.inbox_filled.wait(&mut inbox);
    }
    let mut octets = 0;
    while group.len() < GROUP_CHANGES_MAX && octets < bytes_max {
        match inbox.requests.front() {
            Some(Request::Change { prepared, .. }) => octets += prepared.len(),
            // Moves make a commit of their own: they depend on what the changes before them did.
            Some(Request::Moves { .. }) if group.is_empty() => octets = bytes_max,
            Some(Request::Moves { .. }) | None => break,
        }
        group.extend(inbox.requests.pop_front());
    }
    true
}

type Moves = (Vec<super::shared::Move>, std::sync::mpsc::SyncSender<Result<(), StoreFailed>>);

fn take_moves(group: &mut Vec<Request>) -> Option<Moves> {
    match group.pop() {
        Some(Request::Moves { moves, answer }) => Some((moves, answer)),
        other => {
            group.extend(other);
            None
        }
    }
}

/// What the sink is told of one message.
type Told = (Arc<Message>, Place, Vec<WaitKey>);

fn commit_group(shared: &Shared, log: &mut Log, buffer: &mut Vec<u8>, group: &mut Vec<Request>) {
    let mut changes = Vec::with_capacity(group.len());
    let mut answers = Vec::with_capacity(group.len());
    for request in group.drain(..) {
        if let Request::Change { mut prepared, answer, place } = request {
            super::compact::refresh_places(shared, &mut prepared);
            changes.push(*prepared);
            answers.push((answer, place));
        }
    }
    match write_group(shared, log, buffer, &changes) {
        Ok(head) => {
            let (committed, told) = apply(shared, log, &head, changes);
            tell(shared, &told);
            for ((answer, _place), committed) in answers.into_iter().zip(committed) {
                // A caller that went away meanwhile does not hear; its change stands.
                let _ = answer.send(Ok(committed));
            }
        }
        Err(failed) => {
            for (answer, _place) in answers {
                let _ = answer.send(Err(failed.clone()));
            }
        }
    }
}

/// Writes and syncs one commit; any failure latches.
pub(super) fn write_group(
    shared: &Shared,
    log: &mut Log,
    buffer: &mut Vec<u8>,
    changes: &[Prepared],
) -> Result<(CommitHead, u64), StoreFailed> {
    shared.latch.check()?;
    write(shared, log, buffer, changes).map_err(|error| {
        let why = format!("writing the log in {}: {error}", log.spool.display());
        shared.latch.set(&why)
    })
}

fn write(
    shared: &Shared,
    log: &mut Log,
    buffer: &mut Vec<u8>,
    changes: &[Prepared],
) -> std::io::Result<(CommitHead, u64)> {
    let mut head = lay_out(buffer, changes)?;
    let len = blocks(buffer.len() as u64);
    if log.must_roll(len) {
        log.roll()?;
        shared.sealed.notify_one();
    }
    head.segment = log.end.segment;
    head.nonce = log.active.head.nonce;
    head.commit = log.end.commit;
    head.first_event = log.end.event;
    head.at_ms = shared.clock.now_ms();
    if let Some(place) = buffer.get_mut(..COMMIT_HEAD_OCTETS) {
        place.copy_from_slice(&head.encode());
    }
    buffer.resize(usize::try_from(len).map_err(std::io::Error::other)?, 0);
    let offset = log.end.offset;
    log.active.file.write_at(buffer, offset)?;
    let started = shared.clock.uptime();
    log.active.file.sync_data()?;
    let took = shared.clock.uptime().saturating_sub(started);
    Shared::count(&shared.figures.sync_us, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    Shared::count(&shared.figures.groups, 1);
    log.active.note(&head, offset);
    log.end.offset += len;
    log.end.commit += 1;
    log.end.event += u64::from(head.events);
    Ok((head, offset))
}

/// Lays a commit out in the buffer: room for the header, operations, events, frames.
fn lay_out(buffer: &mut Vec<u8>, changes: &[Prepared]) -> std::io::Result<CommitHead> {
    let small = |n: usize| u32::try_from(n).map_err(std::io::Error::other);
    buffer.clear();
    buffer.resize(COMMIT_HEAD_OCTETS, 0);
    for change in changes {
        buffer.extend_from_slice(&change.ops_octets);
    }
    let ops_end = buffer.len();
    for change in changes {
        buffer.extend_from_slice(&change.events);
    }
    let events_end = buffer.len();
    let crc = crc32c::crc32c(buffer.get(COMMIT_HEAD_OCTETS..).unwrap_or_default());
    for frame in changes.iter().filter_map(|change| change.frame.as_ref()) {
        buffer.extend_from_slice(&frame.lead);
        buffer.extend_from_slice(&frame.head);
        buffer.extend_from_slice(&frame.body);
    }
    Ok(CommitHead {
        segment: 0,
        nonce: 0,
        commit: 0,
        first_event: 0,
        events: changes.iter().map(|change| change.events_count).sum(),
        ops_len: small(ops_end - COMMIT_HEAD_OCTETS)?,
        events_len: small(events_end - ops_end)?,
        frames_len: small(buffer.len() - events_end)?,
        crc,
        at_ms: 0,
    })
}

/// Brings a written commit into the delta.
pub(super) fn apply(
    shared: &Shared,
    log: &Log,
    (head, offset): &(CommitHead, u64),
    changes: Vec<Prepared>,
) -> (Vec<Committed>, Vec<Told>) {
    let frames = u32::try_from(offset + head.frames_start()).unwrap_or(u32::MAX);
    let mut cursor = FrameCursor::new(head.segment, frames);
    let mut places = FrameCursor::new(head.segment, frames);
    let mut event = head.first_event;
    let mut committed = Vec::with_capacity(changes.len());
    let mut told = Vec::new();
    let mut delta = shared.delta.write();
    for change in changes {
        let mut place = None;
        for op in &change.ops {
            if let Op::Frame { len, .. } = op {
                place = Some(places.advance(*len));
            }
            delta.apply(op, &mut cursor);
        }
        committed.push(Committed { place, first_event: event });
        event += u64::from(change.events_count);
        change.tally.count();
        if let Some((message, place)) = change.message.zip(place) {
            told.push((message, place, change.waiting));
        }
    }
    delta.end = log.end;
    let full = delta.active.len() > super::checkpoint::ENTRIES_MAX;
    drop(delta);
    if full {
        shared.kick();
    }
    shared.figures.changes.fetch_add(committed.len() as u64, Ordering::Relaxed);
    shared.figures.messages.fetch_add(told.len() as u64, Ordering::Relaxed);
    (committed, told)
}

fn tell(shared: &Shared, told: &[Told]) {
    if told.is_empty() {
        return;
    }
    let sink = shared.sink.read().clone();
    if let Some(sink) = sink {
        for (message, place, waiting) in told {
            sink.committed(message, *place, waiting);
        }
    }
}
