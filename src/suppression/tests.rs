//! The list over a real store: what is added is found whatever else happens at the same time, and after a restart.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;
use crate::store::{RealDisk, StoreOptions};

fn open_store(dir: &tempfile::TempDir) -> Store {
    let options = StoreOptions { segment_bytes: 4 << 20, ..StoreOptions::new(dir.path()) };
    let clock = ManualClock::at(1_700_000_000_000);
    Store::open(options, clock, RealDisk::shared()).unwrap().0
}

fn mailbox(n: usize) -> Mailbox {
    Mailbox::parse(&format!("someone.{n}@example.org")).unwrap()
}

fn entry(at_ms: u64) -> Entry {
    Entry::new(Reason::Bounce, at_ms, None)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Add(usize),
    Remove(usize),
    Pack,
    Build,
    LookUp(usize),
}

fn step(addresses: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..addresses).prop_map(Step::Add),
        1 => (0..addresses).prop_map(Step::Remove),
        2 => Just(Step::Pack),
        1 => Just(Step::Build),
        3 => (0..addresses).prop_map(Step::LookUp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Many tasks at once, each with addresses of its own so that the end is known, all of them in the same few buckets.
    #[test]
    fn changes_at_the_same_time_do_not_undo_each_other(
        plans in prop::collection::vec(prop::collection::vec(step(40), 1..60), 2..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let list = Suppression::open(open_store(&dir)).unwrap();
            let tasks: Vec<_> = plans
                .into_iter()
                .enumerate()
                .map(|(task, steps)| supervise::spawn("test", follow(list.clone(), task, steps)))
                .collect();
            let mut wanted = BTreeMap::new();
            for task in tasks {
                wanted.extend(task.await.unwrap().expect("no task panics"));
            }
            for (n, at_ms) in &wanted {
                let found = list.lookup(&mailbox(*n)).unwrap().map(|entry| entry.at_ms);
                prop_assert_eq!(found, *at_ms, "address {}", n);
            }
            let held = wanted.values().flatten().count();
            prop_assert_eq!(list.list(None, usize::MAX).await.unwrap().len(), held);
            Ok(())
        })?;
    }
}

/// Takes the steps and says for each address what must be found in the end.
async fn follow(list: Suppression, task: usize, steps: Vec<Step>) -> BTreeMap<usize, Option<u64>> {
    let mut wanted = BTreeMap::new();
    for (at_ms, step) in (1u64..).zip(steps) {
        let own = |n: usize| task * 1_000 + n;
        match step {
            Step::Add(n) => {
                list.add(&mailbox(own(n)), &entry(at_ms)).await.unwrap();
                wanted.insert(own(n), Some(at_ms));
            }
            Step::Remove(n) => {
                let was = list.remove(&mailbox(own(n))).await.unwrap();
                assert_eq!(was, wanted.insert(own(n), None).flatten().is_some());
            }
            Step::Pack => list.pack().await.unwrap(),
            Step::Build => {
                let list = list.clone();
                supervise::blocking("test", move || list.build(0)).await.unwrap().unwrap();
            }
            Step::LookUp(n) => {
                let found = list.lookup(&mailbox(own(n))).unwrap().map(|entry| entry.at_ms);
                assert_eq!(found, wanted.get(&own(n)).copied().flatten(), "address {n}");
            }
        }
    }
    wanted
}

#[tokio::test]
async fn thousands_of_addresses_are_found_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let count = 5_000;
    let store = open_store(&dir);
    let list = Suppression::open(store.clone()).unwrap();
    let all: Vec<_> = (0..count).map(|n| (mailbox(n), entry(n as u64))).collect();
    list.add_all(&all).await.unwrap();
    list.pack().await.unwrap();
    assert_eq!(store.scan(&prefix(kind::suppressed::FRESH), None, 10).unwrap(), []);
    let buckets = store.scan(&prefix(kind::suppressed::BUCKET), None, count).unwrap();
    assert!((count / 120..count / 20).contains(&buckets.len()), "{} buckets", buckets.len());
    drop(list);
    store.close();

    let list = Suppression::open(open_store(&dir)).unwrap();
    for built in [false, true] {
        assert_eq!(list.lookup(&mailbox(7)).unwrap().map(|entry| entry.at_ms), Some(7));
        assert_eq!(list.lookup(&mailbox(count + 7)).unwrap(), None);
        if !built {
            list.build(0).unwrap();
        }
    }
    assert!((0..count).all(|n| list.lookup(&mailbox(n)).unwrap().is_some()));
}

#[tokio::test]
async fn a_list_is_read_page_by_page_without_gap_or_repeat() {
    let dir = tempfile::tempdir().unwrap();
    let list = Suppression::open(open_store(&dir)).unwrap();
    let all: Vec<_> = (0..500).map(|n| (mailbox(n), entry(1))).collect();
    list.add_all(&all).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = list.list(after.as_ref(), 77).await.unwrap();
        let Some((end, _)) = page.last() else { break };
        after = Some(Mailbox::parse(end).unwrap());
        seen.extend(page.into_iter().map(|(address, _)| address));
    }
    let mut wanted: Vec<_> = all.iter().map(|(mailbox, _)| mailbox.to_string()).collect();
    wanted.sort();
    seen.sort();
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn spellings_of_one_mailbox_are_one_and_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let list = Suppression::open(open_store(&dir)).unwrap();
    let of = |text: &str| Mailbox::parse(text).unwrap();
    list.add(&of("\"Ann\"@Example.ORG"), &entry(1)).await.unwrap();
    for (address, want) in [
        ("Ann@example.org", true),
        ("Ann@EXAMPLE.org", true),
        ("ann@example.org", false),
        ("Ann+tag@example.org", false),
        ("Ann@mail.example.org", false),
    ] {
        assert_eq!(list.lookup(&of(address)).unwrap().is_some(), want, "{address}");
    }
}

#[tokio::test]
async fn a_bounce_suppresses_in_its_own_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(&dir);
    let list = Suppression::open(store.clone()).unwrap();
    let source = (store.new_id(), 3);
    let bounced = Entry::new(Reason::Bounce, 9, Some(source));
    let records = list.record_change(&mailbox(1), &bounced);
    assert_eq!(list.lookup(&mailbox(1)).unwrap(), None, "not before the commit");
    store.commit(Change { records, ..Change::default() }).await.unwrap();
    assert_eq!(list.lookup(&mailbox(1)).unwrap(), Some(bounced));
}
