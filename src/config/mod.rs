//! The bootstrap file: what the process needs to start, and nothing that changes while it runs.
//!
//! TOML with the environment and flags over it. An unknown key, a value without its unit or beyond its bounds is refused
//! with its place and what to do; nothing is guessed. Reading it touches no other file: what the host must grant is
//! looked at by [`check`].

pub mod check;
pub mod default_file;
mod kind;
pub mod problem;
mod reader;
mod sections;
pub mod source;
pub mod units;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::mail::Domain;
use crate::mail::network::Network;
use crate::telemetry::Format;
pub use problem::{ConfigError, Origin, Problem};
pub use reader::Setting;
pub use source::Sources;
pub use units::{Size, Span};

/// All settings of the bootstrap file, read and within their bounds.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name this server greets with and signs its trace fields by (RFC 5321 §4.1.1.1).
    pub hostname: Domain,
    /// The data folder.
    pub data_dir: PathBuf,
    /// What is logged and how.
    pub log: Log,
    /// Where mail is taken; at least one.
    pub listeners: Vec<Listener>,
    /// The certificate of the listeners; `None` makes a self-signed one at the first start.
    pub tls: Option<TlsFiles>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served; `None` serves them on the control socket alone.
    pub http: Option<SocketAddr>,
    /// Bounds of submission.
    pub limits: Limits,
    /// Bounds and sizes of the store.
    pub store: Store,
    /// Retries and ends.
    pub queue: Queue,
    /// How mail leaves.
    pub delivery: Delivery,
    /// Name servers; empty uses the system's.
    pub dns_servers: Vec<SocketAddr>,
    /// Source addresses of the default pool; empty lets the system choose.
    pub egress_addresses: Vec<IpAddr>,
    /// How long events are kept.
    pub events: Events,
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct Log {
    /// A level, or a filter such as `info,postrider::delivery=debug`.
    pub level: String,
    /// In which shape lines are written.
    pub format: Format,
}

/// One `[[listener]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who may speak and how.
    pub mode: Mode,
}

/// What a listener asks of its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Plain at first; AUTH only after STARTTLS (RFC 6409 §4.3, RFC 3207).
    Starttls,
    /// TLS from the first octet (RFC 8314 §3.3).
    Tls,
    /// No AUTH: the named sources submit as the named credential, with all its limits.
    Trusted {
        /// From where; at least one.
        sources: Vec<Network>,
        /// The credential's name.
        credential: String,
    },
}

impl Mode {
    /// Its word in the bootstrap file.
    pub const fn word(&self) -> &'static str {
        match self {
            Mode::Starttls => "starttls",
            Mode::Tls => "tls",
            Mode::Trusted { .. } => "trusted",
        }
    }
}

/// `[tls]`: certificate and key, both in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// Its private key, which others must not be able to read.
    pub key: PathBuf,
}

/// `[limits]`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections of all listeners.
    pub connections: u64,
    /// Connections of one client address.
    pub connections_per_address: u64,
    /// Connections of one credential.
    pub connections_per_credential: u64,
    /// Octets of a message (RFC 1870 §4).
    pub message_size: Size,
    /// Recipients of one transaction (RFC 5321 §4.5.3.1.8).
    pub recipients: u64,
    /// Recipients times octets of one message.
    pub recipients_times_size: Size,
    /// Commands since the last accepted message.
    pub commands: u64,
    /// Commands refused for their form or order since the last message.
    pub errors: u64,
    /// From the first octet of a command to its last.
    pub command_timeout: Span,
    /// From one command to the next (RFC 5321 §4.5.3.2.7).
    pub idle_timeout: Span,
    /// Least rate of message data, in octets a second.
    pub data_rate: Size,
    /// Recipients that may wait in the queue.
    pub queued_recipients: u64,
    /// Octets that may wait in the queue.
    pub queued_size: Size,
}

/// `[store]`.
#[derive(Debug, Clone)]
pub struct Store {
    /// Length of a log segment.
    pub segment_size: Size,
    /// Free disk below which mail is refused with 452; `None` takes the lesser of 1 GiB and 5 % of the disk, at least 1.5
    /// times the message limit.
    pub reserve: Option<Size>,
    /// A file given up when the disk is full, so that outcomes can still be written.
    pub ballast: Size,
    /// Memory of the index's cache.
    pub cache: Size,
    /// Memory for messages between 354 and their commit.
    pub memory: Size,
}

/// `[queue]`.
#[derive(Debug, Clone)]
pub struct Queue {
    /// From the first deferral to the second try.
    pub first_retry: Span,
    /// Longest wait between two tries.
    pub longest_retry: Span,
    /// Age at which a recipient expires (RFC 5321 §4.5.4.1).
    pub max_age: Span,
    /// Age at which its delay is told, once.
    pub delay_warning: Span,
    /// Connections to all destinations.
    pub connections: u64,
    /// Connections to one destination.
    pub connections_per_destination: u64,
}

/// `[delivery]`.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The port of a destination found by MX.
    pub port: u64,
    /// The domain of signed return paths; `None` takes the hostname.
    pub bounce_domain: Option<Domain>,
    /// Whether mail may go to loopback, private and own addresses without a route that names them.
    pub allow_private_destinations: bool,
    /// For a DNS answer.
    pub dns_timeout: Span,
    /// For a connection.
    pub connect_timeout: Span,
    /// For the greeting (RFC 5321 §4.5.3.2.1).
    pub greeting_timeout: Span,
    /// For the reply to a command (RFC 5321 §4.5.3.2.2 and §4.5.3.2.3).
    pub command_timeout: Span,
    /// For each piece of data (RFC 5321 §4.5.3.2.5).
    pub data_timeout: Span,
    /// For the reply to the final dot (RFC 5321 §4.5.3.2.6).
    pub dot_timeout: Span,
    /// How long an idle connection is kept for the next message.
    pub idle_timeout: Span,
    /// Messages of one connection.
    pub messages_per_connection: u64,
}

/// `[events]`.
#[derive(Debug, Clone)]
pub struct Events {
    /// Longest they are kept.
    pub keep_for: Span,
    /// Most disk they take.
    pub keep_size: Size,
}

/// A configuration and the list of its settings with their origins.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Every setting, in the order of the default file.
    pub settings: Vec<Setting>,
    /// Where each of `config.listeners` stands.
    pub listener_origins: Vec<Origin>,
    /// The bootstrap file, if there is one.
    pub path: Option<PathBuf>,
}

impl Loaded {
    /// Where a setting's value came from.
    pub fn origin(&self, key: &str) -> Origin {
        let found = self.settings.iter().find(|setting| setting.key == key);
        found.map_or(Origin::Default, |setting| setting.origin.clone())
    }
}

/// Reads every setting from its sources. All problems are told at once.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut reader = reader::Reader::new(sources);
    let (config, listener_origins) = sections::read(&mut reader);
    let settings = reader.finish(&[sections::LISTENER])?;
    match config {
        Some(config) => {
            Ok(Loaded { config, settings, listener_origins, path: sources.path.clone() })
        }
        // Only a hostname can be wanting, and that is a problem of its own, so this is not reached.
        None => Err(ConfigError { problems: Vec::new() }),
    }
}

/// Every setting with its default, as if nothing had been set.
pub fn defaults() -> Vec<Setting> {
    let sources = Sources::default();
    let mut reader = reader::Reader::new(&sources);
    sections::read(&mut reader);
    reader.settings
}

/// Where the bootstrap file is looked for when nobody names it, in this order.
pub fn usual_places(data_dir: Option<&Path>) -> Vec<PathBuf> {
    let mut places = Vec::new();
    places.extend(data_dir.map(|dir| dir.join("postrider.toml")));
    places.push(PathBuf::from("postrider.toml"));
    places.push(PathBuf::from("/etc/postrider/postrider.toml"));
    places
}

#[cfg(test)]
mod tests;
