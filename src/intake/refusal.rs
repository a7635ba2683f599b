//! Every way in which the door refuses, and the one reply that each of them is.

use std::fmt;

use crate::mail::domain::Domain;
use crate::mail::{EnhancedStatus, Reply};

/// Why a message, or a part of its envelope, is not accepted. Says what was wrong and what to do; never quotes our insides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// An address of MAIL FROM, header From or Sender is no identity of ours, or not one of this credential.
    Identity {
        /// Where it stood: `MAIL FROM`, `From` or `Sender`.
        place: &'static str,
        /// The address as it was given, already printable.
        address: String,
    },
    /// The recipient's domain is this server's own bounce domain, and the address is none that we gave out.
    OwnDomain(Domain),
    /// More recipients per second than the credential may have.
    Rate {
        /// What it may have.
        per_second: u32,
    },
    /// More recipients in 24 hours than the credential may have.
    Daily {
        /// What it may have.
        per_day: u64,
    },
    /// The credential was switched off or revoked while its session lasted.
    CredentialOff,
    /// A configuration set that does not exist, already printable.
    UnknownSet(String),
    /// A configuration set whose sending is switched off.
    SetOff(String),
    /// A tag that SES's rules do not allow.
    Tag {
        /// Which, already printable.
        tag: String,
        /// Which rule.
        rule: &'static str,
    },
    /// The message is larger than we take.
    MessageLarge {
        /// Octets that we take.
        octets_max: u64,
    },
    /// The message's size times its recipients is more than we take.
    VolumeLarge {
        /// Octets that we take, all recipients together.
        octets_max: u64,
    },
    /// The header block is larger than we take.
    HeaderLarge {
        /// Octets that we take.
        octets_max: usize,
    },
    /// The header block breaks RFC 5322 in a way that we do not repair.
    Header(&'static str),
    /// It passed too many hosts: a loop.
    Loop {
        /// Received fields that we take.
        hops_max: usize,
    },
    /// More recipients than one transaction may have.
    Recipients {
        /// What it may have.
        recipients_max: usize,
    },
    /// The message needs SMTPUTF8 and MAIL did not say so (RFC 6531 §3.4).
    NeedsUtf8,
    /// A hold beyond the bound (RFC 4865 §5).
    HoldLong {
        /// Days that we hold.
        days_max: u64,
    },
    /// Too many recipients or octets are queued.
    QueueFull,
    /// No place in memory came free in time.
    Busy,
    /// The disk has no room above its reserve.
    DiskLow,
    /// The store failed; nothing was accepted.
    StoreFailed,
    /// The identity's key could not sign.
    SigningFailed,
}

impl Refusal {
    /// What the client hears: one reply for each variant.
    pub fn reply(&self) -> Reply {
        let (code, class, subject, detail) = self.numbers();
        Reply {
            code,
            enhanced: Some(EnhancedStatus::new(class, subject, detail)),
            text: self.to_string(),
        }
    }

    /// Whether a later try of the same message may be accepted.
    pub fn is_transient(&self) -> bool {
        self.numbers().1 == 4
    }

    /// RFC 5321 §4.2.3 and RFC 3463 §3.
    fn numbers(&self) -> (u16, u8, u16, u16) {
        match self {
            Refusal::Identity { .. } | Refusal::OwnDomain(_) => (554, 5, 7, 1),
            Refusal::Rate { .. } | Refusal::Daily { .. } => (454, 4, 7, 0),
            Refusal::CredentialOff | Refusal::SetOff(_) => (554, 5, 7, 0),
            Refusal::UnknownSet(_) | Refusal::Tag { .. } | Refusal::Header(_) => (554, 5, 6, 0),
            Refusal::MessageLarge { .. }
            | Refusal::VolumeLarge { .. }
            | Refusal::HeaderLarge { .. } => (552, 5, 3, 4),
            Refusal::Loop { .. } => (554, 5, 4, 6),
            Refusal::Recipients { .. } => (452, 4, 5, 3),
            Refusal::NeedsUtf8 => (554, 5, 6, 9),
            Refusal::HoldLong { .. } => (501, 5, 5, 4),
            Refusal::QueueFull | Refusal::DiskLow => (452, 4, 3, 1),
            Refusal::Busy => (452, 4, 3, 2),
            Refusal::StoreFailed => (421, 4, 3, 0),
            Refusal::SigningFailed => (451, 4, 7, 5),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Identity { place, address } => write!(
                f,
                "Message rejected: {place} address <{address}> is not an identity that this credential may use"
            ),
            Refusal::OwnDomain(domain) => {
                write!(
                    f,
                    "Access denied: {domain} takes only reports to addresses it gave out itself"
                )
            }
            Refusal::Rate { per_second } => write!(
                f,
                "Throttling failure: Maximum sending rate exceeded, this credential may mail {per_second} recipients per second, try again soon"
            ),
            Refusal::Daily { per_day } => write!(
                f,
                "Throttling failure: Daily message quota exceeded, this credential may mail {per_day} recipients in 24 hours"
            ),
            Refusal::CredentialOff => f.write_str("Access denied: this credential is switched off"),
            Refusal::UnknownSet(name) => {
                write!(f, "Configuration set <{name}> does not exist, create it or leave it out")
            }
            Refusal::SetOff(name) => {
                write!(f, "Access denied: sending is switched off for configuration set <{name}>")
            }
            Refusal::Tag { tag, rule } => write!(f, "Message tag <{tag}> is not valid: {rule}"),
            Refusal::MessageLarge { octets_max } => {
                write!(f, "Message is larger than {octets_max} octets")
            }
            Refusal::VolumeLarge { octets_max } => write!(
                f,
                "Size times recipients is over {octets_max} octets, send to fewer recipients at a time"
            ),
            Refusal::HeaderLarge { octets_max } => {
                write!(f, "Header block is larger than {octets_max} octets")
            }
            Refusal::Header(what) => write!(f, "Message header is not valid: {what}"),
            Refusal::Loop { hops_max } => {
                write!(f, "Routing loop: the message has more than {hops_max} Received fields")
            }
            Refusal::Recipients { recipients_max } => write!(
                f,
                "Too many recipients, send the first {recipients_max} and then the rest in another message"
            ),
            Refusal::NeedsUtf8 => {
                f.write_str("Message or address is not ASCII, say SMTPUTF8 with MAIL")
            }
            Refusal::HoldLong { days_max } => {
                write!(f, "Messages are held for {days_max} days at most")
            }
            Refusal::QueueFull => f.write_str("Queue is full, try again later"),
            Refusal::Busy => f.write_str("Too many messages are being received, try again soon"),
            Refusal::DiskLow => f.write_str("Insufficient system storage, try again later"),
            Refusal::StoreFailed => f.write_str("Service not available, closing channel"),
            Refusal::SigningFailed => f.write_str("Message could not be signed, try again later"),
        }
    }
}

impl std::error::Error for Refusal {}
