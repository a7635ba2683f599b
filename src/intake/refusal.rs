//! Every way in which the door refuses, and the one reply that each of them is.

use std::fmt;

use crate::access::OverQuota;
use crate::mail::{EnhancedStatus, Mailbox, Reply};
use crate::message::HeadError;
use crate::store::StoreFailed;
use crate::telemetry::printable;

/// Why a message, or a part of its envelope, is not accepted. Says what was wrong and what to do; never quotes our insides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// An address of MAIL FROM, header From or Sender is no identity of ours, or not one of this credential.
    Identity {
        /// Where it stood: `MAIL FROM`, `From` or `Sender`.
        place: &'static str,
        /// The address.
        address: Mailbox,
    },
    /// The recipient has the form of a return path of ours, and is none that we gave out.
    ForgedReturnPath,
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
    /// A configuration set that does not exist.
    UnknownSet(String),
    /// A configuration set whose sending is switched off.
    SetOff(String),
    /// A configuration set that names a pool that does not exist.
    UnknownPool(String),
    /// The set's default tags and the message's are more than a message may have.
    Tags {
        /// What it may have.
        tags_max: usize,
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
    /// The header block cannot be decided about.
    Head(HeadError),
    /// More recipients than one transaction may have.
    Recipients {
        /// What it may have.
        recipients_max: usize,
    },
    /// An address needs SMTPUTF8 and MAIL did not say so (RFC 6531 §3.4).
    AddressUtf8,
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
        let (code, status) = self.numbers();
        Reply { code, enhanced: Some(status), text: self.to_string() }
    }

    /// Whether a later try of the same message may be accepted.
    pub fn is_transient(&self) -> bool {
        self.numbers().0 < 500
    }

    /// RFC 5321 §4.2.3 and RFC 3463 §3.
    fn numbers(&self) -> (u16, EnhancedStatus) {
        let (code, class, subject, detail) = match self {
            Refusal::Head(error) => return error.reply(),
            Refusal::Identity { .. } | Refusal::ForgedReturnPath => (554, 5, 7, 1),
            Refusal::Rate { .. } | Refusal::Daily { .. } => (454, 4, 7, 0),
            Refusal::CredentialOff | Refusal::SetOff(_) => (554, 5, 7, 0),
            Refusal::UnknownSet(_) | Refusal::UnknownPool(_) | Refusal::Tags { .. } => {
                (554, 5, 6, 0)
            }
            Refusal::MessageLarge { .. } | Refusal::VolumeLarge { .. } => (552, 5, 3, 4),
            // RFC 5321 §4.5.3.1.10: the client sends the rest in another transaction.
            Refusal::Recipients { .. } => (452, 4, 5, 3),
            // RFC 6531 §3.5.
            Refusal::AddressUtf8 => (553, 5, 6, 7),
            Refusal::HoldLong { .. } => (501, 5, 5, 4),
            Refusal::QueueFull | Refusal::DiskLow => (452, 4, 3, 1),
            Refusal::Busy => (452, 4, 3, 2),
            // RFC 5321 §3.8: the process ends, so the channel does.
            Refusal::StoreFailed => (421, 4, 3, 0),
            Refusal::SigningFailed => (451, 4, 7, 5),
        };
        (code, EnhancedStatus::new(class, subject, detail))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Identity { place, address } => write!(
                f,
                "Message rejected: {place} address <{}> is no identity that this credential may use",
                printable(address.as_str())
            ),
            Refusal::ForgedReturnPath => {
                f.write_str("Access denied: this is no return path that this server gave out")
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
            Refusal::UnknownSet(name) => write!(
                f,
                "Configuration set <{}> does not exist, create it or leave it out",
                printable(name)
            ),
            Refusal::SetOff(name) => write!(
                f,
                "Access denied: sending is switched off for configuration set <{}>",
                printable(name)
            ),
            Refusal::UnknownPool(name) => write!(
                f,
                "Configuration set <{}> names a pool that does not exist, change the set",
                printable(name)
            ),
            Refusal::Tags { tags_max } => {
                write!(
                    f,
                    "Message has more than {tags_max} tags with those of its configuration set"
                )
            }
            Refusal::MessageLarge { octets_max } => {
                write!(f, "Message is larger than {octets_max} octets")
            }
            Refusal::VolumeLarge { octets_max } => write!(
                f,
                "Size times recipients is over {octets_max} octets, send to fewer recipients at a time"
            ),
            Refusal::Head(error) => write!(f, "{}", printable(&error.to_string())),
            Refusal::Recipients { recipients_max } => write!(
                f,
                "Too many recipients, send to these {recipients_max} and to the rest in another message"
            ),
            Refusal::AddressUtf8 => f.write_str("Address is not ASCII, give SMTPUTF8 with MAIL"),
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

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Refusal {
        Refusal::Head(error)
    }
}

impl From<OverQuota> for Refusal {
    fn from(over: OverQuota) -> Refusal {
        match over {
            OverQuota::Off => Refusal::CredentialOff,
            OverQuota::Rate { per_second } => Refusal::Rate { per_second },
            OverQuota::Daily { per_day } => Refusal::Daily { per_day },
        }
    }
}

impl From<StoreFailed> for Refusal {
    fn from(error: StoreFailed) -> Refusal {
        tracing::error!("a message was not accepted: {error}");
        Refusal::StoreFailed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(refusal: &Refusal, want: &str) {
        assert_eq!(refusal.reply().to_string(), want);
        assert_eq!(refusal.is_transient(), want.starts_with('4'), "{want}");
    }

    #[test]
    fn a_refusal_says_what_was_wrong_and_what_to_do() {
        check(
            &Refusal::Identity { place: "From", address: Mailbox::parse("a@b.c").unwrap() },
            "554 5.7.1 Message rejected: From address <a@b.c> is no identity that this credential may use",
        );
        check(
            &Refusal::Rate { per_second: 14 },
            "454 4.7.0 Throttling failure: Maximum sending rate exceeded, this credential may mail 14 recipients per second, try again soon",
        );
        check(
            &Refusal::Daily { per_day: 200 },
            "454 4.7.0 Throttling failure: Daily message quota exceeded, this credential may mail 200 recipients in 24 hours",
        );
        check(
            &Refusal::UnknownSet("let\r\nters".into()),
            "554 5.6.0 Configuration set <let\\u{d}\\u{a}ters> does not exist, create it or leave it out",
        );
        check(
            &Refusal::SetOff("letters".into()),
            "554 5.7.0 Access denied: sending is switched off for configuration set <letters>",
        );
        check(
            &Refusal::VolumeLarge { octets_max: 2 << 30 },
            "552 5.3.4 Size times recipients is over 2147483648 octets, send to fewer recipients at a time",
        );
        check(&Refusal::DiskLow, "452 4.3.1 Insufficient system storage, try again later");
        check(&Refusal::QueueFull, "452 4.3.1 Queue is full, try again later");
        check(&Refusal::Busy, "452 4.3.2 Too many messages are being received, try again soon");
        check(&Refusal::StoreFailed, "421 4.3.0 Service not available, closing channel");
        check(
            &Refusal::Head(HeadError::Loop(50)),
            "554 5.4.6 the message has been received 50 times, it runs in circles",
        );
    }
}
