//! The data folder's lock: one process at a time, and a second one is told which.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::error::OpenError;

/// A dying process keeps its lock for a moment: this many tries, [`PAUSE`] apart.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Held as long as the store is open; the system lets go of it with the process.
#[derive(Debug)]
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Locks `dir`, which exists.
    pub(super) fn take(dir: &Path) -> Result<DirLock, OpenError> {
        let path = dir.join("lock");
        let io = |error| OpenError::Io { path: path.clone(), error };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        let mut tries = 0;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(io(error.into()));
            }
            tries += 1;
            if tries >= TRIES {
                return Err(OpenError::InUse { pid: pid_in(&mut file) });
            }
            std::thread::sleep(PAUSE);
        }
        // What the file says is for people; the lock itself is the system's.
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(DirLock { _file: file })
    }
}

/// Whether nobody has `dir`, which need not exist. Changes nothing on disk, and says nothing of the next moment.
pub fn check_free(dir: &Path) -> Result<(), OpenError> {
    let Ok(mut file) = File::open(dir.join("lock")) else { return Ok(()) };
    for tries in 0..TRIES {
        if tries > 0 {
            std::thread::sleep(PAUSE);
        }
        if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
            return Ok(());
        }
    }
    Err(OpenError::InUse { pid: pid_in(&mut file) })
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_has_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::take(dir.path()).unwrap();
        let error = DirLock::take(dir.path()).unwrap_err();
        let pid = std::process::id();
        assert_eq!(error.to_string(), format!("data folder is in use by process {pid}"));
        assert_eq!(check_free(dir.path()).unwrap_err().to_string(), error.to_string());
        drop(lock);
        check_free(dir.path()).unwrap();
        DirLock::take(dir.path()).unwrap();
    }
}
