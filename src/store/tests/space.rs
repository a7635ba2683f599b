//! Segments are freed, reused and compacted, and never too early; large bodies come and go with their messages.

use std::path::Path;
use std::time::Duration;

use super::super::testkit::{accept, done, lane, message, open, options, queue};
use super::super::*;
use crate::clock::ManualClock;

fn big(unique: u64) -> Message {
    let mut message = message(unique, 1);
    message.body = Body::Memory(vec![b'z'; 500_000].into());
    message
}

async fn take_events(store: &Store) {
    for segment in store.sealed_segments() {
        assert!(!store.segment_events(segment.segment).unwrap().is_empty());
        store.events_taken(segment.segment).await.unwrap();
    }
}

async fn settle_all_but(store: &Store, keep: u64) {
    for (key, waiting) in queue(store) {
        if !key.due_ms.is_multiple_of(keep) {
            store.commit(done(key, waiting.place)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn segments_that_nothing_needs_are_reused_and_events_stay_gapless() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for n in 0..60 {
        store.commit(accept(big(n), 1)).await.unwrap();
        if n % 8 == 7 {
            settle_all_but(&store, u64::MAX).await;
            take_events(&store).await;
            store.checkpoint().await;
            store.checkpoint().await;
        }
    }
    let status = store.status();
    assert!(status.segments <= 3 && status.log_bytes <= 8 * (4 << 20), "{status:?}");
    let events = store.events_from(0, 1000).unwrap();
    let numbers: Vec<_> = events.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (numbers[0]..=60).collect::<Vec<_>>());
    drop(store);
    let (store, opened) = open(dir.path());
    assert_eq!(opened.damaged, Vec::<String>::new());
    assert_eq!((queue(&store).len(), store.status().next_event), (4, 61));
}

#[tokio::test]
async fn a_segment_with_a_waiting_recipient_or_untaken_events_is_not_freed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for n in 0..20 {
        store.commit(accept(big(n), 1000 + n)).await.unwrap();
    }
    let kept = queue(&store).into_iter().find(|(key, _)| key.due_ms == 1000).unwrap();
    settle_all_but(&store, 1000).await;
    store.checkpoint().await;
    let before = store.status().segments;
    take_events(&store).await;
    store.checkpoint().await;
    store.checkpoint().await;
    assert!(store.status().segments < before);
    assert_eq!(store.message(kept.1.place).unwrap().facts.id, kept.0.id);
}

#[tokio::test]
async fn sparse_segments_are_moved_and_old_places_stay_readable_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(1);
    let as_clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let (store, _) = Store::open(options(dir.path()), as_clock, RealDisk::shared()).unwrap();
    for n in 0..30 {
        store.commit(accept(big(n), 1000 + n)).await.unwrap();
    }
    settle_all_but(&store, 10).await;
    store.checkpoint().await;
    take_events(&store).await;
    let before = queue(&store);
    store.compact().await;
    store.checkpoint().await;
    let after = queue(&store);
    assert_eq!(before.len(), after.len());
    assert!(before.iter().zip(&after).all(|(old, new)| old.0 == new.0));
    assert!(before.iter().zip(&after).any(|(old, new)| old.1.place != new.1.place));
    // A lease from before the move: its place still reads, and its new record points to the new place.
    let (key, old) = before[0].clone();
    assert_eq!(store.message(old.place).unwrap().facts.id, key.id);
    let next = Waiting { attempts: 1, ..old.clone() };
    let settled = Settled { key, place: old.place, next: Some((5000, next)) };
    store.commit(Change { settled: vec![settled], ..Change::default() }).await.unwrap();
    let again = store.waiting(&WaitKey { due_ms: 5000, ..key }).unwrap().unwrap();
    assert_eq!((again.attempts, again.place), (1, after[0].1.place));
    clock.pass(Duration::from_hours(1));
    store.checkpoint().await;
    store.checkpoint().await;
    assert!(matches!(store.message(old.place), Err(ReadError::Gone)));
    for (key, waiting) in queue(&store) {
        assert_eq!(store.message(waiting.place).unwrap().facts.id, key.id);
    }
    drop(store);
    let (store, _) = open(dir.path());
    assert_eq!(queue(&store).len(), after.len());
}

fn large_files(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("spool/large")).unwrap().count()
}

#[tokio::test]
async fn a_large_body_lives_as_long_as_its_recipients_and_orphans_go_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut message = message(1, 2);
    let mut writer = store.large_writer(message.facts.id).unwrap();
    writer.write(&vec![b'l'; 3 << 20]).unwrap();
    message.body = writer.finish().unwrap();
    let place = store.commit(accept(message, 7)).await.unwrap().place.unwrap();
    store.checkpoint().await;
    drop(store.large_writer(testkit::message(2, 1).facts.id).unwrap());
    store.large_writer(testkit::message(3, 1).facts.id).unwrap().finish().unwrap();
    assert_eq!(large_files(dir.path()), 2);
    store.close();
    let (store, _) = open(dir.path());
    store.checkpoint().await;
    assert_eq!(large_files(dir.path()), 1);
    assert_eq!(store.message(place).unwrap().body.len(), 3 << 20);
    for n in [0, 1] {
        assert_eq!(large_files(dir.path()), 1);
        let key = WaitKey { lane: lane(n), due_ms: 7, id: testkit::message(1, 1).facts.id, n };
        store.commit(done(key, place)).await.unwrap();
        store.checkpoint().await;
    }
    assert_eq!(large_files(dir.path()), 0);
}
