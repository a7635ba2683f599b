//! Ends that are asked for (C-40): SIGTERM under load, SIGTERM twice, SIGHUP. Nothing is lost, and nothing comes twice.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::process::Signal;

use crate::crash::{repeats_once_all_came, send_until_gone};
use crate::support::server::Server;
use crate::support::sink::Sink;
use crate::support::until;

/// How long the load runs before the signal.
const LOAD: Duration = Duration::from_millis(500);
/// What stopping may take: the drain's 30 seconds and a moment for the machine.
const STOP_WITHIN: Duration = Duration::from_secs(35);

/// Loads the server, lets `signal` act, waits for its end; gives every id that was answered 250.
fn end_under_load(server: &mut Server, signal: impl FnOnce(&Server)) -> HashSet<String> {
    let (stop, port) = (AtomicBool::new(false), server.trusted);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| send_until_gone(port, &stop));
        std::thread::sleep(LOAD);
        signal(server);
        let status = server.wait(STOP_WITHIN);
        assert_eq!(status.code(), Some(0), "{}", server.log());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        load.join().unwrap()
    })
}

#[test]
fn sigterm_under_load_ends_in_time_loses_nothing_and_repeats_nothing() {
    let sink = Sink::start();
    let mut server = Server::start(Some(sink.port), "");
    let acked = end_under_load(&mut server, |server| server.signal(Signal::TERM));
    assert!(acked.len() > 50, "the load was real: {}", acked.len());
    server.spawn(&[]);
    assert_eq!(repeats_once_all_came(&sink, &acked), 0, "a drained server repeats nothing");
}

#[test]
fn sigterm_twice_ends_at_once_and_loses_nothing() {
    // A sink that lets every final dot wait keeps deliveries in flight.
    let slow = Sink::with(&["-W", ".:20:20"]);
    let mut server = Server::start(Some(slow.port), "");
    let started = std::time::Instant::now();
    let acked = end_under_load(&mut server, |server| {
        server.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(300));
        server.signal(Signal::TERM);
    });
    assert!(started.elapsed() < Duration::from_secs(10), "it took {:?}", started.elapsed());
    assert!(!acked.is_empty(), "the load was real");
    assert!(server.log().contains("told twice to stop"), "{}", server.log());
    drop(slow);
    server.spawn(&[]);
    let waiting = server.json(&["status"])["store"]["waiting"].as_u64().unwrap();
    let ended = server.json(&["event", "ls", "--type", "Delivery", "--limit", "1000"]);
    let delivered = ended["items"].as_array().unwrap().len() as u64;
    assert!(waiting + delivered >= acked.len() as u64, "{waiting} wait, {delivered} delivered");
}

#[test]
fn sighup_reads_the_certificate_again_and_keeps_the_old_one_where_it_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["mail.test.example".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let tls = format!("tls.cert = \"{}\"\ntls.key = \"{}\"", cert.display(), key.display());
    let server = Server::start(None, &tls);
    let says = |words: &str| {
        until(words, Duration::from_secs(10), || server.log().contains(words).then_some(()));
    };
    server.signal(Signal::HUP);
    says("the certificate was read again");
    std::fs::write(&cert, "no certificate").unwrap();
    server.signal(Signal::HUP);
    says("the old certificate stays in use");
    assert!(server.run(&["status"]).status.success());
}
