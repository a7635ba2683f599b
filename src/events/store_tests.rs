//! The event log over the real store: segments as it seals them, restarts as it survives them.

use std::path::Path;

use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::store::{Change, RealDisk, StoreOptions};

fn open(dir: &Path) -> (Store, Events) {
    let clock = SystemClock::start();
    let options =
        StoreOptions { segment_bytes: StoreOptions::FLOOR_BYTES, ..StoreOptions::new(dir) };
    let (store, _) = Store::open(options, clock.clone(), RealDisk::shared()).unwrap();
    // The samples' own time, so that none is past its time.
    let clock = ManualClock::at(samples::START_MS);
    let events = Events::open(&store, clock, EventsOptions::default()).unwrap();
    (store, events)
}

/// Commits `count` messages' Sends and attempts, a few to a commit.
async fn write(store: &Store, numbers: std::ops::Range<u64>) {
    for number in numbers.step_by(10) {
        let lives = (number..number + 10).flat_map(|n| [samples::send(n), samples::attempt(n)]);
        let change = Change { events: lives.collect(), ..Change::default() };
        store.commit(change).await.unwrap();
    }
}

fn all(events: &Events) -> Vec<u64> {
    let (mut seqs, mut cursor) = (Vec::new(), Some(0));
    while let Some(at) = cursor {
        let page = events.query(&Filter::default(), Some(at), 1000, Order::OldestFirst).unwrap();
        seqs.extend(page.events.iter().map(|(seq, _)| *seq));
        cursor = page.next;
    }
    seqs
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_the_store_is_read_once_before_and_after_sealing_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, events) = open(dir.path());
    write(&store, 0..12_000).await;
    let next = events.next_event();
    assert!(store.sealed_segments().len() > 1, "more than one segment");
    let first = all(&events);
    assert_eq!(first.len(), 24_000);
    assert!(first.windows(2).all(|pair| pair[0] + 1 == pair[1]));

    events.sealer.round().await.unwrap();
    assert!(events.status().files > 1);
    assert!(store.sealed_segments().iter().all(|segment| segment.events_taken));
    assert_eq!(all(&events), first);
    let traced = events.of_message(samples::message(7)).unwrap();
    assert_eq!(traced.len(), 2);

    drop(events);
    store.close();
    let (store, events) = open(dir.path());
    assert_eq!((all(&events), events.next_event()), (first, next));
    events.sealer.round().await.unwrap();
    write(&store, 12_000..12_010).await;
    assert_eq!(events.after(next, 100).unwrap().len(), 20);
    store.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_wakes_when_an_event_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (store, events) = open(dir.path());
    let next = events.next_event();
    let waiter = events.clone();
    let heard = supervise::spawn("test", async move { waiter.wait_for(next).await });
    write(&store, 0..1).await;
    assert_eq!(heard.await.unwrap(), Some(()));
    store.close();
}
