//! The index: sled 0.34.7, behind the few calls that are safe to make on it.
//!
//! The only file that names sled. It lags behind the log and can be made anew from it; it is written by checkpoints alone,
//! in batches that are each flushed and then made durable by an fdatasync of ours: sled's own flush is
//! `sync_file_range`, which writes no metadata and no drive cache. Never `flush_async` (it hangs), never `len()`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::disk::{Disk, DiskFile, OpenHow};
use super::error::{OpenError, StoreFailed};
use super::layout::Position;
use super::leaf::{self, Entry};
use super::types::Record;

/// Octets of one batch: sled never reuses a segment (512 KiB) that our sync has not covered.
pub(super) const BATCH_OCTETS_MAX: usize = 200 << 10;
/// A dying process keeps sled's lock for a moment: 50 tries, 100 ms apart.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// Where the log's replay starts.
const POSITION_KEY: &[u8] = b"h";

/// Changes of the index that come together.
#[derive(Default)]
pub(super) struct Batch {
    batch: sled::Batch,
    octets: usize,
}

impl Batch {
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.octets += key.len() + value.len();
        self.batch.insert(key, value);
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.octets += key.len();
        self.batch.remove(key);
    }

    pub(super) fn position(&mut self, position: &Position) {
        self.put(POSITION_KEY.to_vec(), position.encode());
    }

    pub(super) fn octets(&self) -> usize {
        self.octets
    }
}

/// The open index.
pub(super) struct Index {
    db: sled::Db,
    file: Arc<dyn DiskFile>,
    /// Held to write by a batch, to read by whoever walks several leaves: a batch may give a leaf another key, and a walk
    /// that saw half of that would miss its entries.
    walk: RwLock<()>,
}

impl Index {
    /// Opens or makes the index in `dir`, repairing what sled leaves behind; `repaired` says what was done.
    pub(super) fn open(
        dir: &Path,
        cache_bytes: u64,
        disk: &dyn Disk,
        repaired: &mut Vec<String>,
    ) -> Result<Index, OpenError> {
        disk.create_dir(dir).map_err(|error| OpenError::Io { path: dir.to_path_buf(), error })?;
        remove_half_snapshots(dir, disk, repaired)?;
        let db = match open_db(dir, cache_bytes) {
            Err(sled::Error::Corruption { .. }) => {
                set_snapshot_aside(dir, disk, repaired)?;
                open_db(dir, cache_bytes)
            }
            other => other,
        };
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "sled's other errors all mean a bad index"
        )]
        let db = db.map_err(|error| match error {
            sled::Error::Io(error) => OpenError::Io { path: dir.to_path_buf(), error },
            other => OpenError::Index(other.to_string()),
        })?;
        let path = dir.join("db");
        let io = |error| OpenError::Io { path: path.clone(), error };
        let file = disk.open(&path, OpenHow::Write).map_err(io)?;
        Ok(Index { db, file, walk: RwLock::new(()) })
    }

    /// Where replay starts; `None` in a new index.
    pub(super) fn position(&self) -> Result<Option<Position>, OpenError> {
        let bad = |error: sled::Error| OpenError::Index(error.to_string());
        let Some(octets) = self.db.get(POSITION_KEY).map_err(bad)? else { return Ok(None) };
        let position = Position::decode(&octets);
        position
            .map(Some)
            .ok_or_else(|| OpenError::Format("its position is of a later release".into()))
    }

    /// Writes a batch and makes it durable.
    pub(super) fn write(&self, batch: Batch) -> std::io::Result<()> {
        {
            let _walk = self.walk.write();
            self.db.apply_batch(batch.batch).map_err(io_of)?;
        }
        self.db.flush().map_err(io_of)?;
        self.file.sync_data()
    }

    /// A record.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailed> {
        Ok(self.db.get(key).map_err(|e| failed_of(&e))?.map(|value| value.to_vec()))
    }

    /// Up to `limit` records from `from` on, below `to`.
    pub(super) fn range(
        &self,
        from: std::ops::Bound<Vec<u8>>,
        to: std::ops::Bound<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreFailed> {
        let _walk = self.walk.read();
        let mut records = Vec::new();
        for item in self.db.range((from, to)).take(limit) {
            let (key, value) = item.map_err(|e| failed_of(&e))?;
            records.push((key.to_vec(), value.to_vec()));
        }
        Ok(records)
    }

    /// The leaf that covers `key` within its lane (the last one that begins at or before it) and those after it in the
    /// lane, up to `limit` leaves.
    pub(super) fn leaves(
        &self,
        key: &super::types::WaitKey,
        limit: usize,
    ) -> Result<Vec<Vec<Entry>>, StoreFailed> {
        let _walk = self.walk.read();
        let lane_start = leaf::key_octets(&leaf::first_of(key.lane));
        let lane_end = leaf::key_octets(&leaf::last_of(key.lane));
        let at = leaf::key_octets(key);
        let covering = self.db.range(lane_start..=at.clone()).next_back();
        let after =
            self.db.range((std::ops::Bound::Excluded(at), std::ops::Bound::Included(lane_end)));
        let mut leaves = Vec::new();
        for item in covering.into_iter().chain(after).take(limit) {
            let (key, octets) = item.map_err(|e| failed_of(&e))?;
            let entries = leaf::decode(&key, &octets).map_err(|_| damaged_leaf(&key))?;
            leaves.push(entries);
        }
        Ok(leaves)
    }

    /// The first leaf after `key` (or the first of all), of any lane.
    pub(super) fn leaf_after(
        &self,
        key: Option<&super::types::WaitKey>,
    ) -> Result<Option<Vec<Entry>>, StoreFailed> {
        let _walk = self.walk.read();
        let from = key.map_or(vec![leaf::PREFIX], leaf::key_octets);
        let from = std::ops::Bound::Excluded(from);
        let to = std::ops::Bound::Excluded(vec![leaf::PREFIX + 1]);
        let Some(item) = self.db.range((from, to)).next() else { return Ok(None) };
        let (key, octets) = item.map_err(|e| failed_of(&e))?;
        leaf::decode(&key, &octets).map(Some).map_err(|_| damaged_leaf(&key))
    }

    /// Octets on disk.
    pub(super) fn size(&self) -> u64 {
        self.db.size_on_disk().unwrap_or_default()
    }
}

fn open_db(dir: &Path, cache_bytes: u64) -> Result<sled::Db, sled::Error> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        .flush_every_ms(None)
        .mode(sled::Mode::HighThroughput);
    let mut tries = 0;
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if tries < LOCK_TRIES && is_lock(&error) => {
                tries += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            other => return other,
        }
    }
}

/// sled wraps the system's word on its lock into text.
fn is_lock(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock
        || error.to_string().contains("could not acquire lock")
}

/// A crash while opening leaves `snap.<lsn>.generating`, which makes every later open fail.
fn remove_half_snapshots(
    dir: &Path,
    disk: &dyn Disk,
    repaired: &mut Vec<String>,
) -> Result<(), OpenError> {
    let io = |path: PathBuf| move |error| OpenError::Io { path, error };
    for file in disk.list(dir).map_err(io(dir.to_path_buf()))? {
        let half = file.name.starts_with("snap.") && file.name.ends_with(".generating");
        if half {
            let path = dir.join(&file.name);
            disk.unlink(&path).map_err(io(path.clone()))?;
            repaired.push(format!("removed the unfinished index snapshot {}", file.name));
        }
    }
    Ok(())
}

/// A bad snapshot is set aside once; sled then reads its log from the start, and nothing is lost.
fn set_snapshot_aside(
    dir: &Path,
    disk: &dyn Disk,
    repaired: &mut Vec<String>,
) -> Result<(), OpenError> {
    let io = |path: PathBuf| move |error| OpenError::Io { path, error };
    let files = disk.list(dir).map_err(io(dir.to_path_buf()))?;
    let newest =
        files.into_iter().filter(|f| f.name.starts_with("snap.")).max_by_key(|f| f.name.clone());
    if let Some(file) = newest {
        let aside = format!("set-aside.{}", file.name);
        disk.rename(&dir.join(&file.name), &dir.join(&aside)).map_err(io(dir.join(&aside)))?;
        disk.sync_dir(dir).map_err(io(dir.to_path_buf()))?;
        repaired.push(format!("set the damaged index snapshot {} aside", file.name));
    }
    Ok(())
}

fn damaged_leaf(key: &[u8]) -> StoreFailed {
    StoreFailed::Latched(
        format!(
            "a leaf of the index is damaged ({} octets of key); run `postrider doctor --rebuild`",
            key.len()
        )
        .into(),
    )
}

fn failed_of(error: &sled::Error) -> StoreFailed {
    StoreFailed::Latched(format!("the index: {error}").into())
}

#[allow(clippy::wildcard_enum_match_arm, reason = "sled's other errors are all the same to us")]
fn io_of(error: sled::Error) -> std::io::Error {
    match error {
        sled::Error::Io(error) => error,
        other => std::io::Error::other(other.to_string()),
    }
}
