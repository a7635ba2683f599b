//! The log's writing end: appends commits to the active segment, seals it when full, takes the next one from the spares
//! or makes it anew. Owned by the committer thread; nothing else writes to segments.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, OpenHow};
use super::layout::{BLOCK, Position, SegmentHead};
use super::segment::{Segment, Segments, path_of};

/// Freed segments kept for reuse; writing over them costs half the sync of fresh ones.
pub(super) const SPARES_MAX: usize = 4;

/// Freed segment files that wait for reuse.
pub(super) struct Spares {
    spool: PathBuf,
    segment_bytes: u64,
    names: Mutex<Vec<PathBuf>>,
}

impl Spares {
    pub(super) fn new(spool: &Path, segment_bytes: u64) -> Spares {
        Spares { spool: spool.to_path_buf(), segment_bytes, names: Mutex::new(Vec::new()) }
    }

    pub(super) fn count(&self) -> usize {
        self.names.lock().len()
    }

    /// Takes a file that is already a spare.
    pub(super) fn adopt(&self, disk: &dyn Disk, path: PathBuf, len: u64) -> std::io::Result<()> {
        let mut names = self.names.lock();
        if names.len() < SPARES_MAX && len == self.segment_bytes {
            names.push(path);
            return Ok(());
        }
        disk.unlink(&path)
    }

    /// Makes a segment's file a spare, or unlinks it when there are enough.
    pub(super) fn put(&self, disk: &dyn Disk, segment: &Segment) -> std::io::Result<()> {
        let path = path_of(&self.spool, segment.head.segment);
        let mut names = self.names.lock();
        if names.len() >= SPARES_MAX || segment.len != self.segment_bytes {
            disk.unlink(&path)?;
        } else {
            let spare = self.spool.join(format!("{:08}.spare", segment.head.segment));
            disk.rename(&path, &spare)?;
            names.push(spare);
        }
        // The name must be gone for good before the file is written over: a crash must not find new octets under it.
        disk.sync_dir(&self.spool)
    }

    fn take(&self) -> Option<PathBuf> {
        self.names.lock().pop()
    }
}

/// The writing end.
pub(super) struct Log {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) spool: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) segments: Arc<Segments>,
    pub(super) spares: Arc<Spares>,
    pub(super) active: Arc<Segment>,
    /// Where the next commit goes.
    pub(super) end: Position,
}

impl Log {
    /// Whether a commit of `len` octets (whole blocks) needs another segment.
    pub(super) fn must_roll(&self, len: u64) -> bool {
        self.end.offset + len > self.active.len
    }

    /// Seals the active segment and starts the next.
    pub(super) fn roll(&mut self) -> std::io::Result<()> {
        let number = self.end.segment + 1;
        let next = make_segment(self, number)?;
        self.active.state.lock().sealed = true;
        self.segments.insert(Arc::clone(&next));
        self.active = next;
        self.end = Position { segment: number, offset: BLOCK, ..self.end };
        Ok(())
    }
}

/// Makes segment `number` in its place, durably: header first, then the name.
fn make_segment(log: &Log, number: u32) -> std::io::Result<Arc<Segment>> {
    let head = SegmentHead {
        segment: number,
        nonce: nonce()?,
        first_commit: log.end.commit,
        first_event: log.end.event,
    };
    create(&*log.disk, &log.spool, &head, (log.spares.take(), log.segment_bytes))
}

/// Writes a segment's header to a spare or new file of `(spare, len)` and gives it its name.
pub(super) fn create(
    disk: &dyn Disk,
    spool: &Path,
    head: &SegmentHead,
    (spare, len): (Option<PathBuf>, u64),
) -> std::io::Result<Arc<Segment>> {
    let fresh = spare.is_none();
    let from = spare.unwrap_or_else(|| spool.join("next.spare"));
    let file = disk.open(&from, if fresh { OpenHow::Create } else { OpenHow::Write })?;
    if fresh {
        file.allocate(len)?;
    }
    file.write_at(&head.encode(), 0)?;
    file.sync_data()?;
    disk.rename(&from, &path_of(spool, head.segment))?;
    disk.sync_dir(spool)?;
    Ok(Arc::new(Segment::new(*head, file, len)))
}

/// Chance for a segment's nonce.
pub(super) fn nonce() -> std::io::Result<u64> {
    use ring::rand::{SecureRandom as _, SystemRandom};
    let mut octets = [0; 8];
    SystemRandom::new()
        .fill(&mut octets)
        .map_err(|_| std::io::Error::other("no chance to be had"))?;
    Ok(u64::from_be_bytes(octets))
}
