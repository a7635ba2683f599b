//! The commands as scripts meet them: exit codes, help, JSON, and what is said when no server runs.

use std::process::{Command, Output};
use std::time::Duration;

use crate::support::server::BINARY;
use crate::support::{free_port, until};

/// A command in a folder where no server runs.
fn run(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new(BINARY).args(arguments).current_dir(folder.path()).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn a_wrong_command_line_exits_64_and_help_exits_0() {
    for wrong in
        [&["frobnicate"][..], &[], &["serve", "--port", "25"], &["config", "show", "--orgin"]]
    {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(64), "for {wrong:?}: {}", text(&output.stderr));
    }
    for right in [&["--help"][..], &["serve", "--help"], &["--version"], &["version"]] {
        let output = run(right);
        assert_eq!(output.status.code(), Some(0), "for {right:?}: {}", text(&output.stderr));
    }
}

#[test]
fn help_shows_examples() {
    for command in
        [&["--help"][..], &["serve", "--help"], &["init", "--help"], &["config", "check", "--help"]]
    {
        let output = run(command);
        assert!(text(&output.stdout).contains("Examples:"), "for {command:?}");
    }
}

#[test]
fn completions_are_there_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("config"), "for {shell}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let script = format!("'{BINARY}' config show --default | head -n 1");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}

/// A server of its own with nothing but its control socket and one listener.
struct Bare {
    folder: tempfile::TempDir,
    process: std::process::Child,
}

impl Bare {
    fn start() -> Bare {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let text = format!(
            "hostname = \"mail.example.org\"\ndata_dir = \"data\"\nhttp.address = \"\"\n\
             store.segment_size = \"4 MiB\"\nstore.ballast = \"4 MiB\"\n\
             [[listener]]\naddress = \"127.0.0.1:{port}\"\nmode = \"starttls\"\n"
        );
        std::fs::write(folder.path().join("postrider.toml"), text).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(BINARY)
            .arg("serve")
            .current_dir(folder.path())
            .stderr(log)
            .spawn()
            .unwrap();
        let bare = Bare { folder, process };
        until("the server to answer", Duration::from_secs(30), || {
            bare.run(&["status"]).status.success().then_some(())
        });
        bare
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(arguments).args(["--data", "data"]).current_dir(self.folder.path());
        command.output().unwrap()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn without_a_server_commands_exit_69_and_say_how_to_start_one() {
    for command in [&["status"][..], &["event", "ls"], &["credential", "ls"], &["trace", "a@b.c"]] {
        let output = run(command);
        assert_eq!(output.status.code(), Some(69), "for {command:?}");
        let told = text(&output.stderr);
        assert!(told.contains("postrider serve") && told.contains("--data"), "{told}");
    }
}

#[test]
fn a_second_server_on_a_data_folder_is_told_which_process_has_it() {
    let bare = Bare::start();
    let second =
        Command::new(BINARY).arg("serve").current_dir(bare.folder.path()).output().unwrap();
    let told = text(&second.stderr);
    assert_eq!(second.status.code(), Some(75), "{told}");
    let want = format!("data folder is in use by process {}", bare.process.id());
    assert!(told.contains(&want), "{told}");
}

#[test]
fn a_server_hears_sighup_and_ends_with_0_on_sigterm() {
    let mut bare = Bare::start();
    bare.signal(rustix::process::Signal::HUP);
    until("the answer to SIGHUP", Duration::from_secs(10), || {
        bare.log().contains("SIGHUP").then_some(())
    });
    assert!(bare.run(&["status"]).status.success());
    bare.signal(rustix::process::Signal::TERM);
    let status =
        until("the server to end", Duration::from_secs(30), || bare.process.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", bare.log());
    assert!(!bare.folder.path().join("data/control.sock").exists());
}

#[test]
fn every_read_answers_in_json() {
    let bare = Bare::start();
    for command in [&["status"][..], &["event", "ls"], &["credential", "ls"], &["version"]] {
        let mut with_json = command.to_vec();
        with_json.push("--json");
        let output = bare.run(&with_json);
        assert_eq!(output.status.code(), Some(0), "{command:?}: {}", text(&output.stderr));
        let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&output.stdout);
        assert!(parsed.is_ok(), "{command:?} answered {}", text(&output.stdout));
    }
}

#[test]
fn what_does_not_exist_exits_66() {
    let bare = Bare::start();
    for command in [
        &["trace", "06dxm3q5n8000v4k2a7rj9w1zc"][..],
        &["trace", "nobody@example.net"],
        &["credential", "revoke", "nobody"],
    ] {
        let output = bare.run(command);
        assert_eq!(output.status.code(), Some(66), "{command:?}: {}", text(&output.stderr));
    }
}

#[test]
fn doctor_looks_at_store_disk_clock_and_listeners() {
    let bare = Bare::start();
    let output = bare.run(&["doctor", "--offline", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = answer["findings"].as_array().unwrap();
    for id in ["config", "store", "disk", "clock", "listener"] {
        let found = findings.iter().find(|finding| finding["id"] == id);
        let found = found.unwrap_or_else(|| panic!("{id} is missing in {answer}"));
        assert!(["ok", "warn"].contains(&found["mark"].as_str().unwrap()), "{found}");
    }
    assert_eq!(output.status.code(), Some(0), "{answer}");
}

#[test]
fn doctor_fails_where_port_25_leads_nowhere() {
    let bare = Bare::start();
    let port = free_port();
    let server = format!("dns.servers=127.0.0.1:{port}");
    let output = bare.run(&["doctor", "--set", &server]);
    assert_eq!(output.status.code(), Some(69), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("FAIL  dns"), "{}", text(&output.stdout));
}

#[test]
fn a_message_is_sent_listed_and_traced_from_the_command_line() {
    let bare = Bare::start();
    let ok = |arguments: &[&str]| {
        let output = bare.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(ok(&["domain", "add", "example.org"]).contains("v=DKIM1"));
    assert!(ok(&["domain", "ls"]).contains("example.org"));
    assert!(ok(&["dns", "records", "example.org", "--format", "zone"]).contains("IN TXT"));
    ok(&["credential", "create", "shop", "--per-day", "100"]);
    assert!(ok(&["config-set", "create", "news", "--class", "bulk"]).contains("news"));
    ok(&["config-set", "set", "news", "--sending", "off"]);
    assert!(ok(&["config-set", "ls"]).contains("off"));
    ok(&["config-set", "rm", "news"]);
    ok(&["suppression", "add", "gone@example.net"]);
    assert!(ok(&["suppression", "ls"]).contains("gone@example.net"));
    let sent = ok(&["send", "--from", "ann@example.org", "--to", "gone@example.net", "--json"]);
    let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
    let trace = ok(&["trace", sent["message_id"].as_str().unwrap()]);
    assert!(trace.contains("accepted") && trace.contains("ed25519-sha256"), "{trace}");
    assert!(trace.contains("suppressed"), "{trace}");
    assert!(ok(&["event", "ls", "--recipient", "gone@example.net"]).contains("suppressed"));
    let foreign = bare.run(&["send", "--from", "ann@example.com", "--to", "bob@example.net"]);
    assert_eq!(foreign.status.code(), Some(77), "{}", text(&foreign.stderr));
    assert!(text(&foreign.stderr).contains("ann@example.com"), "{}", text(&foreign.stderr));
    ok(&["suppression", "rm", "gone@example.net"]);
    ok(&["credential", "revoke", "shop"]);
    ok(&["domain", "rm", "example.org"]);
}
