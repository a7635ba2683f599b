//! The states of a session. Each carries what it has earned and nothing else, so that mail without an account, or a
//! message without an envelope, cannot be written down.

use std::collections::HashSet;

use crate::mail::{BodyKind, Envelope, Mailbox, Recipient, Reply};

use super::super::chunk::ChunkReader;
use super::super::data::DataReader;
use super::super::limits::Limits;
use super::super::reply;
use super::super::sasl::Exchange;

/// Where a session stands. `Checking…`, `Beginning` and `Accepting` wait for the listener's answer.
pub(super) enum State<A> {
    /// Before EHLO.
    Connected,
    /// After EHLO, without an account.
    Greeted,
    /// Within AUTH: the next line belongs to it.
    Exchange(Exchange),
    /// AUTH is being checked.
    CheckingLogin,
    /// MAIL may come.
    Ready { account: A },
    /// MAIL is being checked.
    CheckingMail { account: A, transaction: Transaction },
    /// RCPT, DATA or BDAT may come.
    Open { account: A, transaction: Transaction },
    /// RCPT is being checked.
    CheckingRecipient { account: A, transaction: Transaction, recipient: Recipient },
    /// DATA or the first BDAT came and a place is being made.
    Beginning { account: A, incoming: Incoming, chunk: Option<ChunkReader> },
    /// After 354.
    Text { account: A, incoming: Incoming, reader: DataReader },
    /// Within a chunk.
    Chunk { account: A, incoming: Incoming, reader: ChunkReader },
    /// Between two chunks.
    Chunks { account: A, incoming: Incoming, reader: ChunkReader },
    /// The message is whole and being made durable.
    Accepting { account: A },
    /// Nothing more is read.
    Closed,
}

impl<A> State<A> {
    pub(super) fn account(&self) -> Option<&A> {
        match self {
            State::Ready { account }
            | State::CheckingMail { account, .. }
            | State::Open { account, .. }
            | State::CheckingRecipient { account, .. }
            | State::Beginning { account, .. }
            | State::Text { account, .. }
            | State::Chunk { account, .. }
            | State::Chunks { account, .. }
            | State::Accepting { account } => Some(account),
            State::Connected
            | State::Greeted
            | State::Exchange(_)
            | State::CheckingLogin
            | State::Closed => None,
        }
    }

    pub(super) fn into_account(self) -> Option<A> {
        match self {
            State::Ready { account }
            | State::CheckingMail { account, .. }
            | State::Open { account, .. }
            | State::CheckingRecipient { account, .. }
            | State::Beginning { account, .. }
            | State::Text { account, .. }
            | State::Chunk { account, .. }
            | State::Chunks { account, .. }
            | State::Accepting { account } => Some(account),
            State::Connected
            | State::Greeted
            | State::Exchange(_)
            | State::CheckingLogin
            | State::Closed => None,
        }
    }

    /// Whether an action was emitted whose answer has not come.
    pub(super) fn waits_for_answer(&self) -> bool {
        matches!(
            self,
            State::CheckingLogin
                | State::CheckingMail { .. }
                | State::CheckingRecipient { .. }
                | State::Beginning { .. }
                | State::Accepting { .. }
        )
    }

    pub(super) fn envelope(&self) -> Option<&Envelope> {
        match self {
            State::CheckingMail { transaction, .. }
            | State::Open { transaction, .. }
            | State::CheckingRecipient { transaction, .. } => Some(&transaction.envelope),
            _ => None,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            State::Connected => "connected",
            State::Greeted => "greeted",
            State::Exchange(_) | State::CheckingLogin => "authenticating",
            State::Ready { .. } => "ready",
            State::CheckingMail { .. } | State::Open { .. } | State::CheckingRecipient { .. } => {
                "envelope"
            }
            State::Beginning { .. }
            | State::Text { .. }
            | State::Chunk { .. }
            | State::Chunks { .. } => "message",
            State::Accepting { .. } => "accepting",
            State::Closed => "closed",
        }
    }
}

/// An open transaction.
pub(super) struct Transaction {
    pub(super) envelope: Envelope,
    /// SIZE=; nought and absence say nothing.
    pub(super) size: Option<u64>,
    /// [`Mailbox::identity`] of every recipient.
    seen: HashSet<String>,
}

impl Transaction {
    pub(super) fn new(envelope: Envelope, size: Option<u64>) -> Transaction {
        Transaction { envelope, size: size.filter(|size| *size > 0), seen: HashSet::new() }
    }

    pub(super) fn holds(&self, mailbox: &Mailbox) -> bool {
        !self.seen.is_empty() && self.seen.contains(&mailbox.identity())
    }

    pub(super) fn add(&mut self, recipient: Recipient) {
        self.seen.insert(recipient.mailbox.identity());
        self.envelope.recipients.push(recipient);
    }
}

/// A message on its way in: what it may be, how much came, and whether it is refused already.
pub(super) struct Incoming {
    pub(super) eight_bit: bool,
    recipients: u64,
    octets: u64,
    refusal: Option<Refused>,
}

/// What is said when a message that must not be accepted has ended.
pub(super) enum Refused {
    /// By the session.
    Text(&'static str),
    /// By the outside.
    Reply(Reply),
}

impl Incoming {
    pub(super) fn new(envelope: &Envelope) -> Incoming {
        Incoming {
            // RFC 6531 §3.6: internationalised mail is 8-bit by nature.
            eight_bit: envelope.utf8 || envelope.body == BodyKind::EightBitMime,
            recipients: envelope.recipients.len() as u64,
            octets: 0,
            refusal: None,
        }
    }

    /// Counts octets that are about to be kept; gives what they exceed.
    pub(super) fn grow(&mut self, octets: u64, limits: &Limits) -> Option<&'static str> {
        self.octets = self.octets.saturating_add(octets);
        if self.octets > limits.message_bytes_max {
            Some(reply::SIZE_EXCEEDED)
        } else if self.octets.saturating_mul(self.recipients) > limits.message_copies_bytes_max {
            Some(reply::COPIES_EXCEEDED)
        } else {
            None
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// The first reason stands.
    pub(super) fn refuse(&mut self, refusal: Refused) {
        self.refusal.get_or_insert(refusal);
    }

    pub(super) fn into_refusal(self) -> Option<Refused> {
        self.refusal
    }
}
