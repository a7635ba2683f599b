//! Checks of the server: does it run, is its store well, do its listeners answer.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::Finding;
use crate::cli::client::{Client, Target};
use crate::cli::{Exit, Failure};
use crate::config::{Loaded, Mode};
use crate::http::admin::shapes::{PREFIX, Status};
use crate::store;

/// A listener on this machine answers at once or is in trouble.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What the running server says of itself.
pub(super) async fn status(loaded: &Loaded) -> Result<Status, Failure> {
    let mut client = Client::connect(Some(&loaded.config.data_dir)).await?;
    client.get(&Target::new(PREFIX).name("status")).await
}

/// The store, as the server tells; without one, whether it could be opened.
pub(super) fn store(loaded: &Loaded, running: Result<Status, Failure>) -> Vec<Finding> {
    let status = match running {
        Ok(status) => status,
        Err(failure) if failure.exit == Exit::Unavailable => return vec![stopped(loaded)],
        Err(failure) => return vec![Finding::fail("store", failure.text, "see the server's log")],
    };
    let mut findings = Vec::new();
    if let Some(failed) = &status.store.failed {
        let fix = "look at the disk, then restart the server; what was answered is safe";
        findings.push(Finding::fail("store", format!("failed: {failed}"), fix));
    } else {
        let found = format!(
            "server {} is up, {} recipients wait, a sync takes {} µs",
            status.version, status.store.waiting, status.store.sync_mean_us
        );
        findings.push(Finding::ok("store", found));
    }
    findings.extend(status.not_ready.iter().map(|why| {
        Finding::fail("server", format!("takes no mail: {why}"), "see the server's log")
    }));
    findings.extend(status.events.damaged.iter().map(|damaged| {
        Finding::warn(
            "events",
            format!("damaged: {damaged}"),
            "restore the file from a backup, if there is one",
        )
    }));
    findings
}

fn stopped(loaded: &Loaded) -> Finding {
    let dir = &loaded.config.data_dir;
    match store::check_free(dir) {
        Err(error) => Finding::fail(
            "store",
            format!("{error}, but its control socket does not answer"),
            "look whether that process still runs; its log says more",
        ),
        Ok(()) if dir.is_dir() => Finding::warn(
            "store",
            format!("no server runs on {}", dir.display()),
            "start it with `postrider serve`",
        ),
        Ok(()) => Finding::warn(
            "store",
            format!("there is no data folder {} yet", dir.display()),
            "`postrider init` or the first `postrider serve` makes it",
        ),
    }
}

/// Whether each listener answers.
pub(super) async fn listeners(loaded: &Loaded) -> Vec<Finding> {
    let mut findings = Vec::new();
    for listener in &loaded.config.listeners {
        let name = format!("{} {}", listener.mode.word(), listener.address);
        let greets = !matches!(listener.mode, Mode::Tls);
        match tokio::time::timeout(ANSWER_WITHIN, knock(listener.address, greets)).await {
            Ok(Ok(())) => findings.push(Finding::ok("listener", format!("{name} answers"))),
            Ok(Err(error)) => {
                let fix = "start the server; if it runs, look into its log";
                findings.push(Finding::warn(
                    "listener",
                    format!("{name} does not answer ({error})"),
                    fix,
                ));
            }
            Err(_) => {
                let fix = "the server is overloaded or stuck; `postrider status` tells more";
                findings.push(Finding::fail(
                    "listener",
                    format!("{name} takes the connection and says nothing"),
                    fix,
                ));
            }
        }
    }
    findings
}

/// Connects as a client on this machine would, and reads the head of the greeting.
async fn knock(mut address: SocketAddr, greets: bool) -> std::io::Result<()> {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let mut stream = TcpStream::connect(address).await?;
    if !greets {
        return Ok(());
    }
    let mut code = [0; 3];
    stream.read_exact(&mut code).await?;
    if &code == b"220" {
        Ok(())
    } else {
        Err(std::io::Error::other(format!(
            "it greets with {}",
            crate::telemetry::printable(&String::from_utf8_lossy(&code))
        )))
    }
}
