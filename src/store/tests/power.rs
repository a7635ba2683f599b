//! C-32: a power cut keeps of each file what its last sync covered, plus any of the 4 KiB blocks written since.
//!
//! A recording disk keeps both for the log; of the index it keeps a copy as of its last sync. Images are taken in the
//! middle of the committer's own writes and syncs, opened, and compared with what had been acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex as PlMutex;

use super::super::testkit::{accept, done, message, open, open_on, queue};
use super::super::*;

/// A file of the log: what is durable, and which blocks were written since.
#[derive(Default, Clone)]
struct Recorded {
    synced: Vec<u8>,
    live: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// What was acknowledged so far.
#[derive(Default, Clone)]
struct Acked {
    accepted: BTreeSet<MessageId>,
    settling: BTreeSet<MessageId>,
    settled: BTreeSet<MessageId>,
}

/// A crash image and what had been acknowledged when it was taken.
struct Image {
    files: BTreeMap<PathBuf, Recorded>,
    index: BTreeMap<PathBuf, Vec<u8>>,
    acked: Acked,
}

#[derive(Default)]
struct Record {
    files: BTreeMap<PathBuf, Recorded>,
    index: BTreeMap<PathBuf, Vec<u8>>,
    images: Vec<Image>,
    operations: u64,
}

/// Writes through to the machine's disk and records.
struct PowerDisk {
    record: Arc<PlMutex<Record>>,
    acked: Arc<PlMutex<Acked>>,
    /// An image is taken at every operation whose number this divides.
    every: u64,
}

fn read_folder(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

impl PowerDisk {
    fn operation(&self) {
        let mut record = self.record.lock();
        record.operations += 1;
        if record.operations.is_multiple_of(self.every) {
            let image = Image {
                files: record.files.clone(),
                index: record.index.clone(),
                acked: self.acked.lock().clone(),
            };
            record.images.push(image);
        }
    }

    fn shared(&self) -> PowerDisk {
        PowerDisk {
            record: Arc::clone(&self.record),
            acked: Arc::clone(&self.acked),
            every: self.every,
        }
    }
}

impl Disk for PowerDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        let inner = RealDisk.open(path, how)?;
        let logged = path.parent().is_some_and(|dir| dir.ends_with("spool"));
        if logged && how == OpenHow::Create {
            self.record.lock().files.insert(path.to_path_buf(), Recorded::default());
        }
        let disk = self.shared();
        Ok(Arc::new(PowerFile { inner, disk, path: PlMutex::new(path.to_path_buf()), logged }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operation();
        RealDisk.rename(from, to)?;
        // Names become durable at once here: each is followed by a sync of its folder before anything relies on it, which
        // C-29 checks by failing that sync.
        let mut record = self.record.lock();
        if let Some(file) = record.files.remove(from) {
            record.files.insert(to.to_path_buf(), file);
        }
        Ok(())
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.operation();
        self.record.lock().files.remove(path);
        RealDisk.unlink(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.operation();
        RealDisk.sync_dir(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        RealDisk.list(dir)
    }
    fn space(&self, dir: &Path) -> io::Result<Space> {
        RealDisk.space(dir)
    }
}

struct PowerFile {
    inner: Arc<dyn DiskFile>,
    disk: PowerDisk,
    path: PlMutex<PathBuf>,
    logged: bool,
}

impl PowerFile {
    /// Runs `change` on this file's record; the file may have got another name since it was opened.
    fn recorded(&self, change: impl FnOnce(&mut Recorded)) {
        let mut record = self.disk.record.lock();
        let mut path = self.path.lock();
        if self.logged && !record.files.contains_key(&*path) {
            // Only spares are renamed, to the segment that was made last.
            let newest =
                record.files.keys().filter(|p| p.extension().is_some_and(|e| e == "log")).max();
            *path = newest.unwrap().clone();
        }
        if let Some(file) = record.files.get_mut(&*path) {
            change(file);
        }
    }
}

impl DiskFile for PowerFile {
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_at(octets, offset)?;
        self.recorded(|file| {
            let offset = usize::try_from(offset).unwrap();
            let end = offset + octets.len();
            if file.live.len() < end {
                file.live.resize(end, 0);
            }
            file.live[offset..end].copy_from_slice(octets);
            file.dirty.extend(offset / 4096..end.div_ceil(4096));
        });
        self.disk.operation();
        Ok(())
    }
    fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(octets, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.disk.operation();
        self.inner.sync_data()?;
        if self.logged {
            self.recorded(|file| {
                file.synced.clone_from(&file.live);
                file.dirty.clear();
            });
        } else {
            let index = read_folder(self.path.lock().parent().unwrap());
            self.disk.record.lock().index = index;
        }
        self.disk.operation();
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.inner.allocate(len)?;
        self.recorded(|file| file.live.resize(usize::try_from(len).unwrap(), 0));
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}

/// Lays an image out in `dir`, where `from` was the folder it was taken of; `chance` decides which blocks made it.
fn lay_out(image: &Image, from: &Path, dir: &Path, mut chance: u64) {
    for sub in ["spool/large", "db/blobs"] {
        fs::create_dir_all(dir.join(sub)).unwrap();
    }
    for (path, file) in &image.files {
        let mut octets = file.synced.clone();
        octets.resize(file.live.len(), 0);
        for block in &file.dirty {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if chance >> 63 == 1 {
                let end = (block * 4096 + 4096).min(octets.len());
                octets[block * 4096..end].copy_from_slice(&file.live[block * 4096..end]);
            }
        }
        fs::write(dir.join(path.strip_prefix(from).unwrap()), octets).unwrap();
    }
    for (path, octets) in &image.index {
        fs::write(dir.join(path.strip_prefix(from).unwrap()), octets).unwrap();
    }
}

async fn run(store: &Store, acked: &Arc<PlMutex<Acked>>, rounds: u64) {
    for round in 0..rounds {
        let mut tasks = Vec::new();
        for n in 0..6u64 {
            let (store, acked, unique) = (store.clone(), Arc::clone(acked), round * 100 + n);
            tasks.push(supervise::spawn("writer", async move {
                let mut message = message(unique, 1);
                message.body = Body::Memory(vec![b'y'; 60_000].into());
                let id = message.facts.id;
                let place = store.commit(accept(message, 1000)).await.unwrap().place.unwrap();
                acked.lock().accepted.insert(id);
                if unique % 2 == 0 {
                    acked.lock().settling.insert(id);
                    let key = WaitKey { lane: testkit::lane(0), due_ms: 1000, id, n: 0 };
                    store.commit(done(key, place)).await.unwrap();
                    acked.lock().settled.insert(id);
                }
            }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        if round % 5 == 4 {
            for segment in store.sealed_segments() {
                store.events_taken(segment.segment).await.unwrap();
            }
            store.checkpoint().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let long = std::env::var_os("POSTRIDER_LONG").is_some();
    let (every, subsets) = if long { (1, 8) } else { (7, 2) };
    let dir = tempfile::tempdir().unwrap();
    let acked = Arc::new(PlMutex::new(Acked::default()));
    let record = Arc::new(PlMutex::new(Record::default()));
    let disk = PowerDisk { record: Arc::clone(&record), acked: Arc::clone(&acked), every };
    let (store, _) = open_on(dir.path(), Arc::new(disk)).unwrap();
    run(&store, &acked, 30).await;
    drop(store);
    let images = std::mem::take(&mut record.lock().images);
    let made = images.iter().filter(|image| image.index.keys().any(|path| path.ends_with("db/db")));
    let mut torn = 0;
    for (number, image) in made.enumerate() {
        for subset in 0..subsets {
            let what = format!("image {number}, subset {subset}");
            let crashed = tempfile::tempdir().unwrap();
            lay_out(image, dir.path(), crashed.path(), number as u64 * 31 + subset);
            let (store, opened) = open(crashed.path());
            assert_eq!(opened.damaged, Vec::<String>::new(), "{what}");
            torn += u64::from(opened.torn_bytes > 0);
            check(&store, &image.acked, &what);
        }
    }
    assert!(torn > 0, "some image must have a torn commit");
}

#[track_caller]
fn check(store: &Store, acked: &Acked, what: &str) {
    let waiting: BTreeMap<_, _> =
        queue(store).into_iter().map(|(key, record)| (key.id, record)).collect();
    for id in acked.accepted.difference(&acked.settling) {
        let record = waiting.get(id).unwrap_or_else(|| panic!("{what}: {id} is lost"));
        assert_eq!(store.message(record.place).unwrap().facts.id, *id, "{what}");
    }
    for id in &acked.settled {
        assert!(!waiting.contains_key(id), "{what}: {id} came back");
    }
}
