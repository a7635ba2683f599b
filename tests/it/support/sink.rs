//! Postfix's smtp-sink as the receiving side, dumping every message it takes into one file.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{free_port, until};

pub struct Sink {
    pub port: u16,
    dump: tempfile::TempDir,
    process: Child,
}

impl Sink {
    pub fn start() -> Sink {
        Sink::with(&[])
    }

    /// With more of smtp-sink's own arguments, such as `-r data`.
    pub fn with(arguments: &[&str]) -> Sink {
        let (port, dump) = (free_port(), tempfile::tempdir().unwrap());
        // As root it wants to become somebody else, who must be able to write the dump.
        let root = rustix::process::getuid().is_root();
        std::fs::set_permissions(dump.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .unwrap();
        let mut command = Command::new("smtp-sink");
        if root {
            command.args(["-u", "nobody"]);
        }
        let process = command
            .args(arguments)
            .args(["-D", "dump", &format!("127.0.0.1:{port}"), "1000"])
            .current_dir(dump.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("smtp-sink of Debian's postfix package");
        let sink = Sink { port, dump, process };
        until("smtp-sink", Duration::from_secs(10), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        sink
    }

    fn file(&self) -> PathBuf {
        self.dump.path().join("dump")
    }

    /// How often each message id came.
    pub fn ids(&self) -> HashMap<String, usize> {
        let text = std::fs::read(self.file()).unwrap_or_default();
        let mut ids = HashMap::new();
        for line in String::from_utf8_lossy(&text).lines() {
            if let Some(id) = line.strip_prefix("X-Postrider-Id: ") {
                *ids.entry(id.trim().to_owned()).or_default() += 1;
            }
        }
        ids
    }

    /// All that came, as smtp-sink writes it down.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.file()).unwrap_or_default()).into_owned()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
