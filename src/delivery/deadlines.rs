//! How long each step of a conversation may take. A step is from its first octet to the last of its answer, so that a
//! trickle cannot hold a connection.

use std::time::Duration;

/// A deadline for every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// A TCP connection to one address.
    pub connect: Duration,
    /// The greeting (RFC 5321 §4.5.3.2.1).
    pub greeting: Duration,
    /// The reply to EHLO, STARTTLS, MAIL, RCPT (RFC 5321 §4.5.3.2.2) and the TLS handshake.
    pub command: Duration,
    /// The reply to DATA (RFC 5321 §4.5.3.2.4).
    pub data: Duration,
    /// Each piece of content taken by the host (RFC 5321 §4.5.3.2.5).
    pub piece: Duration,
    /// The reply to the final dot (RFC 5321 §4.5.3.2.6).
    pub dot: Duration,
    /// The reply to QUIT: nothing depends on it.
    pub quit: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            connect: Duration::from_secs(30),
            greeting: Duration::from_mins(5),
            command: Duration::from_mins(5),
            data: Duration::from_mins(2),
            piece: Duration::from_mins(3),
            dot: Duration::from_mins(10),
            quit: Duration::from_secs(5),
        }
    }
}
