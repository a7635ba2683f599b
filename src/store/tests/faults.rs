//! C-29: the n-th write, sync, rename or unlink fails, for each n until a run has no failure; nothing that was
//! acknowledged is lost, and nothing that was settled comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::testkit::{accept, done, message, open, open_on, queue};
use super::super::*;

/// What a run was told.
#[derive(Default)]
struct Told {
    accepted: BTreeMap<MessageId, Place>,
    settled: BTreeSet<MessageId>,
    /// Settling was begun but not answered: either is right.
    unsure: BTreeSet<MessageId>,
    /// Whether anything failed.
    failed: bool,
}

/// Messages in rounds, some of them settled, with checkpoints between; small segments make it roll and recycle.
async fn run(dir: &Path, disk: Arc<dyn Disk>) -> Told {
    let mut told = Told::default();
    let Ok((store, _)) = open_on(dir, disk) else { return Told { failed: true, ..told } };
    for round in 0..3u64 {
        for n in 0..4u64 {
            let unique = round * 10 + n;
            let mut message = message(unique, 1);
            message.body = Body::Memory(vec![b'x'; 600_000].into());
            let id = message.facts.id;
            match store.commit(accept(message, 1000 + unique)).await {
                Ok(committed) => drop(told.accepted.insert(id, committed.place.unwrap())),
                Err(_) => told.failed = true,
            }
        }
        for (key, waiting) in store.waiting_after(None, 100).unwrap_or_default() {
            if key.due_ms % 2 == 0 {
                match store.commit(done(key, waiting.place)).await {
                    Ok(_) => drop(told.settled.insert(key.id)),
                    Err(_) => drop(told.unsure.insert(key.id)),
                }
            }
        }
        for segment in store.sealed_segments() {
            let _ = store.events_taken(segment.segment).await;
        }
        store.checkpoint().await;
    }
    told.failed |= store.failed().is_some();
    store.close();
    told
}

#[track_caller]
fn check(dir: &Path, told: &Told, what: &str) {
    let (store, opened) = open(dir);
    assert_eq!(opened.damaged, Vec::<String>::new(), "{what}");
    let waiting: BTreeMap<_, _> = queue(&store).into_iter().map(|(key, w)| (key.id, w)).collect();
    for id in told.accepted.keys() {
        if told.settled.contains(id) {
            assert!(!waiting.contains_key(id), "{what}: settled {id} came back");
        } else if !told.unsure.contains(id) {
            let record = waiting.get(id).unwrap_or_else(|| panic!("{what}: {id} is lost"));
            assert_eq!(store.message(record.place).unwrap().facts.id, *id, "{what}");
        }
    }
}

#[tokio::test]
async fn no_failing_operation_loses_what_was_acknowledged() {
    for fault in [Fault::Eio, Fault::Enospc, Fault::Short] {
        for n in 1.. {
            let dir = tempfile::tempdir().unwrap();
            let disk = Arc::new(FaultDisk::new(RealDisk::shared(), n, fault));
            let told = run(dir.path(), Arc::<FaultDisk>::clone(&disk)).await;
            check(dir.path(), &told, &format!("{fault:?} at operation {n}"));
            if !disk.struck() {
                assert!(!told.failed);
                assert!(n > 40, "a run has more than {n} operations");
                break;
            }
        }
    }
}

#[tokio::test]
async fn the_first_failure_latches_and_wakes_who_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    testkit::open(dir.path()).0.close();
    let mut latched = false;
    for n in 1..40 {
        let disk = Arc::new(FaultDisk::new(RealDisk::shared(), n, Fault::Eio));
        let Ok((store, _)) = open_on(dir.path(), Arc::<FaultDisk>::clone(&disk)) else { continue };
        if store.commit(accept(message(n, 1), 1)).await.is_ok() {
            continue;
        }
        latched = true;
        store.wait_failed().await;
        assert!(store.failed().unwrap().contains("os error 5"), "{:?}", store.failed());
        let second = store.commit(Change::default()).await;
        assert!(matches!(second, Err(StoreFailed::Latched(_))));
    }
    assert!(latched);
}
