//! The verdict of one attempt, as a value.

use std::fmt;

use super::reply::Reply;

/// How one attempt for one recipient ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop took the message and with it the duty (RFC 5321 §4.2.5).
    Delivered(Reply),
    /// Not now: another attempt follows, unless the recipient expires.
    Deferred(Failure),
    /// Never.
    Bounced(Failure),
}

/// Why an attempt did not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was said, by the other side or by us.
    pub reply: Reply,
    /// What kind of failure it is; it decides what follows.
    pub class: FailureClass,
    /// Whether the whole destination failed (no DNS answer, no host reachable, a block), so that one probe speaks for
    /// all its recipients.
    pub whole_destination: bool,
}

/// What a failure speaks of. Only [`FailureClass::Recipient`] may suppress, and only when it bounced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureClass {
    /// The mailbox does not exist or is closed.
    Recipient,
    /// The mailbox is full.
    MailboxFull,
    /// A rule of the receiver: authentication, TLS, size, format.
    Policy,
    /// Our IP or domain is not liked.
    Reputation,
    /// The message's content is not liked.
    Content,
    /// Too much, too fast.
    Rate,
    /// Network, DNS, TLS, or a fault of the receiving host.
    Infrastructure,
}

impl FailureClass {
    /// All of them, in the order of their numbers.
    pub const ALL: [FailureClass; 7] = [
        FailureClass::Recipient,
        FailureClass::MailboxFull,
        FailureClass::Policy,
        FailureClass::Reputation,
        FailureClass::Content,
        FailureClass::Rate,
        FailureClass::Infrastructure,
    ];

    /// Its word, as rules, events and people write it.
    pub const fn word(self) -> &'static str {
        match self {
            FailureClass::Recipient => "recipient",
            FailureClass::MailboxFull => "mailbox-full",
            FailureClass::Policy => "policy",
            FailureClass::Reputation => "reputation",
            FailureClass::Content => "content",
            FailureClass::Rate => "rate",
            FailureClass::Infrastructure => "infrastructure",
        }
    }

    /// The class of a word.
    pub fn of_word(word: &str) -> Option<FailureClass> {
        FailureClass::ALL.into_iter().find(|class| class.word() == word)
    }

    /// Its number in records; never reused.
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The class of a record's number; one from a later release reads as infrastructure, which never suppresses.
    pub fn of_number(number: u64) -> FailureClass {
        FailureClass::ALL
            .into_iter()
            .find(|class| u64::from(class.number()) == number)
            .unwrap_or(FailureClass::Infrastructure)
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
