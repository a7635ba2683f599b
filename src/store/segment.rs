//! Segments: the files of the log, their table, and reading commits from them.
//!
//! Never writes: the committer alone does, through [`super::log`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::disk::{Disk, DiskFile, OpenHow};
use super::layout::{BLOCK, COMMIT_HEAD_OCTETS, CommitHead, SEGMENT_HEAD_OCTETS, SegmentHead};

/// Octets between two marks of a segment: a reader of events walks at most that far.
const MARK_EVERY: u64 = 64 << 10;

/// What changes about a segment.
#[derive(Debug, Clone, Default)]
pub(super) struct SegmentState {
    /// One past its last commit; the file's length while nobody knows better.
    pub(super) end: u64,
    /// One past its last event.
    pub(super) next_event: u64,
    /// It takes no more commits.
    pub(super) sealed: bool,
    /// Its events are durable elsewhere.
    pub(super) taken: bool,
    /// When (uptime) the last live frame was moved out of it.
    pub(super) moved_at: Option<Duration>,
    /// Some of its commits: first event, offset.
    marks: Vec<(u64, u64)>,
}

/// One file of the log.
pub(super) struct Segment {
    pub(super) head: SegmentHead,
    pub(super) file: Arc<dyn DiskFile>,
    /// Octets of the file.
    pub(super) len: u64,
    pub(super) state: Mutex<SegmentState>,
}

impl Segment {
    pub(super) fn new(head: SegmentHead, file: Arc<dyn DiskFile>, len: u64) -> Segment {
        let state = SegmentState { end: BLOCK, next_event: head.first_event, ..Default::default() };
        Segment { head, file, len, state: Mutex::new(state) }
    }

    /// Notes a commit at `offset`.
    pub(super) fn note(&self, commit: &CommitHead, offset: u64) {
        let mut state = self.state.lock();
        state.end = offset + commit.total();
        state.next_event = commit.first_event + u64::from(commit.events);
        let due = state.marks.last().is_none_or(|(_, last)| offset - last >= MARK_EVERY);
        if due {
            state.marks.push((commit.first_event, offset));
        }
    }

    /// A commit offset from which a walk finds event `seq`.
    pub(super) fn mark_before(&self, seq: u64) -> u64 {
        let state = self.state.lock();
        let at = state.marks.partition_point(|(first, _)| *first <= seq);
        at.checked_sub(1).and_then(|at| state.marks.get(at)).map_or(BLOCK, |(_, offset)| *offset)
    }

    /// Reads `len` octets at `offset`; fewer is an error.
    pub(super) fn read(&self, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
        let mut octets = vec![0; len];
        let got = self.file.read_at(&mut octets, offset)?;
        if got < len {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(octets)
    }

    /// The commit header at `offset`, if a valid one of this use of the file stands there.
    pub(super) fn commit_at(&self, offset: u64) -> std::io::Result<Option<CommitHead>> {
        let mut octets = [0; COMMIT_HEAD_OCTETS];
        let got = self.file.read_at(&mut octets, offset)?;
        let head = octets
            .get(..got)
            .and_then(|octets| CommitHead::decode(octets, self.head.segment, self.head.nonce));
        Ok(head.filter(|head| offset + head.total() <= self.len))
    }
}

/// One step of a walk through a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A commit with a valid header.
    Commit(CommitHead, u64),
    /// Damaged octets, from and to, with something valid (or a later segment) behind them.
    Gap(u64, u64),
}

/// Walks the commits of one segment in order.
pub(super) struct Walk<'a> {
    segment: &'a Segment,
    offset: u64,
    /// Number the next commit must have.
    commit: u64,
    /// First commit of the segment after this one: reaching it is the end.
    next_first: Option<u64>,
    ended: bool,
}

impl<'a> Walk<'a> {
    /// From `offset`, where commit number `commit` is expected.
    pub(super) fn new(
        segment: &'a Segment,
        offset: u64,
        commit: u64,
        next_first: Option<u64>,
    ) -> Walk<'a> {
        Walk { segment, offset, commit, next_first, ended: false }
    }

    /// Where the walk stands, and the commit number it expects there.
    pub(super) fn stands_at(&self) -> (u64, u64) {
        (self.offset, self.commit)
    }

    /// The next step; `None` at the end of what is valid.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Step>> {
        if self.ended || self.next_first == Some(self.commit) {
            return Ok(None);
        }
        let here = self.segment.commit_at(self.offset)?.filter(|head| head.commit >= self.commit);
        if let Some(head) = here {
            let offset = self.offset;
            self.offset += head.total();
            self.commit = head.commit + 1;
            return Ok(Some(Step::Commit(head, offset)));
        }
        let from = self.offset;
        if let Some((offset, commit)) = self.search()? {
            (self.offset, self.commit) = (offset, commit);
            return Ok(Some(Step::Gap(from, offset)));
        }
        self.ended = true;
        // A later segment begins only after this one's last commit was durable: what is missing here is damage.
        let lost = self.next_first.is_some();
        Ok(lost.then_some(Step::Gap(from, self.segment.len)))
    }

    /// The next valid commit after damage: looks at every block, a mebibyte at a time.
    fn search(&self) -> std::io::Result<Option<(u64, u64)>> {
        const CHUNK_BLOCKS: u64 = 256;
        let mut at = self.offset + BLOCK;
        let mut chunk = vec![0; usize::try_from(CHUNK_BLOCKS * BLOCK).unwrap_or_default()];
        while at < self.segment.len {
            let got = self.segment.file.read_at(&mut chunk, at)?;
            let head = &self.segment.head;
            let blocks =
                chunk.get(..got).unwrap_or_default().chunks(4096).zip((at..).step_by(4096));
            for (block, offset) in blocks {
                let commit = CommitHead::decode(block, head.segment, head.nonce);
                if let Some(commit) = commit.filter(|c| c.commit > self.commit) {
                    return Ok(Some((offset, commit.commit)));
                }
            }
            if got == 0 {
                break;
            }
            at += CHUNK_BLOCKS * BLOCK;
        }
        Ok(None)
    }
}

/// All segments by number.
#[derive(Default)]
pub(super) struct Segments(RwLock<BTreeMap<u32, Arc<Segment>>>);

impl Segments {
    pub(super) fn get(&self, number: u32) -> Option<Arc<Segment>> {
        self.0.read().get(&number).cloned()
    }

    pub(super) fn insert(&self, segment: Arc<Segment>) {
        self.0.write().insert(segment.head.segment, segment);
    }

    pub(super) fn remove(&self, number: u32) {
        self.0.write().remove(&number);
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Segment>> {
        self.0.read().values().cloned().collect()
    }

    /// First event of the segment after `number`.
    pub(super) fn next_event(&self, number: u32) -> Option<u64> {
        let table = self.0.read();
        table.range(number.saturating_add(1)..).next().map(|(_, next)| next.head.first_event)
    }

    /// First commit of the segment after `number`.
    pub(super) fn next_first(&self, number: u32) -> Option<u64> {
        let table = self.0.read();
        table.range(number.saturating_add(1)..).next().map(|(_, next)| next.head.first_commit)
    }
}

/// The file of a segment.
pub(super) fn path_of(spool: &Path, number: u32) -> PathBuf {
    spool.join(format!("{number:08}.log"))
}

/// The number in a segment's file name.
pub(super) fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() >= 8).then(|| digits.parse().ok()).flatten()
}

/// Opens a segment's file; `None` if its header is not that of segment `number`.
pub(super) fn open(disk: &dyn Disk, path: &Path, number: u32) -> std::io::Result<Option<Segment>> {
    let file = disk.open(path, OpenHow::Write)?;
    let mut octets = [0; SEGMENT_HEAD_OCTETS];
    let got = file.read_at(&mut octets, 0)?;
    let head = octets.get(..got).and_then(SegmentHead::decode);
    let len = file.len()?;
    Ok(head.filter(|head| head.segment == number).map(|head| Segment::new(head, file, len)))
}
