//! The bootstrap configuration of `dev`: loopback, unprivileged ports, no DNS.

use std::path::Path;

use super::super::Failure;
use super::super::place::set_flags;
use super::{CREDENTIAL, Dev};
use crate::config::{self, Loaded, Sources};

/// A port of the loopback interface where nobody answers DNS: no name is ever looked up outside.
const NO_DNS: &str = "127.0.0.1:1";

pub(super) fn load(dev: &Dev, data: &Path) -> Result<Loaded, Failure> {
    let mut sources = Sources::default();
    sources.read_text(Path::new("<dev>"), &text(dev))?;
    sources.with_flag("data_dir", data.to_string_lossy().into_owned(), "--data");
    set_flags(&mut sources, &dev.settings)?;
    Ok(config::load(&sources)?)
}

fn text(dev: &Dev) -> String {
    let Dev { submission_port, tls_port, trusted_port, http_port, .. } = dev;
    format!(
        r#"
hostname = "dev.localhost"
http.address = "127.0.0.1:{http_port}"
log.level = "warn"
dns.servers = ["{NO_DNS}"]
store.segment_size = "16 MiB"
store.ballast = "16 MiB"
store.reserve = "64 MiB"
queue.first_retry = "10s"
delivery.idle_timeout = "1s"

[[listener]]
address = "127.0.0.1:{submission_port}"
mode = "starttls"

[[listener]]
address = "127.0.0.1:{tls_port}"
mode = "tls"

[[listener]]
address = "127.0.0.1:{trusted_port}"
mode = "trusted"
sources = ["127.0.0.0/8"]
credential = "{CREDENTIAL}"
"#
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        dev: Dev,
    }

    #[test]
    fn everything_of_dev_is_on_loopback() {
        let line = Line::parse_from(["dev", "--submission-port", "3525"]);
        let config = load(&line.dev, Path::new("/tmp/x")).unwrap().config;
        assert!(config.listeners.iter().all(|listener| listener.address.ip().is_loopback()));
        assert!(config.http.unwrap().ip().is_loopback());
        assert!(config.dns_servers.iter().all(|server| server.ip().is_loopback()));
        assert_eq!(config.listeners[0].address.port(), 3525);
    }
}
