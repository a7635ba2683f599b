//! A disk that fails: the n-th operation that changes something, in a way that is given. For tests and test builds only.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::{Disk, DiskFile, Listed, OpenHow, Space};

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The device reports an error.
    Eio,
    /// There is no room.
    Enospc,
    /// A write stops half way, then the device reports an error; other operations fail as with [`Fault::Eio`].
    Short,
}

impl Fault {
    fn error(self) -> io::Error {
        let errno = match self {
            Fault::Eio | Fault::Short => rustix::io::Errno::IO,
            Fault::Enospc => rustix::io::Errno::NOSPC,
        };
        errno.into()
    }
}

/// See the module. Operations are counted from 1 over all files.
pub struct FaultDisk {
    inner: Arc<dyn Disk>,
    plan: Arc<Plan>,
}

struct Plan {
    /// The operation that fails; 0 for none.
    at: u64,
    fault: Fault,
    done: AtomicU64,
}

impl Plan {
    /// Counts an operation; the fault when it is its turn.
    fn step(&self) -> Result<(), Fault> {
        let number = self.done.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.at { Err(self.fault) } else { Ok(()) }
    }
}

impl FaultDisk {
    /// `inner`, whose operation number `at` fails.
    pub fn new(inner: Arc<dyn Disk>, at: u64, fault: Fault) -> FaultDisk {
        FaultDisk { inner, plan: Arc::new(Plan { at, fault, done: AtomicU64::new(0) }) }
    }

    /// As written in the environment of a test build: `17:eio`, `17:enospc`, `17:short`.
    pub fn parse(inner: Arc<dyn Disk>, text: &str) -> Option<FaultDisk> {
        let (at, fault) = text.split_once(':')?;
        let fault = match fault {
            "eio" => Fault::Eio,
            "enospc" => Fault::Enospc,
            "short" => Fault::Short,
            _ => return None,
        };
        Some(FaultDisk::new(inner, at.parse().ok()?, fault))
    }

    /// Whether the fault has struck.
    pub fn struck(&self) -> bool {
        self.plan.at != 0 && self.plan.done.load(Ordering::SeqCst) >= self.plan.at
    }

    fn step(&self) -> io::Result<()> {
        self.plan.step().map_err(Fault::error)
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        if how == OpenHow::Create {
            self.step()?;
        }
        let inner = self.inner.open(path, how)?;
        Ok(Arc::new(FaultFile { inner, plan: Arc::clone(&self.plan) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        self.inner.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.inner.unlink(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step()?;
        self.inner.sync_dir(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.step()?;
        self.inner.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        self.inner.list(dir)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.inner.space(dir)
    }
}

struct FaultFile {
    inner: Arc<dyn DiskFile>,
    plan: Arc<Plan>,
}

impl DiskFile for FaultFile {
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        match self.plan.step() {
            Ok(()) => self.inner.write_at(octets, offset),
            Err(fault) => {
                if fault == Fault::Short {
                    let half = octets.get(..octets.len() / 2).unwrap_or_default();
                    self.inner.write_at(half, offset)?;
                }
                Err(fault.error())
            }
        }
    }

    fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(octets, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.plan.step().map_err(Fault::error)?;
        self.inner.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.plan.step().map_err(Fault::error)?;
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.plan.step().map_err(Fault::error)?;
        self.inner.allocate(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}
