//! What one session may cost us. Each limit has a name, a unit and a reason.

use std::time::Duration;

/// The bounds of one session; the listener adds those of time and of connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Octets of one message, announced in SIZE (RFC 1870 §4).
    pub message_bytes_max: u64,
    /// Recipients of one transaction; at least 100 by RFC 5321 §4.5.3.1.8.
    pub recipients_max: u32,
    /// Recipients times octets of one message: what one transaction can make us send.
    pub message_copies_bytes_max: u64,
    /// How far ahead HOLDFOR and HOLDUNTIL may reach (RFC 4865 §3).
    pub hold_max: Duration,
    /// Commands of any kind since the last accepted message.
    pub commands_max: u64,
    /// Commands that bring no mail nearer (NOOP, RSET, HELP, VRFY, EHLO …) since the last accepted message.
    pub idle_commands_max: u32,
    /// Commands refused for their form or order since the last accepted message. A refused RCPT of an authenticated
    /// client does not count: a long list with some bad addresses is ordinary.
    pub errors_max: u32,
    /// Failed AUTH commands of one connection.
    pub auth_failures_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_bytes_max: 40 << 20,
            recipients_max: 1_000,
            message_copies_bytes_max: 2 << 30,
            hold_max: Duration::from_hours(30 * 24),
            commands_max: 100_000,
            idle_commands_max: 100,
            errors_max: 20,
            auth_failures_max: 3,
        }
    }
}

/// Octets of a command line with its CRLF (RFC 5321 §4.5.3.1.4).
pub const COMMAND_OCTETS_MAX: usize = 512;

/// MAIL may be longer by what its parameters need: SIZE 26 (RFC 1870 §3), BODY 17 (RFC 6152 §2), SMTPUTF8 10 (RFC 6531
/// §3.4), RET 9 and ENVID 107 (RFC 3461 §4), HOLDFOR or HOLDUNTIL 34 (RFC 4865 §3), AUTH 500 (RFC 4954 §3).
pub const MAIL_OCTETS_MAX: usize = COMMAND_OCTETS_MAX + 26 + 17 + 10 + 9 + 107 + 34 + 500;

/// RCPT may be longer by NOTIFY 28 and ORCPT 507 (RFC 3461 §4).
pub const RCPT_OCTETS_MAX: usize = COMMAND_OCTETS_MAX + 28 + 507;

/// AUTH and the lines of its exchange: three strings of 255 octets and two NULs in base64, with the mechanism. RFC 4954
/// §4 allows a ceiling that fits the mechanisms offered.
pub const AUTH_OCTETS_MAX: usize = 1_200;

/// The longest of them: the line reader gives up on a line there.
pub const LINE_OCTETS_MAX: usize = 2_048;

/// Octets of a line of message text without its CRLF (RFC 5321 §4.5.3.1.6, RFC 5322 §2.1.1).
pub const TEXT_LINE_OCTETS_MAX: usize = 998;

/// Octets of a path with its brackets (RFC 5321 §4.5.3.1.3).
pub const PATH_OCTETS_MAX: usize = 256;
