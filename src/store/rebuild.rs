//! `doctor --rebuild`: the index made anew from the log, the sealed events and the last backup of the settings.
//!
//! It may repeat a delivery, it never loses one. The old index is set aside, never removed.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use crate::clock::Clock;
use crate::mail::{Event, EventKind, MessageId};

use super::backup::{BackupError, Item, Items};
use super::checkpoint::Writer;
use super::delta::{Delta, FrameCursor};
use super::disk::Disk;
use super::error::OpenError;
use super::index::Index;
use super::layout::{BLOCK, Position};
use super::lock::DirLock;
use super::log::Spares;
use super::open::{io, list_segments};
use super::ops::Op;
use super::replay;
use super::segment::Segments;
use super::types::{Opened, StoreOptions, WaitKey};

/// Reads events that the log no longer has: calls back with each. `events` provides it.
pub type SealedEvents<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&Event)) -> std::io::Result<()>;

/// What a rebuild made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Commits read from the log.
    pub commits: u64,
    /// Recipients that wait.
    pub waiting: u64,
    /// Recipients that the log still had waiting and an event ends.
    pub ended: u64,
    /// Records taken from the backup.
    pub records: u64,
    /// Where the old index lies now.
    pub set_aside: Option<std::path::PathBuf>,
    /// What is damaged, for people, one line each.
    pub damaged: Vec<String>,
}

/// Makes the index of a closed store anew. Blocks.
pub fn rebuild(
    options: &StoreOptions,
    clock: &dyn Clock,
    disk: &Arc<dyn Disk>,
    sealed: SealedEvents<'_>,
    backup: Option<&mut dyn Read>,
) -> Result<RebuildReport, OpenError> {
    let dir = &options.dir;
    let _lock = DirLock::take(dir)?;
    let spool = dir.join("spool");
    let (segments, mut opened) = (Segments::default(), Opened::default());
    let spares = Spares::new(&spool, options.segment_bytes);
    list_segments(&**disk, &spool, (&segments, &spares), &mut opened)?;
    let (records, backed_up) = read_backup(backup)?;
    let mut report = RebuildReport { records: records.len() as u64, ..RebuildReport::default() };
    let from = start_of(&segments);
    let mut delta = replay::run(&segments, (from, backed_up), &mut opened).map_err(io(&spool))?;
    apply_backup(&mut delta, records);
    report.ended = end_settled(&mut delta, sealed).map_err(io(dir))?;
    report.set_aside = set_aside(dir, clock, &**disk)?;
    let index = Index::open(&dir.join("db"), options.cache_bytes, &**disk, &mut opened.repaired)?;
    let (layer, end) = delta.freeze();
    Writer::new(&index).write(&layer, &end, &mut Vec::new()).map_err(io(dir))?;
    report.commits = opened.replayed;
    report.waiting = layer.waits.values().filter(|slot| slot.value.is_some()).count() as u64;
    report.damaged = opened.damaged;
    Ok(report)
}

/// The start of the log as far as it is there.
fn start_of(segments: &Segments) -> Position {
    segments.all().first().map_or(Position::START, |first| Position {
        segment: first.head.segment,
        offset: BLOCK,
        commit: first.head.first_commit,
        event: first.head.first_event,
    })
}

type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// The backup's records, and the number of the first commit that is younger than it.
fn read_backup(backup: Option<&mut dyn Read>) -> Result<(Records, u64), OpenError> {
    let Some(mut backup) = backup else { return Ok((Vec::new(), 0)) };
    let format = |error: BackupError| OpenError::Format(error.to_string());
    let mut items = Items::new(&mut backup).map_err(format)?;
    let (mut records, mut commit) = (Vec::new(), 0);
    while let Some(item) = items.next().map_err(format)? {
        match item {
            Item::Start { commit: at, .. } => commit = at,
            Item::Record(key, value) => records.push((key, value)),
            Item::Piece(_) | Item::Frame(_) | Item::Waiting(..) | Item::End(_) => {}
        }
    }
    Ok((records, commit))
}

/// Records of the backup go below what the log says.
fn apply_backup(delta: &mut Delta, records: Records) {
    for (key, value) in records {
        delta.active.records.entry(key).or_insert(Some(value));
    }
}

/// Ends the recipients of which an event says that they ended: the operation that did may lie in a segment that is freed.
fn end_settled(delta: &mut Delta, sealed: SealedEvents<'_>) -> std::io::Result<u64> {
    let mut keys: HashMap<(MessageId, u32), WaitKey> = HashMap::new();
    for (key, slot) in &delta.active.waits {
        if slot.value.is_some() {
            keys.insert((key.id, key.n), *key);
        }
    }
    let mut ended = 0;
    let mut cursor = FrameCursor::new(0, 0);
    sealed(&mut |event: &Event| {
        let ends = matches!(event.kind, EventKind::Delivery(_) | EventKind::Bounce(_));
        let recipient = event.recipient.as_ref().filter(|_| ends);
        let key = recipient.and_then(|(n, _)| keys.remove(&(event.message, *n)));
        if let Some(key) = key {
            delta.apply(&Op::Gone(key), &mut cursor);
            ended += 1;
        }
    })?;
    Ok(ended)
}

fn set_aside(
    dir: &std::path::Path,
    clock: &dyn Clock,
    disk: &dyn Disk,
) -> Result<Option<std::path::PathBuf>, OpenError> {
    let from = dir.join("db");
    if disk.list(&from).is_err() {
        return Ok(None);
    }
    let to = dir.join(format!("db.set-aside-{}", clock.now_ms()));
    disk.rename(&from, &to).map_err(io(&from))?;
    disk.sync_dir(dir).map_err(io(dir))?;
    Ok(Some(to))
}
