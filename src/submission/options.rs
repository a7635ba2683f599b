//! What a listener is told at its start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::mail::Domain;
use crate::mail::network::Network;
use crate::smtp;

/// All listeners of the process: they share names, limits and caps.
pub struct Options {
    /// Our name in greetings.
    pub host: Domain,
    /// Where to listen, and for whom.
    pub listeners: Vec<ListenerOptions>,
    /// The certificate; without it no listener offers STARTTLS, and none may be of [`Mode::Tls`].
    pub tls: Option<Arc<ServerConfig>>,
    /// Bounds of a session.
    pub limits: smtp::Limits,
    /// Bounds of connections.
    pub caps: CapLimits,
    /// Bounds of time.
    pub deadlines: Deadlines,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Options {
    /// What the bootstrap file says, with its certificate.
    pub fn of(config: &Config, tls: Arc<ServerConfig>, clock: Arc<dyn Clock>) -> Options {
        Options {
            host: config.hostname.clone(),
            listeners: config.listeners.iter().map(ListenerOptions::of).collect(),
            tls: Some(tls),
            limits: limits_of(&config.limits),
            caps: CapLimits {
                connections_max: as_usize(config.limits.connections),
                connections_per_address_max: as_usize(config.limits.connections_per_address),
                connections_per_credential_max: as_usize(config.limits.connections_per_credential),
            },
            deadlines: Deadlines {
                command: config.limits.command_timeout.duration(),
                idle: config.limits.idle_timeout.duration(),
                message_bytes_per_second_min: as_u32(config.limits.data_rate.octets()),
                ..Deadlines::default()
            },
            clock,
        }
    }
}

fn limits_of(limits: &config::Limits) -> smtp::Limits {
    smtp::Limits {
        message_bytes_max: limits.message_size.octets(),
        recipients_max: as_u32(limits.recipients),
        message_copies_bytes_max: limits.recipients_times_size.octets(),
        commands_max: limits.commands,
        errors_max: as_u32(limits.errors),
        ..smtp::Limits::default()
    }
}

/// Bounds of connections and counts fit by the configuration's own bounds; beyond them more is the same as most.
fn as_u32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn as_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// Where; port 0 takes a free one.
    pub address: SocketAddr,
    /// For whom.
    pub mode: Mode,
}

impl ListenerOptions {
    fn of(listener: &config::Listener) -> ListenerOptions {
        let mode = match &listener.mode {
            config::Mode::Starttls => Mode::StartTls,
            config::Mode::Tls => Mode::Tls,
            config::Mode::Trusted { sources, credential } => {
                Mode::Trusted { sources: sources.clone(), credential: credential.clone() }
            }
        };
        ListenerOptions { address: listener.address, mode }
    }
}

/// What a listener asks of its clients.
#[derive(Debug, Clone)]
pub enum Mode {
    /// Plain at first; AUTH only after STARTTLS (RFC 6409 §4.3, RFC 3207).
    StartTls,
    /// TLS from the first octet (RFC 8314 §3.3).
    Tls,
    /// No AUTH: clients of these networks are known as the named credential; others are turned away.
    Trusted {
        /// From where.
        sources: Vec<Network>,
        /// As whom.
        credential: String,
    },
}

/// How many connections may be open at once; past a cap a client hears 421.
#[derive(Debug, Clone)]
pub struct CapLimits {
    /// Of all listeners: bounds memory and file descriptors.
    pub connections_max: usize,
    /// Of one address (an IPv6 /64 counts as one), so that no host takes all places.
    pub connections_per_address_max: usize,
    /// Of one credential.
    pub connections_per_credential_max: usize,
}

impl Default for CapLimits {
    fn default() -> CapLimits {
        CapLimits {
            connections_max: 10_000,
            connections_per_address_max: 100,
            connections_per_credential_max: 500,
        }
    }
}

/// How long a client may take.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// A TLS handshake.
    pub handshake: Duration,
    /// From one command to the next, before an account is known: a stranger's place is short.
    pub idle_before_login: Duration,
    /// From one command to the next; at least five minutes by RFC 5321 §4.5.3.2.7.
    pub idle: Duration,
    /// From the first octet of a command to its last, so that a trickle cannot hold a place.
    pub command: Duration,
    /// What a client may take over its message beside [`Deadlines::message_bytes_per_second_min`].
    pub message_grace: Duration,
    /// Least rate of a message's octets; our own waits do not count against the client.
    pub message_bytes_per_second_min: u32,
    /// To take our replies.
    pub write: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            handshake: Duration::from_secs(30),
            idle_before_login: Duration::from_mins(1),
            idle: Duration::from_mins(5),
            command: Duration::from_secs(30),
            message_grace: Duration::from_mins(1),
            message_bytes_per_second_min: 500,
            write: Duration::from_mins(1),
        }
    }
}
