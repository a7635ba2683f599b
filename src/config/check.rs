//! What the host must grant before anything starts: files that can be read and only by their owner, addresses that are
//! there, ports that are free. It looks and changes nothing.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::problem::{ConfigError, Origin, Problem};
use super::{Config, Loaded};

/// Bits of a file's mode that let others than its owner and group in.
const OTHERS: u32 = 0o007;

/// Whether ports are tried too; not while the server that holds them runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// Bind each once and let it go.
    Try,
    /// Leave them.
    Leave,
}

/// Checks a configuration against this host.
pub fn host(loaded: &Loaded, ports: Ports) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    tls_files(loaded, &mut problems);
    log_level(loaded, &mut problems);
    data_dir(loaded, &mut problems);
    let own = own_addresses();
    for address in &loaded.config.egress_addresses {
        if !own.is_empty() && !own.contains(address) {
            let text = format!(
                "{address} is on no interface of this machine; add it (`ip address add`) or take it out of the list"
            );
            problems.push(problem(loaded.origin("egress.addresses"), "egress.addresses", text));
        }
    }
    if ports == Ports::Try {
        for (address, origin, key) in sockets(loaded) {
            if let Err(error) = TcpListener::bind(address) {
                problems.push(problem(origin, &key, refused_port(address, &error)));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
}

/// What to do about a port that cannot be had.
pub fn refused_port(address: SocketAddr, error: &std::io::Error) -> String {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the list of kinds is open")]
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "{address} is in use by another program; stop it (`ss -ltnp 'sport = :{}'` names it) or choose another port",
            address.port()
        ),
        ErrorKind::AddrNotAvailable => {
            format!("{address} is on no interface of this machine; use one of its own addresses")
        }
        ErrorKind::PermissionDenied => format!(
            "{address} is a port below 1024 that this user may not open; grant CAP_NET_BIND_SERVICE or choose a higher port"
        ),
        _ => format!("{address} cannot be listened on ({error}); choose another"),
    }
}

/// Every socket the configuration asks for, where it says so, and by which key.
fn sockets(loaded: &Loaded) -> Vec<(SocketAddr, Origin, String)> {
    let Config { listeners, http, .. } = &loaded.config;
    let mut sockets: Vec<_> = listeners
        .iter()
        .zip(&loaded.listener_origins)
        .enumerate()
        .map(|(i, (listener, origin))| {
            (listener.address, origin.clone(), format!("listener[{i}].address"))
        })
        .collect();
    sockets.extend(
        http.map(|address| (address, loaded.origin("http.address"), "http.address".to_owned())),
    );
    sockets
}

fn tls_files(loaded: &Loaded, problems: &mut Vec<Problem>) {
    let Some(tls) = &loaded.config.tls else { return };
    for (key, path) in [("tls.cert", &tls.cert), ("tls.key", &tls.key)] {
        if let Err(error) = std::fs::File::open(path) {
            let text = format!(
                "{} cannot be read ({error}); check the path and that this user may read the file",
                path.display()
            );
            problems.push(problem(loaded.origin(key), key, text));
        }
    }
    if let Some(text) = others_may_read(&tls.key) {
        problems.push(problem(loaded.origin("tls.key"), "tls.key", text));
    }
}

/// What to do about a secret file that everybody may read.
pub fn others_may_read(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & OTHERS != 0).then(|| {
        format!(
            "{} is a secret that every user of this machine may read (mode {:04o}); run `chmod 600 {}`",
            path.display(),
            mode & 0o7777,
            path.display()
        )
    })
}

fn log_level(loaded: &Loaded, problems: &mut Vec<Problem>) {
    let level = &loaded.config.log.level;
    if let Err(text) = crate::telemetry::check_filter(level) {
        let text =
            format!("{level:?} is no level and no filter ({text}); write for example \"info\"");
        problems.push(problem(loaded.origin("log.level"), "log.level", text));
    }
}

/// The data folder must be a folder, or a name under one that exists; its keys must be its owner's alone.
fn data_dir(loaded: &Loaded, problems: &mut Vec<Problem>) {
    let dir = &loaded.config.data_dir;
    let origin = || loaded.origin("data_dir");
    match std::fs::metadata(dir) {
        Ok(meta) if !meta.is_dir() => {
            let text = format!("{} is no folder; name one", dir.display());
            problems.push(problem(origin(), "data_dir", text));
        }
        Ok(_) => {
            let Ok(keys) = std::fs::read_dir(dir.join("keys")) else { return };
            for key in keys.filter_map(Result::ok) {
                let told = others_may_read(&key.path());
                problems.extend(told.map(|text| problem(origin(), "data_dir", text)));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            let text =
                format!("{} cannot be opened ({error}); check its permissions", dir.display());
            problems.push(problem(origin(), "data_dir", text));
        }
    }
}

/// This machine's addresses; empty where they cannot be read.
pub fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut own: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    // All of 127.0.0.0/8 is this machine's where any of it is.
    if own.iter().any(IpAddr::is_loopback) {
        own.extend((1..=254).map(|n| IpAddr::from([127, 0, 0, n])));
    }
    own
}

fn problem(origin: Origin, key: &str, text: String) -> Problem {
    Problem { origin, key: key.to_owned(), text }
}
