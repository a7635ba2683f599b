//! Events: what happened to a message, in the words of SES's event publishing.
//!
//! Everything a person sees, every score and every notification is computed from these. An event is written once, in
//! the commit that made it true. Its record's layout is in [`super::event_record`].

use super::id::MessageId;
use super::outcome::FailureClass;
use super::reply::Reply;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// The tenant's number.
    pub tenant: u32,
    /// The message.
    pub message: MessageId,
    /// The recipient it speaks of: number in the envelope and address. `None` speaks of the whole message.
    pub recipient: Option<(u32, String)>,
    /// The configuration set's number; 0 for none.
    pub config_set: u32,
    /// The pool's number.
    pub pool: u16,
    /// What happened.
    pub kind: EventKind,
    /// Fields that a later release wrote, kept as they were.
    pub unknown: Vec<u8>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The message was accepted and is ours to deliver.
    Send(Send),
    /// One try for one recipient.
    Attempt(Attempt),
    /// The next hop took it.
    Delivery(Delivery),
    /// It has waited longer than the set time; written once per recipient.
    DeliveryDelay(Delay),
    /// It will not be delivered.
    Bounce(Bounce),
    /// A message that was accepted on the wire and then not sent at all, such as one of a set whose sending is off.
    Reject {
        /// Why, for people.
        reason: String,
    },
    /// A kind that a later release wrote.
    Unknown(u32),
}

/// What was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Send {
    /// MAIL FROM; empty for the null path.
    pub from: String,
    /// Addresses of header From.
    pub header_from: Vec<String>,
    /// Every recipient's address, in the envelope's order; cut at [`Send::RECIPIENTS_MAX`].
    pub recipients: Vec<String>,
    /// How many there are.
    pub recipients_count: u32,
    /// The header block as it leaves, cut at [`Send::HEADERS_OCTETS_MAX`].
    pub headers: Vec<u8>,
    /// Whether it was cut.
    pub headers_truncated: bool,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// Name of the identity.
    pub identity: String,
    /// Name of the configuration set, empty for none.
    pub config_set: String,
    /// Name of the credential, empty for mail of our own.
    pub credential: String,
    /// The client's address as text; empty for mail of our own.
    pub client: String,
    /// Octets of the message.
    pub octets: u64,
    /// Signatures added, `rsa-sha256 selector` each.
    pub signatures: Vec<String>,
}

impl Send {
    /// Octets of the header block kept with the event.
    pub const HEADERS_OCTETS_MAX: usize = 2048;
    /// Addresses kept with the event; each other event carries its own recipient.
    pub const RECIPIENTS_MAX: usize = 100;
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempt {
    /// Its number for this recipient, from 1.
    pub number: u32,
    /// The source address, as text.
    pub exit: String,
    /// The host that was spoken to, empty when none was found.
    pub host: String,
    /// Its address and port.
    pub address: String,
    /// The mailbox provider's name.
    pub provider: String,
    /// Protocol and cipher, empty for plain text.
    pub tls: String,
    /// From the first command of the transaction (or the dial) to the verdict.
    pub duration_ms: u32,
    /// The SMTP dialogue, lines prefixed `C: ` and `S: `, cut at [`Attempt::TRANSCRIPT_OCTETS_MAX`].
    pub transcript: String,
    /// `delivered`, `deferred` or `bounced`.
    pub result: String,
    /// The class of a failure.
    pub class: Option<FailureClass>,
    /// The verdict's reply.
    pub reply: Option<Reply>,
}

impl Attempt {
    /// Octets of dialogue kept with the event.
    pub const TRANSCRIPT_OCTETS_MAX: usize = 16 * 1024;
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// From acceptance (or the end of a hold) to the reply.
    pub processing_ms: u64,
    /// The last reply.
    pub reply: Option<Reply>,
    /// The host that took it.
    pub host: String,
    /// Its provider.
    pub provider: String,
    /// The source address, as text.
    pub exit: String,
}

/// A delay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delay {
    /// SES's `delayType`, such as `RecipientServerError` or `TransientCommunicationFailure`.
    pub delay_type: String,
    /// The reply that caused it.
    pub reply: Option<Reply>,
    /// When the recipient expires, Unix milliseconds.
    pub expires_ms: u64,
    /// Its provider.
    pub provider: String,
}

/// A bounce: by the receiver, by the operator, by suppression, by age, or because the message was damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounce {
    /// SES's `bounceType`.
    pub kind: BounceType,
    /// SES's `bounceSubType`.
    pub sub_type: String,
    /// How the recipient ended.
    pub end: BounceEnd,
    /// What the failure speaks of, where there was one.
    pub class: Option<FailureClass>,
    /// The reply, the receiver's or ours.
    pub reply: Option<Reply>,
    /// The host that said so; empty for a verdict of ours.
    pub host: String,
    /// Its provider.
    pub provider: String,
    /// The source address, as text; empty for a verdict of ours.
    pub exit: String,
}

/// SES's `bounceType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BounceType {
    /// A hard bounce.
    Permanent,
    /// A soft one.
    Transient,
    /// Nobody can tell.
    Undetermined,
}

/// How a bounced recipient ended: which of the promised ends it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BounceEnd {
    /// The receiver refused.
    Receiver,
    /// The operator gave up on it.
    Operator,
    /// The spool's octets were damaged.
    Damaged,
    /// Its address is suppressed.
    Suppressed,
    /// It grew too old.
    Expired,
}

impl BounceEnd {
    /// All of them, in the order of their numbers.
    pub const ALL: [BounceEnd; 5] = [
        BounceEnd::Receiver,
        BounceEnd::Operator,
        BounceEnd::Damaged,
        BounceEnd::Suppressed,
        BounceEnd::Expired,
    ];

    /// Its word for people.
    pub const fn word(self) -> &'static str {
        match self {
            BounceEnd::Receiver => "bounced",
            BounceEnd::Operator => "bounced by the operator",
            BounceEnd::Damaged => "damaged",
            BounceEnd::Suppressed => "suppressed",
            BounceEnd::Expired => "expired",
        }
    }
}

impl BounceType {
    /// All of them, in the order of their numbers.
    pub const ALL: [BounceType; 3] =
        [BounceType::Permanent, BounceType::Transient, BounceType::Undetermined];

    /// SES's word.
    pub const fn word(self) -> &'static str {
        match self {
            BounceType::Permanent => "Permanent",
            BounceType::Transient => "Transient",
            BounceType::Undetermined => "Undetermined",
        }
    }
}

impl EventKind {
    /// SES's `eventType`; `Attempt` is ours.
    pub const fn word(&self) -> &'static str {
        match self {
            EventKind::Send(_) => "Send",
            EventKind::Attempt(_) => "Attempt",
            EventKind::Delivery(_) => "Delivery",
            EventKind::DeliveryDelay(_) => "DeliveryDelay",
            EventKind::Bounce(_) => "Bounce",
            EventKind::Reject { .. } => "Reject",
            EventKind::Unknown(_) => "Unknown",
        }
    }

    /// Its number in records; never reused.
    pub const fn number(&self) -> u32 {
        match self {
            EventKind::Send(_) => 1,
            EventKind::Attempt(_) => 2,
            EventKind::Delivery(_) => 3,
            EventKind::DeliveryDelay(_) => 4,
            EventKind::Bounce(_) => 5,
            EventKind::Reject { .. } => 6,
            EventKind::Unknown(number) => *number,
        }
    }
}
