//! `dev`: a newcomer's first minute. What it prints works when pasted, and the life of each message is told.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::server::BINARY;
use crate::support::{free_port, until};

struct Dev {
    folder: tempfile::TempDir,
    process: Child,
}

impl Dev {
    fn start() -> Dev {
        let folder = tempfile::tempdir().unwrap();
        let out = std::fs::File::create(folder.path().join("out")).unwrap();
        let mut command = Command::new(BINARY);
        command.arg("dev").current_dir(folder.path()).stdin(Stdio::null());
        for flag in ["--submission-port", "--tls-port", "--trusted-port", "--http-port"] {
            command.arg(flag).arg(free_port().to_string());
        }
        let process = command.stderr(out.try_clone().unwrap()).stdout(out).spawn().unwrap();
        Dev { folder, process }
    }

    fn told(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out")).unwrap()
    }

    fn wait_for(&self, words: &[&str]) -> String {
        until(&format!("{words:?} in what dev says"), Duration::from_secs(60), || {
            let told = self.told();
            words.iter().all(|word| told.contains(word)).then_some(told)
        })
    }

    /// Runs what was printed as it stands.
    fn paste(&self, text: &str) {
        let pasted = Command::new("bash")
            .args(["-c", text])
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(
            pasted.status.success(),
            "{text}\n{}{}",
            String::from_utf8_lossy(&pasted.stdout),
            String::from_utf8_lossy(&pasted.stderr)
        );
    }

    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let status =
            until("dev to end", Duration::from_secs(35), || self.process.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{}", self.told());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn dev_sends_a_message_itself_and_tells_its_life() {
    let dev = Dev::start();
    let told = dev.wait_for(&["Hello from Postrider", "delivered"]);
    for word in
        ["accepted", "signed   rsa-sha256", "ed25519-sha256", "C: MAIL FROM:<b+", "250 2.0.0"]
    {
        assert!(told.contains(word), "{word:?} is missing in:\n{told}");
    }
    dev.stop();
}

#[test]
fn the_lines_that_dev_prints_send_mail_when_pasted() {
    let dev = Dev::start();
    let told = dev.wait_for(&["Below is the life"]);
    let swaks = told.lines().find(|line| line.starts_with("swaks ")).unwrap();
    let python = told.split_once("python3 - <<'END'").unwrap().1.split_once("\nEND\n").unwrap().0;
    dev.paste(swaks);
    dev.paste(&format!("python3 - <<'END'{python}\nEND\n"));
    dev.wait_for(&["Hello from swaks", "Hello from Python"]);
    until("three deliveries", Duration::from_secs(60), || {
        (dev.told().matches("  delivered  ").count() >= 3).then_some(())
    });
    dev.stop();
}

#[test]
fn a_bounce_of_the_simulator_is_told_and_suppresses_nobody() {
    let dev = Dev::start();
    dev.wait_for(&["Below is the life"]);
    let run = |arguments: &str| dev.paste(&format!("'{BINARY}' {arguments}"));
    run("send --from ann@example.test --to bounce@simulator.dev.localhost --subject Gone");
    let told = dev.wait_for(&["bounce@simulator.dev.localhost (Permanent"]);
    assert!(told.contains("550 5.1.1"), "{told}");
    run("suppression ls | grep -q 'nobody is suppressed'");
    run("queue flush --all");
    run("route ls | grep -q 127.0.0.1");
    dev.stop();
}
