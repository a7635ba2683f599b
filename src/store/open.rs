//! Opening: lock, folders, index, segments, replay, in this order. Repairs what can be repaired, names what cannot.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{Notify, Semaphore};

use crate::clock::Clock;
use crate::mail::MessageId;

use super::disk::{Disk, OpenHow};
use super::error::OpenError;
use super::index::{Batch, Index};
use super::large::PART;
use super::layout::{Position, SegmentHead};
use super::lock::DirLock;
use super::log::{self, Log, Spares};
use super::segment::{self, Segments, number_of};
use super::shared::{CHANGES_MAX, Chores, Figures, Inbox, Latch, Shared};
use super::types::{Opened, StoreOptions};
use super::{memory, replay};

/// Everything an open store is made of.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) log: Log,
    pub(super) lock: DirLock,
    /// Large bodies found at start; those that nothing points to go.
    pub(super) orphans: HashSet<MessageId>,
    pub(super) opened: Opened,
}

/// An I/O error with its path.
pub(super) fn io(path: &Path) -> impl Fn(std::io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |error| OpenError::Io { path: path.clone(), error }
}

/// Opens everything; starts nothing.
pub(super) fn run(
    options: StoreOptions,
    clock: Arc<dyn Clock>,
    disk: Arc<dyn Disk>,
) -> Result<Parts, OpenError> {
    check(&options)?;
    let mut opened = Opened::default();
    let dir = options.dir.clone();
    disk.create_dir(&dir).map_err(io(&dir))?;
    let lock = DirLock::take(&dir)?;
    super::room::give_up_ballast(&*disk, &options, &mut opened)?;
    let spool = dir.join("spool");
    let large = spool.join("large");
    for dir in [&spool, &large] {
        disk.create_dir(dir).map_err(io(dir))?;
    }
    let index = Index::open(&dir.join("db"), options.cache_bytes, &*disk, &mut opened.repaired)?;
    let segments = Arc::new(Segments::default());
    let spares = Arc::new(Spares::new(&spool, options.segment_bytes));
    let from = find_start(&index, &*disk, &spool, &mut opened)?;
    list_segments(&*disk, &spool, (&segments, &spares), &mut opened)?;
    check_segments(&segments, from)?;
    let delta = replay::run(&segments, (from, 0), &mut opened).map_err(io(&spool))?;
    let log = open_log(&options, (&disk, &spool), (&segments, &spares), delta.end)?;
    let mut delta = delta;
    delta.end = log.end;
    let orphans = list_large(&*disk, &large)?;
    let reserve_bytes = super::room::reserve(&*disk, &options)?;
    let salt = log::nonce().map_err(io(&dir))?;
    let shared = Shared {
        memory: Arc::new(Semaphore::new(memory::units(options.memory_bytes_max))),
        options,
        spool,
        large,
        clock,
        disk,
        index,
        segments,
        spares,
        delta: RwLock::new(delta),
        inbox: Mutex::new(Inbox::default()),
        inbox_filled: Condvar::new(),
        places: Arc::new(Semaphore::new(CHANGES_MAX)),
        chores: Mutex::new(Chores::default()),
        chores_filled: Condvar::new(),
        thawed: Condvar::new(),
        thawed_lock: Mutex::new(()),
        latch: Latch::new(),
        sink: RwLock::new(None),
        sealed: Notify::new(),
        figures: Figures::default(),
        checkpointed: Mutex::new(from),
        counted: AtomicBool::new(false),
        reserve_bytes,
        ids: AtomicU64::new(0),
        salt,
        room: Mutex::new((std::time::Duration::ZERO, None)),
        moving: RwLock::new(HashSet::new()),
    };
    Ok(Parts { shared: Arc::new(shared), log, lock, orphans, opened })
}

fn check(options: &StoreOptions) -> Result<(), OpenError> {
    let floor = StoreOptions::FLOOR_BYTES;
    if options.segment_bytes < floor || !options.segment_bytes.is_multiple_of(4096) {
        return Err(OpenError::Options(
            "the segment size is at least 4 MiB and a multiple of 4 KiB",
        ));
    }
    if options.segment_bytes > 1 << 30 {
        return Err(OpenError::Options("the segment size is at most 1 GiB"));
    }
    if options.reserve_bytes.is_some_and(|reserve| reserve < floor) {
        return Err(OpenError::Options("the reserve is at least 4 MiB"));
    }
    if options.ballast_bytes < floor {
        return Err(OpenError::Options("the ballast is at least 4 MiB"));
    }
    Ok(())
}

/// Where replay starts. A new store's index gets its position before the first segment is made, so that an index without
/// one beside a log is never a new store.
fn find_start(
    index: &Index,
    disk: &dyn Disk,
    spool: &Path,
    opened: &mut Opened,
) -> Result<Position, OpenError> {
    if let Some(position) = index.position()? {
        return Ok(position);
    }
    let files = disk.list(spool).map_err(io(spool))?;
    if files.iter().any(|file| number_of(&file.name).is_some()) {
        return Err(OpenError::Index("it is empty although the log is not".into()));
    }
    let mut batch = Batch::default();
    batch.position(&Position::START);
    index.write(batch).map_err(io(spool))?;
    opened.fresh = true;
    Ok(Position::START)
}

pub(super) fn list_segments(
    disk: &dyn Disk,
    spool: &Path,
    (segments, spares): (&Segments, &Spares),
    opened: &mut Opened,
) -> Result<(), OpenError> {
    let mut files = disk.list(spool).map_err(io(spool))?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    for file in files {
        let path = spool.join(&file.name);
        if file.name.strip_suffix(".spare").is_some() {
            spares.adopt(disk, path, file.len).map_err(io(spool))?;
        } else if let Some(number) = number_of(&file.name) {
            match segment::open(disk, &path, number).map_err(io(&path))? {
                Some(segment) => segments.insert(Arc::new(segment)),
                None => opened.damaged.push(format!(
                    "{} has no valid header; it is left as it is, and messages in it are damaged",
                    path.display()
                )),
            }
        }
    }
    Ok(())
}

/// The index's position must lie in the log.
fn check_segments(segments: &Segments, from: Position) -> Result<(), OpenError> {
    let there = segments.get(from.segment).is_some();
    let untouched = from == Position::START && segments.all().is_empty();
    if there || untouched {
        return Ok(());
    }
    Err(OpenError::Format(format!(
        "segment {} is missing or has no valid header, and the index stands in it; restore it or run `postrider doctor --rebuild`",
        from.segment
    )))
}

/// The writing end, with what replay took made durable: it was written, but perhaps never synced.
fn open_log(
    options: &StoreOptions,
    (disk, spool): (&Arc<dyn Disk>, &Path),
    (segments, spares): (&Arc<Segments>, &Arc<Spares>),
    end: Position,
) -> Result<Log, OpenError> {
    let active = if let Some(active) = segments.get(end.segment) {
        active.file.sync_data().map_err(io(spool))?;
        active
    } else {
        let nonce = log::nonce().map_err(io(spool))?;
        let head = SegmentHead {
            segment: end.segment,
            nonce,
            first_commit: end.commit,
            first_event: end.event,
        };
        let fresh = (None, options.segment_bytes);
        let made = log::create(&**disk, spool, &head, fresh).map_err(io(spool))?;
        segments.insert(Arc::clone(&made));
        made
    };
    Ok(Log {
        disk: Arc::clone(disk),
        spool: spool.to_path_buf(),
        segment_bytes: options.segment_bytes,
        segments: Arc::clone(segments),
        spares: Arc::clone(spares),
        active,
        end,
    })
}

/// Large bodies on disk; what was being written is removed.
fn list_large(disk: &dyn Disk, large: &Path) -> Result<HashSet<MessageId>, OpenError> {
    let mut found = HashSet::new();
    for file in disk.list(large).map_err(io(large))? {
        let path: PathBuf = large.join(&file.name);
        if file.name.ends_with(PART) {
            disk.unlink(&path).map_err(io(&path))?;
        } else if let Ok(id) = file.name.parse() {
            found.insert(id);
        }
    }
    Ok(found)
}

/// Opens a file only to see that it is there.
pub(super) fn exists(disk: &dyn Disk, path: &Path) -> bool {
    disk.open(path, OpenHow::Read).is_ok()
}
