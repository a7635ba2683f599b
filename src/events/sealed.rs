//! One sealed event file on disk: written whole under another name, synced, then renamed; read part by part.
//!
//! Never changes a file once it has its name.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::mail::Event;
use crate::store::{Disk, DiskFile, OpenHow};

use super::bloom::{self, LINE_OCTETS};
use super::format::{self, Block, Builder, Damage, FOOTER_OCTETS_MAX, Footer, TRAILER_OCTETS};
use super::term::Term;

/// Ends the name of a sealed file; the first event's number stands before it, in 20 digits so that names sort.
const ENDING: &str = ".ev";
/// Ends the name of one that is being written; such a file means nothing and may be removed.
const UNFINISHED: &str = ".ev.tmp";
/// An index is never larger: 64 MiB of events make a few hundred blocks of a few KiB of filter each.
const INDEX_OCTETS_MAX: u64 = 64 << 20;

/// Why a file, or a part of it, cannot be read.
#[derive(Debug)]
pub(super) enum SealedError {
    /// The system said so.
    Io(io::Error),
    /// Its octets are not what was written.
    Damaged(Damage),
}

impl fmt::Display for SealedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealedError::Io(error) => error.fmt(f),
            SealedError::Damaged(damage) => damage.fmt(f),
        }
    }
}

impl std::error::Error for SealedError {}

impl From<io::Error> for SealedError {
    fn from(error: io::Error) -> SealedError {
        SealedError::Io(error)
    }
}

impl From<Damage> for SealedError {
    fn from(damage: Damage) -> SealedError {
        SealedError::Damaged(damage)
    }
}

/// The name of the file whose first event is `first_seq`.
pub(super) fn name_of(first_seq: u64) -> String {
    format!("{first_seq:020}{ENDING}")
}

/// Whether a file of this name is a sealed one.
pub(super) fn is_sealed_name(name: &str) -> bool {
    name.strip_suffix(ENDING)
        .is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a file of this name was never finished.
pub(super) fn is_unfinished_name(name: &str) -> bool {
    name.ends_with(UNFINISHED)
}

/// A file that is being written: first under a name that means nothing, at the end under its own. Everything here blocks.
///
/// A crash leaves either nothing that counts or the whole file; writing it again gives the same file. A sync that fails is
/// no disaster here: the events are still in the log, and the next try writes all octets anew.
pub(super) struct Writing<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    first_seq: u64,
    file: Arc<dyn DiskFile>,
    builder: Builder,
    end: u64,
    finished: bool,
}

impl<'a> Writing<'a> {
    /// Begins the file of a segment whose first event is `first_seq`.
    pub(super) fn start(
        disk: &'a dyn Disk,
        dir: &'a Path,
        first_seq: u64,
    ) -> Result<Writing<'a>, io::Error> {
        let file = disk.open(&unfinished_path(dir, first_seq), OpenHow::Create)?;
        let builder = Builder::new()?;
        Ok(Writing { disk, dir, first_seq, file, builder, end: 0, finished: false })
    }

    /// Adds an event; numbers rise.
    pub(super) fn add(&mut self, seq: u64, event: &Event) -> Result<(), io::Error> {
        let octets = self.builder.push(seq, event)?;
        self.append(&octets)
    }

    /// Makes the file and its name durable.
    pub(super) fn finish(mut self) -> Result<(), io::Error> {
        let octets = self.builder.close()?;
        self.append(&octets)?;
        self.file.sync_data()?;
        let path = self.dir.join(name_of(self.first_seq));
        self.disk.rename(&unfinished_path(self.dir, self.first_seq), &path)?;
        self.finished = true;
        self.disk.sync_dir(self.dir)
    }

    fn append(&mut self, octets: &[u8]) -> Result<(), io::Error> {
        if !octets.is_empty() {
            self.file.write_at(octets, self.end)?;
            self.end += octets.len() as u64;
        }
        Ok(())
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed now is removed at the next start.
            let _ = self.disk.unlink(&unfinished_path(self.dir, self.first_seq));
        }
    }
}

fn unfinished_path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:020}{UNFINISHED}"))
}

/// A file that is known by its footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its length in octets.
    pub(super) len: u64,
    /// What its end says.
    pub(super) footer: Footer,
}

impl Sealed {
    /// Reads the footer of a file. Blocks.
    pub(super) fn read(disk: &dyn Disk, path: PathBuf) -> Result<Sealed, SealedError> {
        let file = disk.open(&path, OpenHow::Read)?;
        let len = file.len()?;
        let wanted = (FOOTER_OCTETS_MAX + TRAILER_OCTETS) as u64;
        let tail = read_part(&*file, len.saturating_sub(wanted), len.min(wanted))?;
        Ok(Sealed { path, len, footer: format::decode_footer(&tail)? })
    }

    /// Opens it for reading. Blocks.
    pub(super) fn open(&self, disk: &dyn Disk) -> Result<OpenSealed, SealedError> {
        Ok(OpenSealed { file: disk.open(&self.path, OpenHow::Read)?, footer: self.footer })
    }
}

/// A file that is open.
pub(super) struct OpenSealed {
    file: Arc<dyn DiskFile>,
    footer: Footer,
}

impl OpenSealed {
    /// Whether the file may hold all of `terms`: one read of 64 octets for each. A line that is damaged says yes, since
    /// the blocks will tell.
    pub(super) fn may_hold(&self, terms: &[Term]) -> Result<bool, SealedError> {
        let count = usize::try_from(self.footer.filter.len).unwrap_or(0) / LINE_OCTETS;
        for term in terms {
            let place = bloom::line_of(*term, count) * LINE_OCTETS;
            let offset = self.footer.filter.offset.saturating_add(place as u64);
            let line = read_part(&*self.file, offset, LINE_OCTETS as u64)?;
            if !bloom::line_holds(&line, *term).unwrap_or(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The list of blocks, in order. Blocks the thread.
    pub(super) fn blocks(&self) -> Result<Vec<Block>, SealedError> {
        let part = self.footer.index;
        if part.len > INDEX_OCTETS_MAX {
            return Err(Damage::Index.into());
        }
        Ok(format::decode_index(part, &read_part(&*self.file, part.offset, part.len)?)?)
    }

    /// The events of a block, in order. Blocks the thread.
    pub(super) fn events(&self, block: &Block) -> Result<Vec<(u64, Event)>, SealedError> {
        if block.part.len > format::BLOCK_OCTETS_MAX as u64 {
            return Err(Damage::Block(block.part.offset).into());
        }
        let octets = read_part(&*self.file, block.part.offset, block.part.len)?;
        Ok(format::decode_block(block, &octets)?)
    }
}

/// Up to `len` octets; fewer where the file ends, which the check sums will notice.
fn read_part(file: &dyn DiskFile, offset: u64, len: u64) -> Result<Vec<u8>, io::Error> {
    let mut octets = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = file.read_at(&mut octets, offset)?;
    octets.truncate(read);
    Ok(octets)
}
