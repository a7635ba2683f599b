//! C-27 for the store: a writer process is killed at random moments; whatever it was told is there afterwards.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::super::testkit::{accept, done, message, open, queue};
use super::super::*;

const DIR: &str = "POSTRIDER_TEST_KILL_DIR";
const CYCLES: u64 = 40;
const CYCLES_LONG: u64 = 500;

/// The writer. Does nothing unless it was started by the test below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writer_that_is_killed() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (store, _) = open(Path::new(&dir));
    let mut tasks = Vec::new();
    for task in 0..8u64 {
        let store = store.clone();
        tasks.push(supervise::spawn("writer", async move {
            loop {
                write_one(&store, task).await;
            }
        }));
    }
    for task in tasks {
        let _ = task.await;
    }
}

async fn write_one(store: &Store, task: u64) {
    let id = store.new_id();
    let mut message = message(task, 2);
    message.facts = Arc::new(Facts { id, ..(*message.facts).clone() });
    message.body = Body::Memory(vec![b'x'; 2000 + 900 * usize::try_from(task).unwrap()].into());
    let place = store.commit(accept(message, 1000)).await.unwrap().place.unwrap();
    say("accepted", id);
    if id.octets()[15].is_multiple_of(2) {
        say("settling", id);
        for n in [0, 1] {
            let key = WaitKey { lane: testkit::lane(n), due_ms: 1000, id, n };
            store.commit(done(key, place)).await.unwrap();
        }
        say("settled", id);
    }
    if id.octets()[15].is_multiple_of(64) {
        for segment in store.sealed_segments() {
            store.events_taken(segment.segment).await.unwrap();
        }
        store.checkpoint().await;
    }
}

/// One write: whole lines or nothing, whenever the end comes.
fn say(word: &str, id: MessageId) {
    let line = format!("\n@{word} {id}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

#[derive(Default)]
struct Told {
    accepted: BTreeSet<MessageId>,
    settling: BTreeSet<MessageId>,
    settled: BTreeSet<MessageId>,
}

fn run_and_kill(dir: &Path, after: Duration, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["store::tests::kill::the_writer_that_is_killed", "--exact", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut take = |line: String| {
        let Some((word, id)) = line.strip_prefix('@').and_then(|rest| rest.split_once(' ')) else {
            return false;
        };
        let Ok(id) = id.parse() else { return false };
        match word {
            "accepted" => told.accepted.insert(id),
            "settling" => told.settling.insert(id),
            _ => told.settled.insert(id),
        };
        true
    };
    // The clock of the kill starts with the first message, whatever the machine's load.
    while !take(lines.next().expect("the writer died by itself").unwrap()) {}
    let killer = std::thread::spawn(move || {
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    });
    for line in lines {
        take(line.unwrap_or_default());
    }
    killer.join().unwrap();
}

#[test]
fn a_killed_writer_loses_nothing_it_was_told() {
    let cycles = if std::env::var_os("POSTRIDER_LONG").is_some() { CYCLES_LONG } else { CYCLES };
    let dir = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    for cycle in 0..cycles {
        let ms = u64::from_be_bytes(
            MessageId::new(0, 0, log::nonce().unwrap()).octets()[8..].try_into().unwrap(),
        ) % 80;
        run_and_kill(dir.path(), Duration::from_millis(ms), &mut told);
        let (store, opened) = open(dir.path());
        assert_eq!(opened.damaged, Vec::<String>::new(), "cycle {cycle}");
        let waiting = queue(&store);
        let ids: BTreeSet<_> = waiting.iter().map(|(key, _)| key.id).collect();
        for id in told.accepted.difference(&told.settling) {
            assert!(ids.contains(id), "cycle {cycle}: {id} is lost");
        }
        for id in &told.settled {
            assert!(!ids.contains(id), "cycle {cycle}: {id} came back");
        }
        for (key, record) in waiting.iter().rev().take(200) {
            assert_eq!(store.message(record.place).unwrap().facts.id, key.id, "cycle {cycle}");
        }
    }
    assert!(told.accepted.len() as u64 > cycles);
}
