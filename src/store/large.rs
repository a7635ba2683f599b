//! Large bodies: each in a file of its own, written as it arrives, durable before the commit that names it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::mail::{Body, MessageId};

use super::disk::{Disk, DiskFile, OpenHow};

/// Octets collected before they are written.
const BUFFER_OCTETS: usize = 256 << 10;
/// Ending of a file that is being written; one found at start is removed.
pub(super) const PART: &str = ".part";

/// Writes a body of its own file; unlinked when dropped unfinished. Blocks: use it off the reactor.
pub struct LargeWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    name: String,
    file: Option<Arc<dyn DiskFile>>,
    buffer: Vec<u8>,
    written: u64,
}

impl LargeWriter {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        id: MessageId,
    ) -> std::io::Result<LargeWriter> {
        let name = id.to_string();
        let file = disk.open(&dir.join(format!("{name}{PART}")), OpenHow::Create)?;
        let buffer = Vec::with_capacity(BUFFER_OCTETS);
        Ok(LargeWriter { disk, dir, name, file: Some(file), buffer, written: 0 })
    }

    /// Appends octets.
    pub fn write(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.buffer.extend_from_slice(octets);
        if self.buffer.len() >= BUFFER_OCTETS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if let Some(file) = &self.file {
            file.write_at(&self.buffer, self.written)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Makes the octets and the file's name durable.
    pub fn finish(mut self) -> std::io::Result<Body> {
        self.flush()?;
        if let Some(file) = &self.file {
            file.sync_data()?;
        }
        let path = self.dir.join(&self.name);
        self.disk.rename(&self.part(), &path)?;
        self.file = None;
        self.disk.sync_dir(&self.dir)?;
        Ok(Body::File { path, len: self.written })
    }

    fn part(&self) -> PathBuf {
        self.dir.join(format!("{}{PART}", self.name))
    }
}

impl Drop for LargeWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What stays behind is removed at the next start.
            let _ = self.disk.unlink(&self.part());
        }
    }
}

impl fmt::Debug for LargeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LargeWriter").field("name", &self.name).finish_non_exhaustive()
    }
}
