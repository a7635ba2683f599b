//! Which sealed files there are, which of them are damaged, and which have grown too old.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::store::Disk;

use super::sealed::{self, Sealed, SealedError};

/// Damaged files that are remembered by name; more are counted with the last of them.
const DAMAGED_MAX: usize = 100;

/// A file in the folder.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its name, which sorts by its first event.
    pub(super) name: String,
    /// Its length in octets.
    pub(super) len: u64,
    /// What it says of itself; `None` if its footer cannot be read.
    pub(super) sealed: Option<Arc<Sealed>>,
}

/// The files at one moment, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    /// All of them.
    pub(super) entries: Vec<Entry>,
    /// Counts the changes of the list.
    pub(super) version: u64,
}

impl Files {
    /// Files that can be read, oldest first.
    pub(super) fn readable(&self) -> impl DoubleEndedIterator<Item = &Arc<Sealed>> {
        self.entries.iter().filter_map(|entry| entry.sealed.as_ref())
    }

    /// One past the last sealed event; 0 when nothing is sealed.
    pub(super) fn next_seq(&self) -> u64 {
        self.readable().next_back().map_or(0, |file| file.footer.span.last_seq + 1)
    }

    /// Octets of all files.
    pub(super) fn octets(&self) -> u64 {
        self.entries.iter().map(|entry| entry.len).sum()
    }

    /// Whether the oldest file is past its time: older than `before_ms` or beyond `octets_max` in sum. Pure.
    ///
    /// A file that cannot be read is as old as the next one that can, which it precedes.
    fn oldest_is_past(&self, before_ms: u64, octets_max: u64) -> bool {
        let expired =
            self.readable().next().is_some_and(|file| file.footer.span.max_ms < before_ms);
        !self.entries.is_empty() && (expired || self.octets() > octets_max)
    }
}

/// The folder of sealed files.
pub(super) struct Catalog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    files: RwLock<Arc<Files>>,
    damaged: Mutex<BTreeMap<String, String>>,
}

impl Catalog {
    /// Reads the footer of every file in `dir`, which is made if missing; removes what was never finished. Blocks.
    pub(super) fn open(disk: Arc<dyn Disk>, dir: PathBuf) -> Result<Catalog, std::io::Error> {
        disk.create_dir(&dir)?;
        let catalog = Catalog {
            disk,
            dir,
            files: RwLock::new(Arc::default()),
            damaged: Mutex::new(BTreeMap::new()),
        };
        let mut listed = catalog.disk.list(&catalog.dir)?;
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        let mut entries = Vec::new();
        for file in listed {
            if sealed::is_unfinished_name(&file.name) {
                catalog.disk.unlink(&catalog.dir.join(&file.name))?;
            } else if sealed::is_sealed_name(&file.name) {
                entries.push(catalog.entry(file.name, file.len));
            }
        }
        *catalog.files.write() = Arc::new(Files { entries, version: 1 });
        Ok(catalog)
    }

    /// The disk the files lie on.
    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Their folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The files now.
    pub(super) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files.read())
    }

    /// Damaged files and what is wrong with each.
    pub(super) fn damaged(&self) -> Vec<(String, String)> {
        self.damaged.lock().iter().map(|(name, what)| (name.clone(), what.clone())).collect()
    }

    /// Takes up a file that was just written. Blocks.
    pub(super) fn add(&self, name: String) -> Result<(), std::io::Error> {
        let len = self.disk.open(&self.dir.join(&name), crate::store::OpenHow::Read)?.len()?;
        let entry = self.entry(name, len);
        self.change(|entries| {
            entries.retain(|other| other.name != entry.name);
            let place = entries.partition_point(|other| other.name < entry.name);
            entries.insert(place, entry);
        });
        Ok(())
    }

    /// Removes the oldest files until the rest is younger than `before_ms` (Unix milliseconds) and within `octets_max`;
    /// returns how many went. Blocks.
    pub(super) fn retain(&self, before_ms: u64, octets_max: u64) -> Result<usize, std::io::Error> {
        let mut removed = 0;
        loop {
            let files = self.files();
            let Some(oldest) = files.entries.first() else { return Ok(removed) };
            if !files.oldest_is_past(before_ms, octets_max) {
                return Ok(removed);
            }
            // The name first: a query that still has the old list finds no file and passes on.
            self.disk.unlink(&self.dir.join(&oldest.name))?;
            self.damaged.lock().remove(&oldest.name);
            let name = oldest.name.clone();
            self.change(|entries| entries.retain(|entry| entry.name != name));
            removed += 1;
        }
    }

    /// Remembers and logs, once, that a file is damaged.
    pub(super) fn note(&self, path: &Path, error: &SealedError) {
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let mut damaged = self.damaged.lock();
        if damaged.len() < DAMAGED_MAX && !damaged.contains_key(&name) {
            tracing::error!(
                file.path = %path.display(), error = %error,
                "event file {name} cannot be read in full: {error}; the others can"
            );
            damaged.insert(name, error.to_string());
        }
    }

    fn entry(&self, name: String, len: u64) -> Entry {
        let path = self.dir.join(&name);
        let sealed = match Sealed::read(&*self.disk, path.clone()) {
            Ok(sealed) => Some(Arc::new(sealed)),
            Err(error) => {
                self.note(&path, &error);
                None
            }
        };
        Entry { name, len, sealed }
    }

    fn change(&self, edit: impl FnOnce(&mut Vec<Entry>)) {
        let mut files = self.files.write();
        let mut entries = files.entries.clone();
        edit(&mut entries);
        *files = Arc::new(Files { entries, version: files.version + 1 });
    }
}
