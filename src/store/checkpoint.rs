//! The maintenance thread: checkpoints (delta into index), freeing and recycling of segments, large bodies' files,
//! compaction. Nothing it does is waited for by mail.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::mail::MessageId;

use super::delta::Layer;
use super::error::StoreFailed;
use super::index::{BATCH_OCTETS_MAX, Batch, Index};
use super::layout::Position;
use super::leaf::{self, Entry};
use super::shared::{Ending, Shared};
use super::types::{Place, WaitKey, Waiting};

/// Entries of the active layer that start a checkpoint.
pub(super) const ENTRIES_MAX: usize = 100_000;
/// Octets of log since the last checkpoint that start one: a restart replays at most about this much.
const LOG_BYTES_MAX: u64 = 256 << 20;
/// Age of the last checkpoint that starts one when anything has happened since.
const AGE_MAX: Duration = Duration::from_secs(5);
/// How often the thread looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs until the store closes.
pub(super) fn run(shared: &Shared, orphans: HashSet<MessageId>) {
    if let Err(error) = count_index(shared) {
        shared.latch.set(&format!("counting the index: {error}"));
    }
    unlink_orphans(shared, orphans);
    let mut last = shared.clock.uptime();
    let mut compacted = last;
    loop {
        let (waiters, ending) = wait_for_chores(shared);
        let closing = ending.is_some();
        let wanted = !waiters.is_empty() || ending == Some(Ending::Checkpoint);
        if wanted || is_due(shared, last) {
            last = shared.clock.uptime();
            if let Err(error) = checkpoint(shared) {
                shared.latch.set(&format!("writing the index: {error}"));
            }
        }
        super::free::run(shared, closing);
        if !closing && is_compaction_due(shared, compacted) {
            compacted = shared.clock.uptime();
            compact(shared);
        }
        for waiter in waiters {
            let _ = waiter.send(());
        }
        if closing {
            return;
        }
    }
}

fn wait_for_chores(shared: &Shared) -> (Vec<tokio::sync::oneshot::Sender<()>>, Option<Ending>) {
    let mut chores = shared.chores.lock();
    if !chores.kicked && chores.ending.is_none() {
        shared.chores_filled.wait_for(&mut chores, LOOK_EVERY);
    }
    chores.kicked = false;
    (std::mem::take(&mut chores.waiters), chores.ending)
}

fn is_compaction_due(shared: &Shared, last: Duration) -> bool {
    let asked = std::mem::take(&mut shared.chores.lock().compact);
    let low = super::room::check(shared).is_err();
    let every = if low { super::sparse::EVERY_WHEN_LOW } else { super::sparse::EVERY };
    let counted = shared.counted.load(Ordering::Acquire);
    counted && (asked || shared.clock.uptime().saturating_sub(last) >= every)
}

fn compact(shared: &Shared) {
    match super::sparse::run(shared) {
        // Closing or failed: whoever did that knows.
        Ok(()) | Err(StoreFailed::Closed | StoreFailed::Latched(_)) => {}
        Err(StoreFailed::Unfit(why)) => {
            tracing::warn!("a sparse segment could not be moved: {why}");
        }
    }
}

fn is_due(shared: &Shared, last: Duration) -> bool {
    let from = *shared.checkpointed.lock();
    let (entries, end) = {
        let delta = shared.delta.read();
        (delta.active.len(), delta.end)
    };
    let old = shared.clock.uptime().saturating_sub(last) >= AGE_MAX && end != from;
    old || entries > ENTRIES_MAX || log_bytes(shared, from, end) > LOG_BYTES_MAX
}

/// Octets of log between two positions.
pub(super) fn log_bytes(shared: &Shared, from: Position, end: Position) -> u64 {
    let whole = u64::from(end.segment.saturating_sub(from.segment)) * shared.options.segment_bytes;
    (whole + end.offset).saturating_sub(from.offset)
}

/// Carries the delta into the index.
pub(super) fn checkpoint(shared: &Shared) -> std::io::Result<()> {
    if shared.latch.check().is_err() {
        return Ok(());
    }
    let (layer, end) = {
        let mut delta = shared.delta.write();
        if delta.end == *shared.checkpointed.lock() {
            return Ok(());
        }
        delta.freeze()
    };
    let mut removed = Vec::new();
    Writer::new(&shared.index).write(&layer, &end, &mut removed)?;
    shared.delta.write().thaw(&removed);
    *shared.checkpointed.lock() = end;
    shared.thawed.notify_all();
    Shared::count(&shared.figures.checkpoints, 1);
    Ok(())
}

/// Writes the index in batches below sled's bound.
pub(super) struct Writer<'a> {
    index: &'a Index,
    batch: Batch,
}

impl<'a> Writer<'a> {
    pub(super) fn new(index: &'a Index) -> Writer<'a> {
        Writer { index, batch: Batch::default() }
    }

    /// Brings a layer into the index; the last batch says how far the log is now in it.
    pub(super) fn write(
        mut self,
        layer: &Layer,
        end: &Position,
        removed: &mut Vec<(MessageId, Place)>,
    ) -> std::io::Result<()> {
        self.records(layer)?;
        self.waits(layer, removed)?;
        self.batch.position(end);
        self.flush()
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.index.write(std::mem::take(&mut self.batch))
    }

    fn make_room(&mut self) -> std::io::Result<()> {
        if self.batch.octets() >= BATCH_OCTETS_MAX { self.flush() } else { Ok(()) }
    }

    fn records(&mut self, layer: &Layer) -> std::io::Result<()> {
        for (key, value) in &layer.records {
            match value {
                Some(value) => self.batch.put(key.clone(), value.clone()),
                None => self.batch.delete(key.clone()),
            }
            self.make_room()?;
        }
        Ok(())
    }

    /// Brings the layer's waiting recipients into the leaves, lane by lane, leaf by leaf.
    fn waits(
        &mut self,
        layer: &Layer,
        removed: &mut Vec<(MessageId, Place)>,
    ) -> std::io::Result<()> {
        let mut changes = layer.waits.iter().map(|(key, slot)| (key, &slot.value)).peekable();
        while let Some(&(first, _)) = changes.peek() {
            let (leaf, before) = self.leaf_for(first)?;
            let mut part = Vec::new();
            while let Some(change) =
                changes.next_if(|(key, _)| belongs(key, first, before.as_ref()))
            {
                part.push(change);
            }
            self.rewrite(leaf, &part, removed);
            self.make_room()?;
        }
        Ok(())
    }

    /// The leaf into which `key` goes, and the first key of the leaf after it in the lane.
    fn leaf_for(&self, key: &WaitKey) -> std::io::Result<(Vec<Entry>, Option<WaitKey>)> {
        let leaves = self.index.leaves(key, 2).map_err(std::io::Error::other)?;
        let mut leaves = leaves.into_iter().filter(|leaf| !leaf.is_empty());
        let (Some(first), second) = (leaves.next(), leaves.next()) else {
            return Ok((Vec::new(), None));
        };
        let begins = |leaf: &Vec<Entry>| leaf.first().map(|(key, _)| *key);
        // Without a leaf at or before the key, both lie after it: the first one takes it in.
        Ok((first, second.as_ref().and_then(begins)))
    }

    fn rewrite(
        &mut self,
        entries: Vec<Entry>,
        changes: &[(&WaitKey, &Option<Waiting>)],
        removed: &mut Vec<(MessageId, Place)>,
    ) {
        let old = entries.first().map(|(key, _)| leaf::key_octets(key));
        let merged = leaf::merge(entries, changes.iter().copied(), removed);
        let leaves = leaf::pack(&merged);
        if let Some(old) = old.filter(|old| leaves.iter().all(|(key, _)| key != old)) {
            self.batch.delete(old);
        }
        for (key, octets) in leaves {
            self.batch.put(key, octets);
        }
    }
}

/// Whether `key` goes into the leaf that takes `first` and ends before `before`.
fn belongs(key: &WaitKey, first: &WaitKey, before: Option<&WaitKey>) -> bool {
    key.lane == first.lane && before.is_none_or(|before| key < before)
}

/// Counts the index's records after start; until then no segment is freed.
fn count_index(shared: &Shared) -> Result<(), StoreFailed> {
    let mut after: Option<WaitKey> = None;
    while let Some(entries) = shared.index.leaf_after(after.as_ref())? {
        let mut delta = shared.delta.write();
        for (key, waiting) in &entries {
            delta.counts.add(key.id, waiting.place);
        }
        drop(delta);
        after = entries.first().map(|(key, _)| *key);
        if after.is_none() || shared.chores.lock().ending.is_some() {
            return Ok(());
        }
    }
    shared.counted.store(true, Ordering::Release);
    Ok(())
}

/// Removes large bodies that lay there at start and that nothing points to.
fn unlink_orphans(shared: &Shared, orphans: HashSet<MessageId>) {
    if !shared.counted.load(Ordering::Acquire) {
        return;
    }
    let orphans: Vec<_> = {
        let delta = shared.delta.read();
        orphans.into_iter().filter(|id| !delta.counts.has_large(*id)).collect()
    };
    for id in orphans {
        super::free::unlink_large(shared, id);
    }
}
