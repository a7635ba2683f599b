//! The real binary, serving from a folder of its own on free ports.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use super::{free_port, until};

pub const BINARY: &str = env!("CARGO_BIN_EXE_postrider");

/// A sending domain that every server of the tests may use.
pub const DOMAIN: &str = "sender.example";

pub struct Server {
    pub folder: tempfile::TempDir,
    /// Trusted listener: no AUTH, no TLS.
    pub trusted: u16,
    /// STARTTLS.
    pub submission: u16,
    /// Implicit TLS.
    pub tls: u16,
    pub http: u16,
    pub user: String,
    pub password: String,
    process: Option<Child>,
}

impl Server {
    /// Starts with a domain, a credential and all mail routed to `sink`; `more` is added to the bootstrap file.
    pub fn start(sink: Option<u16>, more: &str) -> Server {
        Server::start_on(sink, more, |_| {})
    }

    /// The same; `prepare` is given the data folder's path before anything is there.
    pub fn start_on(sink: Option<u16>, more: &str, prepare: impl FnOnce(&Path)) -> Server {
        let mut server = Server {
            folder: tempfile::tempdir().unwrap(),
            trusted: free_port(),
            submission: free_port(),
            tls: free_port(),
            http: free_port(),
            user: String::new(),
            password: String::new(),
            process: None,
        };
        server.write_config(more);
        prepare(&server.data());
        server.spawn(&[]);
        server.ok(&["domain", "add", DOMAIN]);
        let made = server.ok(&["credential", "create", "test", "--json"]);
        let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
        server.user = made["user"].as_str().unwrap().to_owned();
        server.password = made["password"].as_str().unwrap().to_owned();
        if let Some(port) = sink {
            server.ok(&["route", "add", "*", &format!("127.0.0.1:{port}")]);
        }
        server
    }

    fn write_config(&self, more: &str) {
        let Server { trusted, submission, tls, http, .. } = self;
        let data = self.data();
        let text = format!(
            r#"
hostname = "mail.test.example"
data_dir = "{data}"
http.address = "127.0.0.1:{http}"
{more}
[[listener]]
address = "127.0.0.1:{submission}"
mode = "starttls"
[[listener]]
address = "127.0.0.1:{tls}"
mode = "tls"
[[listener]]
address = "127.0.0.1:{trusted}"
mode = "trusted"
sources = ["127.0.0.0/8"]
credential = "test"
"#,
            data = data.display(),
        );
        std::fs::write(self.config(), text).unwrap();
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("postrider.toml")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Starts the process and waits until it listens.
    pub fn spawn(&mut self, arguments: &[&str]) {
        self.launch(&[], arguments);
        let port = self.trusted;
        until("the server to listen", Duration::from_secs(30), || {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the server ended with {ended:?}:\n{}", self.log());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
    }

    /// Starts the process below another program, such as strace, and waits for nothing.
    pub fn launch(&mut self, under: &[&str], arguments: &[&str]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let words: Vec<&str> =
            under.iter().chain(&[BINARY, "serve", "--config"]).copied().collect();
        let process = Command::new(words[0])
            .args(&words[1..])
            .arg(self.config())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// Whether the process has ended by itself.
    pub fn ended(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| process.try_wait().unwrap().is_some())
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.process.as_ref().unwrap())
    }

    /// SIGKILL, as a power cut does it to a process.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        until("the server to end", limit, || process.try_wait().unwrap())
    }

    /// A command against this server's data folder.
    pub fn run(&self, arguments: &[&str]) -> Output {
        command(&self.data(), arguments)
    }

    /// The same; it must succeed, and its standard output is given.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "postrider {arguments:?} ended with {}:\n{}{}\nserver's log:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.log(),
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same as JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let text = self.ok(&arguments);
        serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("{e} in the answer to {arguments:?}: {text}"))
    }
}

/// One command with a data folder.
pub fn command(data: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .env("POSTRIDER_DATA_DIR", data)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!(
                "end of the server's log:\n{}",
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
    }
}
