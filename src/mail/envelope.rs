//! The envelope: what MAIL and RCPT said about a message (RFC 5321 §2.3.1, with the extensions we offer).

use super::mailbox::Mailbox;

/// The reverse path of MAIL: where reports go (RFC 5321 §4.1.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: a notice that must never be answered (RFC 5321 §4.5.5).
    Null,
    /// An address.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// The address, if there is one.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

/// How much of the message a notice carries back (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its header block.
    Headers,
}

/// BODY= of MAIL (RFC 6152 §2, RFC 3030 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyKind {
    /// Seven-bit lines, also when nothing was said.
    #[default]
    SevenBit,
    /// Eight-bit lines.
    EightBitMime,
}

/// When the sender wants a notice about a recipient (RFC 3461 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Notify(u8);

impl Notify {
    /// NOTIFY was not given: as FAILURE, unless the identity's feedback forwarding is off.
    pub const ABSENT: Notify = Notify(0);
    /// NOTIFY=NEVER.
    pub const NEVER: Notify = Notify(1);
    /// NOTIFY=SUCCESS.
    pub const SUCCESS: Notify = Notify(2);
    /// NOTIFY=FAILURE.
    pub const FAILURE: Notify = Notify(4);
    /// NOTIFY=DELAY.
    pub const DELAY: Notify = Notify(8);

    /// Both sets of conditions together.
    #[must_use]
    pub const fn with(self, other: Notify) -> Notify {
        Notify(self.0 | other.0)
    }

    /// Whether every condition of `other` is asked for.
    pub const fn asks(self, other: Notify) -> bool {
        self.0 & other.0 == other.0
    }

    /// As records hold it.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From a record; bits we do not know are dropped.
    pub const fn from_bits(bits: u8) -> Notify {
        Notify(bits & 15)
    }
}

/// One RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The forward path.
    pub mailbox: Mailbox,
    /// NOTIFY= (RFC 3461 §4.1).
    pub notify: Notify,
    /// ORCPT= as it came, `type;xtext` (RFC 3461 §4.2): printable ASCII, at most 500 octets.
    pub original: Option<String>,
}

/// MAIL and its RCPTs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// MAIL FROM.
    pub from: ReversePath,
    /// RCPT TO, in order of arrival, each mailbox once; the place in this list is the recipient's number.
    pub recipients: Vec<Recipient>,
    /// RET= (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// ENVID= as it came, xtext (RFC 3461 §4.4): at most 100 octets.
    pub envid: Option<String>,
    /// BODY=.
    pub body: BodyKind,
    /// SMTPUTF8 was given (RFC 6531 §3.4).
    pub utf8: bool,
    /// HOLDFOR or HOLDUNTIL (RFC 4865 §4), as Unix milliseconds; `None` sends at once.
    pub hold_until_ms: Option<u64>,
}
