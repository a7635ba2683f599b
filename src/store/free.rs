//! Freeing: segments that nothing needs any more become spares, bodies that nobody waits for are unlinked.
//!
//! A segment goes when its events are durable elsewhere, no waiting recipient points into it, and the index has passed it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::mail::MessageId;

use super::segment::Segment;
use super::shared::Shared;

/// How long a segment stays after compaction moved its frames: a lease from before may still read the old place.
const MOVED_GRACE: Duration = Duration::from_mins(15);

/// One round.
pub(super) fn run(shared: &Shared, closing: bool) {
    if !shared.counted.load(Ordering::Acquire) || shared.latch.check().is_err() {
        return;
    }
    let done = shared.delta.write().counts.take_large_done();
    for id in done {
        unlink_large(shared, id);
    }
    if closing {
        return;
    }
    for segment in shared.segments.all() {
        if may_go(shared, &segment) {
            free(shared, &segment);
        }
    }
}

fn may_go(shared: &Shared, segment: &Arc<Segment>) -> bool {
    let number = segment.head.segment;
    let (sealed, taken, moved_at) = {
        let state = segment.state.lock();
        (state.sealed, state.taken, state.moved_at)
    };
    if !sealed || !taken || shared.checkpointed.lock().segment <= number {
        return false;
    }
    let now = shared.clock.uptime();
    let read_no_more = moved_at.is_none_or(|at| now.saturating_sub(at) >= MOVED_GRACE);
    read_no_more && shared.delta.read().counts.of_segment(number) == 0
}

fn free(shared: &Shared, segment: &Segment) {
    let number = segment.head.segment;
    // Out of the table first: from here on a reader hears that it is gone.
    shared.segments.remove(number);
    shared.moving.write().remove(&number);
    if let Err(error) = shared.spares.put(&*shared.disk, segment) {
        shared.latch.set(&format!("freeing segment {number}: {error}"));
    }
}

/// Removes the file of a large body; what cannot be removed is found again at the next start.
pub(super) fn unlink_large(shared: &Shared, id: MessageId) {
    let path = shared.large.join(id.to_string());
    match shared.disk.unlink(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(file = %path.display(), "a message's body could not be removed: {error}");
        }
        _ => {}
    }
}
