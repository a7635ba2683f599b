//! Backups of the running server: whole, wrapped, and refused where they are not.

use std::process::{Command, Output};

use crate::support::free_port;
use crate::support::server::{BINARY, DOMAIN, Server, command};

const PASSPHRASE: &str = "a long enough passphrase";

fn with_passphrase(server: &Server, passphrase: &str, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .env("POSTRIDER_DATA_DIR", server.data())
        .env("POSTRIDER_BACKUP_PASSPHRASE", passphrase)
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_new_machine_made_from_a_backup_knows_its_domains_credentials_and_mail() {
    let mut server = Server::start(Some(free_port()), "");
    let from = format!("ann@{DOMAIN}");
    server.ok(&["send", "--from", &from, "--to", "bob@waiting.example"]);
    server.ok(&["suppression", "add", "gone@example.net"]);
    let file = server.folder.path().join("b.backup");
    let file = file.to_str().unwrap();
    let made = with_passphrase(&server, PASSPHRASE, &["backup", "create", file, "--with-queue"]);
    assert!(made.status.success(), "{}", told(&made));
    assert!(told(&made).contains("1 waiting recipients"), "{}", told(&made));

    let again = with_passphrase(&server, PASSPHRASE, &["backup", "create", file]);
    assert_eq!(again.status.code(), Some(73), "a backup never replaces another: {}", told(&again));

    // The new machine.
    let secret_before = server.user.clone();
    server.kill();
    std::fs::remove_dir_all(server.data()).unwrap();
    let data = server.data();
    let to = data.to_str().unwrap();
    let wrong =
        with_passphrase(&server, "another passphrase", &["--data", to, "backup", "restore", file]);
    assert_eq!(wrong.status.code(), Some(77), "{}", told(&wrong));
    assert!(!data.exists(), "a refused restore writes nothing");
    let restored = with_passphrase(&server, PASSPHRASE, &["--data", to, "backup", "restore", file]);
    assert!(restored.status.success(), "{}", told(&restored));
    server.spawn(&[]);
    assert!(server.ok(&["domain", "ls"]).contains(DOMAIN));
    assert!(server.ok(&["credential", "ls"]).contains(&secret_before));
    assert!(server.ok(&["suppression", "ls"]).contains("gone@example.net"));
    assert!(server.ok(&["queue", "ls"]).contains("bob@waiting.example"));
    // Signing keys open only with the instance key that came in the backup.
    let sent = server.ok(&[
        "send",
        "--from",
        &from,
        "--to",
        &format!("success@simulator.{}", "mail.test.example"),
    ]);
    assert!(!sent.is_empty());

    let full = with_passphrase(&server, PASSPHRASE, &["--data", to, "backup", "restore", file]);
    assert_eq!(
        full.status.code(),
        Some(73),
        "never into a folder that holds something: {}",
        told(&full)
    );
}

#[test]
fn a_backup_that_is_cut_or_changed_is_refused_by_name() {
    let server = Server::start(None, "");
    let file = server.folder.path().join("b.backup");
    let path = file.to_str().unwrap();
    let made = with_passphrase(&server, PASSPHRASE, &["backup", "create", path]);
    assert!(made.status.success(), "{}", told(&made));
    let whole = std::fs::read(&file).unwrap();
    assert!(command(&server.data(), &["backup", "verify", path]).status.success());
    for bad in [&whole[..whole.len() - 9], &whole[..40], b"hello\n"] {
        std::fs::write(&file, bad).unwrap();
        let output = command(&server.data(), &["backup", "verify", path]);
        assert_eq!(output.status.code(), Some(74), "{}", told(&output));
        assert!(told(&output).contains("backup"), "{}", told(&output));
    }
    let mut flipped = whole.clone();
    let at = flipped.len() - 60;
    flipped[at] ^= 1;
    std::fs::write(&file, flipped).unwrap();
    let output = command(&server.data(), &["backup", "verify", path]);
    assert_eq!(output.status.code(), Some(74), "{}", told(&output));
    let short = with_passphrase(&server, "short", &["backup", "create", "/tmp/never"]);
    assert_eq!(short.status.code(), Some(64), "{}", told(&short));
}

#[test]
fn an_index_that_is_gone_is_made_anew_from_the_log_and_a_backup() {
    let mut server = Server::start(Some(free_port()), "");
    let from = format!("ann@{DOMAIN}");
    server.ok(&["send", "--from", &from, "--to", "bob@waiting.example"]);
    let file = server.folder.path().join("b.backup");
    let file = file.to_str().unwrap();
    let made = with_passphrase(&server, PASSPHRASE, &["backup", "create", file]);
    assert!(made.status.success(), "{}", told(&made));
    let config = server.config();
    let config = config.to_str().unwrap();
    let busy = command(&server.data(), &["doctor", "--rebuild", "--config", config]);
    assert_eq!(busy.status.code(), Some(75), "not under a running server: {}", told(&busy));

    server.kill();
    std::fs::remove_dir_all(server.data().join("db")).unwrap();
    let rebuilt =
        command(&server.data(), &["doctor", "--rebuild", "--backup", file, "--config", config]);
    assert!(rebuilt.status.success(), "{}", told(&rebuilt));
    assert!(told(&rebuilt).contains("1 recipients wait"), "{}", told(&rebuilt));
    server.spawn(&[]);
    assert!(server.ok(&["domain", "ls"]).contains(DOMAIN));
    assert!(server.ok(&["queue", "ls"]).contains("bob@waiting.example"));
}
