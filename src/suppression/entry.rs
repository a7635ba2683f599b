//! One suppressed address: why, since when, because of what.

use std::fmt;

use crate::mail::MessageId;
use crate::mail::record::{Reader, RecordError, Writer};

/// Why an address must not be mailed; SES's words, and two of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its host said that the mailbox does not exist.
    Bounce,
    /// Its owner called our mail spam.
    Complaint,
    /// A person put it here.
    Manual,
    /// Its owner unsubscribed.
    Unsubscribe,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Reason; 4] =
        [Reason::Bounce, Reason::Complaint, Reason::Manual, Reason::Unsubscribe];

    /// Its word in answers and imports.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::Bounce => "BOUNCE",
            Reason::Complaint => "COMPLAINT",
            Reason::Manual => "MANUAL",
            Reason::Unsubscribe => "UNSUBSCRIBE",
        }
    }

    /// SES's `bounceSubType` for a recipient that is not mailed for this reason.
    pub const fn bounce_sub_type(self) -> &'static str {
        "OnAccountSuppressionList"
    }

    /// The reason of a word, in any case.
    pub fn of_word(word: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.word().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is known about a suppressed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Why.
    pub reason: Reason,
    /// Since when, Unix milliseconds.
    pub at_ms: u64,
    /// The message and recipient whose event caused it; `None` where a person did.
    pub source: Option<(MessageId, u32)>,
    /// Fields that a later release wrote, kept as they were.
    pub unknown: Vec<u8>,
}

mod field {
    pub(super) const ADDRESS: u32 = 1;
    pub(super) const REASON: u32 = 2;
    pub(super) const AT: u32 = 3;
    pub(super) const MESSAGE: u32 = 4;
    pub(super) const RECIPIENT: u32 = 5;
}

impl Entry {
    /// An entry of now.
    pub fn new(reason: Reason, at_ms: u64, source: Option<(MessageId, u32)>) -> Entry {
        Entry { reason, at_ms, source, unknown: Vec::new() }
    }

    /// The entry and its address, as a record.
    pub(super) fn encode(&self, address: &str) -> Vec<u8> {
        let mut w = Writer::new();
        w.octets(field::ADDRESS, address)
            .number(field::REASON, self.reason as u64)
            .number(field::AT, self.at_ms);
        if let Some((message, recipient)) = self.source {
            w.octets(field::MESSAGE, message.octets())
                .number(field::RECIPIENT, u64::from(recipient));
        }
        w.raw(&self.unknown);
        w.finish()
    }

    /// The other way. A reason of a later release reads as manual: whoever wrote it meant that nobody mails this address.
    pub(super) fn decode(octets: &[u8]) -> Result<(String, Entry), RecordError> {
        let mut entry = Entry::new(Reason::Manual, 0, None);
        let (mut address, mut message, mut recipient) = (String::new(), None, 0);
        let mut reader = Reader::new(octets);
        while let Some(f) = reader.field()? {
            match f.number {
                field::ADDRESS => f.as_text()?.clone_into(&mut address),
                field::REASON => {
                    let number: usize = f.as_small()?;
                    entry.reason = Reason::ALL.get(number).copied().unwrap_or(Reason::Manual);
                }
                field::AT => entry.at_ms = f.as_number()?,
                field::MESSAGE => {
                    let octets = f.as_octets()?.try_into().map_err(|_| RecordError)?;
                    message = Some(MessageId::from_octets(octets));
                }
                field::RECIPIENT => recipient = f.as_small()?,
                _ => f.keep(&mut entry.unknown),
            }
        }
        entry.source = message.map(|message| (message, recipient));
        Ok((address, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_being_written_and_read() {
        for reason in Reason::ALL {
            for source in [None, Some((MessageId::new(5, 6, 7), 8))] {
                let mut entry = Entry::new(reason, 1_700_000_000_000, source);
                entry.unknown = vec![0xa1, 0x38, 0x01, b'x'];
                let octets = entry.encode("ann@example.org");
                assert_eq!(Entry::decode(&octets), Ok(("ann@example.org".to_owned(), entry)));
            }
            assert_eq!(Reason::of_word(&reason.word().to_lowercase()), Some(reason));
        }
        assert_eq!(Reason::of_word("SPITE"), None);
    }
}
