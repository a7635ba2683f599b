//! Faults of a bad day: the process is killed, the disk refuses. Nothing that was answered 250 may be lost.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::client::Client;
use crate::support::server::{DOMAIN, Server};
use crate::support::sink::Sink;
use crate::support::{long, until};

/// Clients that send while the server is killed.
pub const CLIENTS: usize = 8;
/// Connections to the sink: so many deliveries may be in flight at a kill, and so many may come twice.
pub const DELIVERIES: usize = 20;

/// Sends from `CLIENTS` connections until `stop` or until the server is gone; gives every id that was answered 250.
pub fn send_until_gone(port: u16, stop: &AtomicBool) -> HashSet<String> {
    let acked = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let acked = &acked;
            scope.spawn(move || {
                let Ok(mut smtp) = Client::connect(("127.0.0.1", port)) else { return };
                let _ = smtp.say("EHLO client.example");
                while !stop.load(Ordering::Relaxed) {
                    let from = format!("a{client}@{DOMAIN}");
                    let text =
                        format!("From: <{from}>\r\nSubject: crash\r\n\r\n{}\r\n", "x".repeat(900));
                    match smtp.send(&from, &format!("b@r{client}.example"), &text) {
                        Ok(reply) => match reply.strip_prefix("250 2.0.0 Ok ") {
                            Some(id) => {
                                assert!(acked.lock().unwrap().insert(id.to_owned()), "one id twice")
                            }
                            None => return,
                        },
                        Err(_) => return,
                    }
                }
            });
        }
    });
    acked.into_inner().unwrap()
}

/// Waits until the sink has every id, and gives how many deliveries came more than once.
#[track_caller]
pub fn repeats_once_all_came(sink: &Sink, acked: &HashSet<String>) -> usize {
    let missing = || {
        let came = sink.ids();
        acked.iter().filter(|id| !came.contains_key(*id)).count()
    };
    let mut last = usize::MAX;
    until("every acknowledged message", Duration::from_secs(120), || {
        let now = missing();
        if now != last {
            eprintln!("{now} of {} acknowledged messages are still to come", acked.len());
            last = now;
        }
        (now == 0).then_some(())
    });
    sink.ids().values().map(|times| times - 1).sum()
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_answered_250() {
    let cycles = if long() { 500 } else { 40 };
    let sink = Sink::start();
    let mut server = Server::start(Some(sink.port), "");
    let mut acked = HashSet::new();
    for cycle in 0..cycles {
        let stop = AtomicBool::new(false);
        let port = server.trusted;
        // The moments are spread by a sequence that repeats in every run and meets every phase of a commit.
        let moment = Duration::from_micros(20_000 + (cycle * 7_919) % 180_000);
        acked.extend(std::thread::scope(|scope| {
            let load = scope.spawn(|| send_until_gone(port, &stop));
            std::thread::sleep(moment);
            server.kill();
            stop.store(true, Ordering::Relaxed);
            load.join().unwrap()
        }));
        server.spawn(&[]);
    }
    assert!(acked.len() > cycles as usize, "the load was real: {}", acked.len());
    let repeats = repeats_once_all_came(&sink, &acked);
    let most = cycles as usize * DELIVERIES;
    assert!(repeats <= most, "{repeats} deliveries came twice, at most {most} were in flight");
    println!(
        "{cycles} kills, {} messages acknowledged, none lost, {repeats} delivered twice",
        acked.len()
    );
}

/// Runs the server below strace, which does `what` to the n-th `call` of a thread, under load until it ends.
fn inject(call: &str, what: &str, n: u32) {
    let sink = Sink::start();
    let mut server = Server::start(Some(sink.port), "");
    server.kill();
    let spec = format!("inject={call}:{what}:when={n}");
    let trace = format!("trace={call}");
    server.launch(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &spec], &[]);
    let port = server.trusted;
    until("the server to listen or end", Duration::from_secs(30), || {
        (server.ended() || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).then_some(())
    });
    let stop = AtomicBool::new(false);
    let acked = std::thread::scope(|scope| {
        let load = scope.spawn(|| send_until_gone(port, &stop));
        let start = std::time::Instant::now();
        while !server.ended() && start.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    if !server.ended() {
        // The call came less often than n: the end of this loop for that call.
        server.kill();
    }
    server.spawn(&[]);
    let repeats = repeats_once_all_came(&sink, &acked);
    assert!(
        repeats <= DELIVERIES,
        "{repeats} deliveries came twice after one {what} at {call} {n}"
    );
}

#[test]
fn a_kill_at_the_nth_write_sync_or_rename_loses_nothing() {
    let last = if long() { 60 } else { 6 };
    for call in ["pwrite64", "fdatasync", "rename", "unlink", "ftruncate"] {
        for n in 1..=last {
            inject(call, "signal=SIGKILL", n);
        }
    }
}

#[test]
fn a_failed_write_or_sync_ends_the_process_and_loses_nothing() {
    let last = if long() { 40 } else { 5 };
    for (call, error) in [("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fdatasync", "EIO")] {
        for n in 1..=last {
            inject(call, &format!("error={error}"), n);
        }
    }
}
