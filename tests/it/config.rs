//! Bad configuration is refused with exit code 78, its place and what to do; nothing on disk changes (B-19).

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::free_port;
use crate::support::server::BINARY;

struct Folder(tempfile::TempDir);

impl Folder {
    /// A bootstrap file that would be taken, and `more`.
    fn with(more: &str) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        let port = free_port();
        let text = format!(
            "hostname = \"mail.example.org\"\ndata_dir = \"data\"\nhttp.address = \"\"\n{more}\n\
             [[listener]]\naddress = \"127.0.0.1:{port}\"\nmode = \"starttls\"\n"
        );
        folder.write("postrider.toml", &text);
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(BINARY).args(arguments).current_dir(self.path()).output().unwrap()
    }

    /// `serve` must end with 78, say all of `want` and leave the folder as it was.
    #[track_caller]
    fn refuses(&self, want: &[&str]) {
        let before = self.names();
        let output = self.run(&["serve"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{told}");
        for word in want {
            assert!(told.contains(word), "{word:?} is missing in: {told}");
        }
        assert_eq!(self.names(), before, "something changed on disk");
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn an_unknown_key_names_file_line_and_the_key_that_was_meant() {
    Folder::with("limits.mesage_size = \"1 MiB\"").refuses(&[
        "postrider.toml:4:8",
        "limits.mesage_size",
        "did you mean `limits.message_size`",
    ]);
}

#[test]
fn a_wrong_unit_names_file_line_and_a_right_one() {
    Folder::with("limits.message_size = \"1 Mo\"").refuses(&[
        "postrider.toml:4:23",
        "limits.message_size",
        "unknown unit `Mo`",
        "\"40 MiB\"",
    ]);
}

#[test]
fn a_port_in_use_names_the_setting_and_how_to_find_its_holder() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = Folder::with("");
    let text = fs::read_to_string(folder.path().join("postrider.toml")).unwrap();
    let more = format!("{text}[[listener]]\naddress = \"127.0.0.1:{port}\"\nmode = \"tls\"\n");
    folder.write("postrider.toml", &more);
    folder.refuses(&[
        "postrider.toml:9:",
        "listener[1].address",
        "in use by another program",
        "ss -ltnp",
    ]);
}

#[test]
fn a_key_file_that_cannot_be_read_is_named() {
    Folder::with("tls.cert = \"/nowhere/cert.pem\"\ntls.key = \"/nowhere/key.pem\"").refuses(&[
        "postrider.toml:4:12",
        "tls.key",
        "/nowhere/key.pem cannot be read",
    ]);
}

#[test]
fn a_secret_that_everybody_may_read_is_refused() {
    let folder = Folder::with("");
    folder.write("cert.pem", "");
    folder.write("key.pem", "");
    let key = folder.path().join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let dir = folder.path().display();
    let text = fs::read_to_string(folder.path().join("postrider.toml")).unwrap();
    let tls = format!("tls.cert = \"{dir}/cert.pem\"\ntls.key = \"{dir}/key.pem\"\n{text}");
    folder.write("postrider.toml", &tls);
    folder.refuses(&["postrider.toml:2:11", "tls.key", "mode 0644", "chmod 600"]);
}

#[test]
fn a_source_address_of_another_host_is_refused() {
    Folder::with("egress.addresses = [\"192.0.2.77\"]").refuses(&[
        "postrider.toml:4:20",
        "egress.addresses",
        "192.0.2.77 is on no interface",
    ]);
}

#[test]
fn the_same_source_address_twice_is_refused() {
    Folder::with("egress.addresses = [\"127.0.0.1\", \"127.0.0.1\"]")
        .refuses(&["egress.addresses", "names 127.0.0.1 twice"]);
}

#[test]
fn a_misspelt_environment_variable_is_refused() {
    let folder = Folder::with("");
    let mut serve = Command::new(BINARY);
    serve.arg("serve").current_dir(folder.path()).env("POSTRIDER_LIMITS_RECIPENTS", "200");
    let output = serve.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("did you mean `POSTRIDER_LIMITS_RECIPIENTS`"), "{told}");
}

#[test]
fn a_right_file_passes_the_check_and_shows_where_each_value_comes_from() {
    let folder = Folder::with("limits.recipients = 200");
    let check = folder.run(&["config", "check"]);
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));
    let show = folder.run(&["config", "show", "--origin"]);
    let text = String::from_utf8(show.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("limits.recipients ")).unwrap();
    assert!(line.contains("200") && line.contains("postrider.toml:4:21"), "{line}");
    let json = folder.run(&["config", "show", "--json"]);
    let settings: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let found = settings.as_array().unwrap().iter().find(|s| s["key"] == "limits.recipients");
    assert_eq!(found.unwrap()["value"], "200");
}

#[test]
fn init_writes_a_file_that_passes_and_never_overwrites_one() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let init = folder.run(&["init", "--hostname", "mail.example.org"]);
    assert_eq!(init.status.code(), Some(0), "{}", String::from_utf8_lossy(&init.stderr));
    assert!(folder.path().join("postrider-data").is_dir());
    let mode = fs::metadata(folder.path().join("postrider-data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let show = folder.run(&["config", "show", "--json"]);
    assert_eq!(show.status.code(), Some(0), "{}", String::from_utf8_lossy(&show.stderr));
    let again = folder.run(&["init", "--hostname", "other.example.org"]);
    assert_eq!(again.status.code(), Some(73));
    let kept = fs::read_to_string(folder.path().join("postrider.toml")).unwrap();
    assert!(kept.contains("mail.example.org"));
}
