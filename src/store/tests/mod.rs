//! The store as its callers see it: opened, filled, dropped as a crash would, opened again.

mod backup;
mod faults;
mod kill;
mod power;
mod repair;
mod space;

use super::testkit::{accept, done, lane, message, open, queue};
use super::*;

#[tokio::test]
async fn a_committed_message_is_there_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (store, opened) = open(dir.path());
    assert!(opened.fresh);
    let committed = store.commit(accept(message(7, 2), 1000)).await.unwrap();
    assert_eq!(committed.first_event, 1);
    let before = queue(&store);
    assert_eq!(before.len(), 2);
    drop(store);
    let (store, opened) = open(dir.path());
    assert_eq!((opened.replayed, opened.fresh), (1, false));
    assert_eq!(queue(&store), before);
    let read = store.message(committed.place.unwrap()).unwrap();
    assert_eq!(*read.facts, *message(7, 2).facts);
    assert_eq!(store.events_from(1, 10).unwrap().len(), 1);
    assert_eq!(store.status().next_event, 2);
}

#[tokio::test]
async fn a_settled_recipient_stays_settled_before_and_after_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for n in 0..10 {
        store.commit(accept(message(n, 3), 1000 + n)).await.unwrap();
    }
    store.checkpoint().await;
    let all = queue(&store);
    assert_eq!(all.len(), 30);
    for (key, waiting) in all.iter().filter(|(key, _)| key.n == 1) {
        store.commit(done(*key, waiting.place)).await.unwrap();
    }
    let left: Vec<_> = all.into_iter().filter(|(key, _)| key.n != 1).collect();
    assert_eq!(queue(&store), left);
    store.checkpoint().await;
    assert_eq!(queue(&store), left);
    store.close();
    let (store, opened) = open(dir.path());
    assert_eq!(opened.replayed, 0);
    assert_eq!(queue(&store), left);
    let lanes: Vec<_> = store.lanes().unwrap();
    assert_eq!(lanes.len(), 2);
    assert!(lanes.iter().all(|(lane, due)| *due == 1000 && *lane != testkit::lane(1)));
}

#[tokio::test]
async fn what_is_due_comes_in_order_and_names_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for n in 0..100 {
        store.commit(accept(message(n, 1), 1000 + n)).await.unwrap();
        if n % 30 == 0 {
            store.checkpoint().await;
        }
    }
    let due = store.due(&lane(0), 1049, 1000, &|key| key.due_ms < 1010).unwrap();
    let times: Vec<_> = due.items.iter().map(|(key, _)| key.due_ms).collect();
    assert_eq!(times, (1010..1050).collect::<Vec<_>>());
    assert_eq!(due.next_due_ms, Some(1050));
    let due = store.due(&lane(0), u64::MAX, 5, &|_| false).unwrap();
    assert_eq!((due.items.len(), due.next_due_ms), (5, Some(1005)));
}

#[tokio::test]
async fn records_are_read_back_by_prefix_across_layers() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let put = |n: u8, value: Option<u8>| Change {
        records: vec![(vec![b'c', 1, n], value.map(|v| vec![v]))],
        ..Change::default()
    };
    for n in 0..20 {
        store.commit(put(n, Some(1))).await.unwrap();
    }
    store.checkpoint().await;
    for n in 10..30 {
        store.commit(put(n, Some(2))).await.unwrap();
    }
    store.commit(put(5, None)).await.unwrap();
    let all = store.scan(&[b'c', 1], None, 100).unwrap();
    assert_eq!(all.len(), 29);
    assert!(all.iter().all(|(key, value)| value[0] == if key[2] < 10 { 1 } else { 2 }));
    let part = store.scan(&[b'c', 1], Some(&[b'c', 1, 4]), 3).unwrap();
    assert_eq!(part.iter().map(|(key, _)| key[2]).collect::<Vec<_>>(), [6, 7, 8]);
    assert_eq!(store.get(&[b'c', 1, 5]).unwrap(), None);
    assert_eq!(store.get(&[b'c', 1, 29]).unwrap(), Some(vec![2]));
}
