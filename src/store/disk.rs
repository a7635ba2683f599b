//! The disk, by trait: the only way the store and events touch files, so that tests can fail any write or sync.
//!
//! Never caches, never retries. Files are made 0600 and folders 0700.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenHow {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A new file, to read and write; one of that name is emptied.
    Create,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name; entries whose name is no UTF-8 are left out.
    pub name: String,
    /// Its length in octets.
    pub len: u64,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Octets that we may still use.
    pub free: u64,
    /// Octets in all.
    pub total: u64,
}

/// A file system.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file. A new name is durable only after [`Disk::sync_dir`].
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, in place of a file that has it; durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes a folder (and those above it) unless it is there, durably.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// The files in a folder, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>>;
    /// Room on the file system that holds `dir`.
    fn space(&self, dir: &Path) -> io::Result<Space>;
}

/// An open file. All calls may come from several threads at once.
pub trait DiskFile: Send + Sync + 'static {
    /// Writes all of `octets` at `offset`, or fails having written any part of them.
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()>;
    /// Reads up to `octets.len()` octets at `offset`; fewer only at the file's end.
    fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Makes all that was written durable (fdatasync). After an error nobody knows what is on disk.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or lengthens the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Takes room on disk for the first `len` octets.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Length in octets.
    fn len(&self) -> io::Result<u64>;
    /// Whether there is nothing in it.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl RealDisk {
    /// The disk.
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(RealDisk)
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(how != OpenHow::Read)
            .create(how == OpenHow::Create)
            .truncate(how == OpenHow::Create)
            .mode(0o600)
            .open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.as_os_str().is_empty() || dir.is_dir() {
            return Ok(());
        }
        let parent = dir.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        self.create_dir(&parent)?;
        fs::DirBuilder::new().mode(0o700).create(dir)?;
        let above = if parent.as_os_str().is_empty() { Path::new(".") } else { &parent };
        self.sync_dir(above)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if let (true, Ok(name)) = (meta.is_file(), entry.file_name().into_string()) {
                listed.push(Listed { name, len: meta.len() });
            }
        }
        Ok(listed)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(Space {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(octets, offset)
    }

    fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = octets.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, len) {
            // A file system without fallocate takes room as it is written; the length alone is set.
            Err(rustix::io::Errno::OPNOTSUPP) => self.0.set_len(len),
            other => Ok(other?),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
