//! Backups come back whole or are refused by name; an index is made anew from the log.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use super::super::testkit::{accept, done, event, message, open, options, queue};
use super::super::*;
use crate::clock::SystemClock;
use crate::mail::EventKind;
use crate::mail::event::Delivery;

fn setting(n: u8, value: u8) -> Change {
    let records = vec![(vec![b'c', 1, n], Some(vec![value])), (vec![b's', n], Some(vec![n]))];
    Change { records, ..Change::default() }
}

async fn filled(dir: &Path) -> Store {
    let (store, _) = open(dir);
    for n in 0..20 {
        store.commit(setting(n, 1)).await.unwrap();
        store.commit(accept(message(n.into(), 3), 1000)).await.unwrap();
    }
    let mut large = message(99, 1);
    let mut writer = store.large_writer(large.facts.id).unwrap();
    writer.write(&vec![b'l'; 2 << 20]).unwrap();
    large.body = writer.finish().unwrap();
    store.commit(accept(large, 1000)).await.unwrap();
    store
}

async fn restored(dir: &Path, backup: Vec<u8>) -> Result<(Store, BackupReport), BackupError> {
    let (store, _) = open(dir);
    let inner = store.clone();
    let work = move || inner.restore(&mut Cursor::new(backup));
    let report = supervise::blocking("restore", work).await.unwrap()?;
    Ok((store, report))
}

#[tokio::test]
async fn a_backup_comes_back_with_and_without_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    for with_queue in [false, true] {
        let mut backup = Vec::new();
        let made = store.backup(&mut backup, &BackupOptions { with_queue }).unwrap();
        let to = tempfile::tempdir().unwrap();
        let (copy, report) = restored(to.path(), backup).await.unwrap();
        assert_eq!(made, report);
        assert_eq!(store.scan(b"c", None, 100).unwrap(), copy.scan(b"c", None, 100).unwrap());
        assert_eq!(store.scan(b"s", None, 100).unwrap(), copy.scan(b"s", None, 100).unwrap());
        let waiting = queue(&copy);
        assert_eq!(waiting.len(), if with_queue { 61 } else { 0 });
        for (key, record) in waiting {
            let (a, b) =
                (copy.message(record.place).unwrap(), store.waiting(&key).unwrap().unwrap());
            assert_eq!(a.facts, store.message(b.place).unwrap().facts);
            assert_eq!(a.len(), store.message(b.place).unwrap().len());
        }
    }
}

#[tokio::test]
async fn a_cut_or_flipped_backup_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let mut backup = Vec::new();
    store.backup(&mut backup, &BackupOptions::default()).unwrap();
    for cut in [0, 11, 12, 20, 100, backup.len() - 1] {
        let error = verify_backup(&mut &backup[..cut]).unwrap_err();
        assert!(
            matches!(error, BackupError::Format | BackupError::Cut { .. }),
            "cut at {cut}: {error}"
        );
    }
    for at in (12..backup.len()).step_by(7) {
        let mut flipped = backup.clone();
        flipped[at] ^= 16;
        assert!(verify_backup(&mut &flipped[..]).is_err(), "flipped at {at}");
    }
    let to = tempfile::tempdir().unwrap();
    let end = backup.len() - 3;
    backup.truncate(end);
    let error = restored(to.path(), backup).await.err().unwrap();
    assert!(error.to_string().contains("cut off after 41 items"), "{error}");
    assert!(open(to.path()).0.scan(b"c", None, 10).unwrap().is_empty());
}

#[tokio::test]
async fn an_index_is_made_anew_from_log_backup_and_sealed_events() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path()).await;
    let mut backup = Vec::new();
    store.backup(&mut backup, &BackupOptions::default()).unwrap();
    store.commit(setting(3, 9)).await.unwrap();
    let (key, record) = queue(&store)[5].clone();
    store.commit(done(key, record.place)).await.unwrap();
    let before = (queue(&store), store.scan(b"c", None, 100).unwrap());
    let ended = before.0[7].0;
    store.close();
    fs::write(dir.path().join("db/db"), b"ruined").unwrap();
    let clock = SystemClock::start();
    let delivered = Event {
        recipient: Some((ended.n, "r@example.org".into())),
        ..event(ended.id, EventKind::Delivery(Delivery::default()))
    };
    let mut sealed = |tell: &mut dyn FnMut(&Event)| {
        tell(&delivered);
        Ok(())
    };
    let disk = RealDisk::shared();
    let report =
        rebuild(&options(dir.path()), &*clock, &disk, &mut sealed, Some(&mut &backup[..])).unwrap();
    assert_eq!((report.ended, report.records, report.damaged.len()), (1, 40, 0));
    assert!(report.set_aside.unwrap().exists());
    let (store, opened) = open(dir.path());
    assert_eq!(opened.damaged, Vec::<String>::new());
    let left: Vec<_> = before.0.into_iter().filter(|(key, _)| *key != ended).collect();
    assert_eq!((queue(&store), store.scan(b"c", None, 100).unwrap()), (left, before.1));
}
