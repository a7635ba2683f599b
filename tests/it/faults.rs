//! Bad days that the process lives through: a full disk, a stop in the middle of the work, curious eyes.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::crash::{repeats_once_all_came, send_until_gone};
use crate::support::client::Client;
use crate::support::server::{DOMAIN, Server};
use crate::support::sink::Sink;
use crate::support::{free_port, until};

/// A small disk of its own under a folder, gone with the test.
struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    fn mount(at: &Path, size: &str) {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(at)
            .status()
            .unwrap();
        assert!(mounted.success(), "a tmpfs needs root");
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Sends until something other than 250 is said; gives the ids that were answered 250 and what was said then.
fn send_until_refused(port: u16) -> (HashSet<String>, String) {
    let mut acked = HashSet::new();
    let mut smtp = Client::connect(("127.0.0.1", port)).unwrap();
    smtp.say("EHLO client.example").unwrap();
    let from = format!("a@{DOMAIN}");
    let text = format!("From: <{from}>\r\nSubject: full\r\n\r\n{}\r\n", "x".repeat(900));
    let large = format!("{text}{}", format!("{}\r\n", "y".repeat(900)).repeat(200));
    for _ in 0..2000 {
        let reply = smtp.send(&from, "b@full.example", &large).unwrap();
        match reply.strip_prefix("250 2.0.0 Ok ") {
            Some(id) => acked.insert(id.to_owned()),
            None => return (acked, reply),
        };
    }
    panic!("the disk never filled");
}

#[test]
fn a_full_disk_is_told_before_anything_is_lost() {
    if !rustix::process::getuid().is_root() {
        println!("skipped: a tmpfs needs root");
        return;
    }
    let more = r#"
[limits]
message_size = "1 MiB"
[store]
segment_size = "4 MiB"
reserve = "4 MiB"
ballast = "4 MiB"
"#;
    let dead = free_port();
    let mut server = Server::start_on(Some(dead), more, |data| SmallDisk::mount(data, "64m"));
    let data = server.data();
    let _disk = SmallDisk(&data);
    let (acked, reply) = send_until_refused(server.trusted);
    assert!(acked.len() > 50, "{} messages went in before {reply:?}", acked.len());
    assert!(reply.starts_with("452 4.3.1"), "the reply says that the disk is short: {reply:?}");

    // The process goes on, and the mail leaves once its host is there; with it the disk empties.
    assert!(!server.ended(), "a disk that is nearly full ends nothing");
    let sink = Sink::start();
    server.ok(&["route", "add", "*", &format!("127.0.0.1:{}", sink.port)]);
    server.ok(&["queue", "flush", "--all"]);
    repeats_once_all_came(&sink, &acked);
    until("the disk to empty", Duration::from_secs(60), || {
        let mut smtp = Client::connect(("127.0.0.1", server.trusted)).ok()?;
        smtp.say("EHLO client.example").ok()?;
        let from = format!("a@{DOMAIN}");
        let text = format!("From: <{from}>\r\nSubject: again\r\n\r\nhello\r\n");
        smtp.send(&from, "b@full.example", &text).ok()?.starts_with("250").then_some(())
    });
}

#[test]
fn a_stop_under_load_finishes_what_is_in_flight_and_loses_nothing() {
    let sink = Sink::start();
    let mut server = Server::start(Some(sink.port), "");
    let stop = AtomicBool::new(false);
    let port = server.trusted;
    let acked = std::thread::scope(|scope| {
        let load = scope.spawn(|| send_until_gone(port, &stop));
        until("mail to flow", Duration::from_secs(20), || (sink.ids().len() > 200).then_some(()));
        server.signal(Signal::TERM);
        let status = server.wait(Duration::from_secs(35));
        assert!(status.success(), "a stop that was asked for exits 0, not {status}");
        stop.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    server.spawn(&[]);
    let repeats = repeats_once_all_came(&sink, &acked);
    assert_eq!(repeats, 0, "an orderly stop delivers nothing twice");
}

#[test]
fn no_secret_stands_in_log_events_or_data() {
    let sink = Sink::start();
    let server = Server::start(Some(sink.port), "log.level = \"trace\"\n");
    let from = format!("ann@{DOMAIN}");
    for password in [server.password.as_str(), "not-the-password-7731"] {
        let sent = Command::new("swaks")
            .args(["--server", &format!("127.0.0.1:{}", server.submission), "--tls"])
            .args(["--auth", "PLAIN", "--auth-user", &server.user, "--auth-password", password])
            .args(["--from", &from, "--to", "bob@example.net", "--hide-all"])
            .status()
            .unwrap();
        assert_eq!(sent.success(), password == server.password);
    }
    until("the delivery", Duration::from_secs(20), || (!sink.ids().is_empty()).then_some(()));
    let mut seen = server.log().into_bytes();
    seen.extend(server.ok(&["event", "ls", "--json"]).into_bytes());
    seen.extend(server.ok(&["status", "--json"]).into_bytes());
    seen.extend(server.ok(&["credential", "ls", "--json"]).into_bytes());
    let mut folders = vec![server.data()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => seen.extend(std::fs::read(entry.path()).unwrap()),
                _ => {}
            }
        }
    }
    for secret in [server.password.as_str(), "not-the-password-7731"] {
        let found = memchr::memmem::find(&seen, secret.as_bytes());
        assert!(found.is_none(), "a password stands in plain sight");
        let encoded =
            data_encoding::BASE64.encode(format!("\0{}\0{secret}", server.user).as_bytes());
        assert!(
            memchr::memmem::find(&seen, encoded.as_bytes()).is_none(),
            "an AUTH line stands in plain sight"
        );
    }
}
