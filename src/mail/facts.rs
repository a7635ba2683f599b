//! The facts of a message: all that never changes about it beside its octets.

use super::envelope::{BodyKind, Envelope, Notify, Recipient, Ret, ReversePath};
use super::id::MessageId;
use super::lane::{Class, Lane};
use super::mailbox::Mailbox;
use super::record::{Reader, RecordError, Writer};

/// How much TLS a message demands of the next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum TlsPolicy {
    /// TLS where it is offered, plain otherwise (RFC 7435).
    #[default]
    Opportunistic,
    /// TLS or nothing; the certificate may be any.
    Require,
    /// TLS with a certificate that a public authority gave to the MX's name.
    Verify,
}

impl TlsPolicy {
    /// All of them, weakest first.
    pub const ALL: [TlsPolicy; 3] =
        [TlsPolicy::Opportunistic, TlsPolicy::Require, TlsPolicy::Verify];

    /// Its word in settings and answers.
    pub const fn word(self) -> &'static str {
        match self {
            TlsPolicy::Opportunistic => "opportunistic",
            TlsPolicy::Require => "require",
            TlsPolicy::Verify => "verify",
        }
    }

    /// The policy of a word.
    pub fn of_word(word: &str) -> Option<TlsPolicy> {
        TlsPolicy::ALL.into_iter().find(|policy| policy.word() == word)
    }
}

/// What was decided at acceptance. Written once, in the message's frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its id.
    pub id: MessageId,
    /// The tenant's number; 0 is the owner.
    pub tenant: u32,
    /// The credential's number; 0 for mail of our own (notices, simulators).
    pub credential: u32,
    /// The identity's number; 0 for mail of our own.
    pub identity: u32,
    /// The configuration set's number; 0 for none.
    pub config_set: u32,
    /// The pool's number.
    pub pool: u16,
    /// Its urgency.
    pub class: Class,
    /// Its demand on TLS.
    pub tls: TlsPolicy,
    /// When it was accepted, Unix milliseconds.
    pub accepted_ms: u64,
    /// When its recipients stop being tried, Unix milliseconds.
    pub expires_ms: u64,
    /// Name and value, as SES tags are; at most 50.
    pub tags: Vec<(String, String)>,
    /// What MAIL and RCPT said.
    pub envelope: Envelope,
    /// Whether a failure without NOTIFY makes a notice: the identity's feedback forwarding at acceptance.
    pub feedback_forwarding: bool,
    /// The client's address, for the owner's eyes; never put into the message unless asked.
    pub client: Option<std::net::IpAddr>,
    /// Fields that a later release wrote, kept as they were.
    pub unknown: Vec<u8>,
}

mod field {
    pub(super) const ID: u32 = 1;
    pub(super) const TENANT: u32 = 2;
    pub(super) const CREDENTIAL: u32 = 3;
    pub(super) const IDENTITY: u32 = 4;
    pub(super) const CONFIG_SET: u32 = 5;
    pub(super) const POOL: u32 = 6;
    pub(super) const CLASS: u32 = 7;
    pub(super) const TLS: u32 = 8;
    pub(super) const ACCEPTED: u32 = 9;
    pub(super) const EXPIRES: u32 = 10;
    pub(super) const TAG: u32 = 11;
    pub(super) const FROM: u32 = 12;
    pub(super) const RECIPIENT: u32 = 13;
    pub(super) const RET: u32 = 14;
    pub(super) const ENVID: u32 = 15;
    pub(super) const EIGHT_BIT: u32 = 16;
    pub(super) const UTF8: u32 = 17;
    pub(super) const HOLD_UNTIL: u32 = 18;
    pub(super) const FEEDBACK_FORWARDING: u32 = 19;
    pub(super) const CLIENT: u32 = 20;

    pub(super) mod tag {
        pub(crate) const NAME: u32 = 1;
        pub(crate) const VALUE: u32 = 2;
    }
    pub(super) mod recipient {
        pub(crate) const MAILBOX: u32 = 1;
        pub(crate) const NOTIFY: u32 = 2;
        pub(crate) const ORIGINAL: u32 = 3;
    }
}

impl Facts {
    /// The lane in which a recipient waits; `None` for a number that is no recipient of this message.
    pub fn lane_of(&self, recipient: u32) -> Option<Lane> {
        let recipient = self.envelope.recipients.get(recipient as usize)?;
        Some(Lane {
            pool: self.pool,
            class: self.class,
            tenant: self.tenant,
            domain: Lane::hash_domain(recipient.mailbox.domain().as_str()),
        })
    }

    /// As a record.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.octets(field::ID, self.id.octets())
            .number(field::TENANT, u64::from(self.tenant))
            .number(field::CREDENTIAL, u64::from(self.credential))
            .number(field::IDENTITY, u64::from(self.identity))
            .number(field::CONFIG_SET, u64::from(self.config_set))
            .number(field::POOL, u64::from(self.pool))
            .number(field::CLASS, u64::from(self.class.number()))
            .number(field::TLS, self.tls as u64)
            .number(field::ACCEPTED, self.accepted_ms)
            .number(field::EXPIRES, self.expires_ms)
            .number(field::FEEDBACK_FORWARDING, u64::from(self.feedback_forwarding))
            .maybe(field::CLIENT, self.client.map(|client| client.to_string()));
        for (name, value) in &self.tags {
            w.nested(field::TAG, |w| {
                w.octets(field::tag::NAME, name).octets(field::tag::VALUE, value);
            });
        }
        encode_envelope(&self.envelope, &mut w);
        w.raw(&self.unknown);
        w.finish()
    }

    /// From a record.
    pub fn decode(octets: &[u8]) -> Result<Facts, RecordError> {
        let mut facts = Facts::blank(MessageId::new(0, 0, 0));
        let mut reader = Reader::new(octets);
        while let Some(f) = reader.field()? {
            match f.number {
                field::ID => {
                    facts.id =
                        MessageId::from_octets(f.as_octets()?.try_into().map_err(|_| RecordError)?);
                }
                field::TENANT => facts.tenant = f.as_small()?,
                field::CREDENTIAL => facts.credential = f.as_small()?,
                field::IDENTITY => facts.identity = f.as_small()?,
                field::CONFIG_SET => facts.config_set = f.as_small()?,
                field::POOL => facts.pool = f.as_small()?,
                field::CLASS => facts.class = Class::of_number(f.as_small()?),
                field::TLS => {
                    // A policy we do not know came from a later release: the strictest one is the safe reading.
                    facts.tls =
                        *TlsPolicy::ALL.get(f.as_small::<usize>()?).unwrap_or(&TlsPolicy::Verify);
                }
                field::ACCEPTED => facts.accepted_ms = f.as_number()?,
                field::EXPIRES => facts.expires_ms = f.as_number()?,
                field::FEEDBACK_FORWARDING => facts.feedback_forwarding = f.as_number()? != 0,
                field::CLIENT => facts.client = f.as_text()?.parse().ok(),
                field::TAG => facts.tags.push(decode_tag(f.as_octets()?)?),
                _ => decode_envelope_field(&mut facts, f)?,
            }
        }
        Ok(facts)
    }

    /// A message of which only the id is known: what a record that cannot be read leaves.
    pub fn blank(id: MessageId) -> Facts {
        Facts {
            id,
            tenant: 0,
            credential: 0,
            identity: 0,
            config_set: 0,
            pool: 0,
            class: Class::Normal,
            tls: TlsPolicy::Opportunistic,
            accepted_ms: 0,
            expires_ms: 0,
            tags: Vec::new(),
            envelope: Envelope {
                from: ReversePath::Null,
                recipients: Vec::new(),
                ret: None,
                envid: None,
                body: BodyKind::SevenBit,
                utf8: false,
                hold_until_ms: None,
            },
            feedback_forwarding: false,
            client: None,
            unknown: Vec::new(),
        }
    }
}

fn encode_envelope(envelope: &Envelope, w: &mut Writer) {
    w.maybe(field::FROM, envelope.from.mailbox().map(Mailbox::as_str))
        .maybe(field::ENVID, envelope.envid.as_ref());
    if let Some(ret) = envelope.ret {
        w.number(field::RET, u64::from(ret == Ret::Full));
    }
    if envelope.body == BodyKind::EightBitMime {
        w.number(field::EIGHT_BIT, 1);
    }
    if envelope.utf8 {
        w.number(field::UTF8, 1);
    }
    if let Some(until) = envelope.hold_until_ms {
        w.number(field::HOLD_UNTIL, until);
    }
    for recipient in &envelope.recipients {
        w.nested(field::RECIPIENT, |w| {
            w.octets(field::recipient::MAILBOX, recipient.mailbox.as_str());
            if recipient.notify != Notify::ABSENT {
                w.number(field::recipient::NOTIFY, u64::from(recipient.notify.bits()));
            }
            w.maybe(field::recipient::ORIGINAL, recipient.original.as_ref());
        });
    }
}

fn decode_envelope_field(
    facts: &mut Facts,
    f: super::record::Field<'_>,
) -> Result<(), RecordError> {
    let envelope = &mut facts.envelope;
    match f.number {
        field::FROM => envelope.from = ReversePath::Mailbox(decode_mailbox(f.as_text()?)?),
        field::RECIPIENT => envelope.recipients.push(decode_recipient(f.as_octets()?)?),
        field::RET => {
            envelope.ret = Some(if f.as_number()? == 1 { Ret::Full } else { Ret::Headers });
        }
        field::ENVID => envelope.envid = Some(f.as_text()?.to_owned()),
        field::EIGHT_BIT => envelope.body = BodyKind::EightBitMime,
        field::UTF8 => envelope.utf8 = true,
        field::HOLD_UNTIL => envelope.hold_until_ms = Some(f.as_number()?),
        _ => f.keep(&mut facts.unknown),
    }
    Ok(())
}

fn decode_mailbox(text: &str) -> Result<Mailbox, RecordError> {
    Mailbox::parse(text).map_err(|_| RecordError)
}

fn decode_tag(octets: &[u8]) -> Result<(String, String), RecordError> {
    let (mut name, mut value) = (String::new(), String::new());
    let mut reader = Reader::new(octets);
    while let Some(f) = reader.field()? {
        match f.number {
            field::tag::NAME => f.as_text()?.clone_into(&mut name),
            field::tag::VALUE => f.as_text()?.clone_into(&mut value),
            _ => {}
        }
    }
    Ok((name, value))
}

fn decode_recipient(octets: &[u8]) -> Result<Recipient, RecordError> {
    let (mut mailbox, mut notify, mut original) = (None, Notify::ABSENT, None);
    let mut reader = Reader::new(octets);
    while let Some(f) = reader.field()? {
        match f.number {
            field::recipient::MAILBOX => mailbox = Some(decode_mailbox(f.as_text()?)?),
            field::recipient::NOTIFY => notify = Notify::from_bits(f.as_small()?),
            field::recipient::ORIGINAL => original = Some(f.as_text()?.to_owned()),
            _ => {}
        }
    }
    Ok(Recipient { mailbox: mailbox.ok_or(RecordError)?, notify, original })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            id: MessageId::new(1_700_000_000_000, 7, 42),
            tenant: 3,
            credential: 4,
            identity: 5,
            config_set: 6,
            pool: 7,
            class: Class::Bulk,
            tls: TlsPolicy::Verify,
            accepted_ms: 1_700_000_000_000,
            expires_ms: 1_700_345_600_000,
            tags: vec![("campaign".into(), "spring".into())],
            envelope: Envelope {
                from: ReversePath::Mailbox(Mailbox::parse("ann@example.org").unwrap()),
                recipients: vec![
                    Recipient {
                        mailbox: Mailbox::parse("bob@example.net").unwrap(),
                        notify: Notify::FAILURE.with(Notify::DELAY),
                        original: Some("rfc822;bob@example.net".into()),
                    },
                    Recipient {
                        mailbox: Mailbox::parse("jürgen@example.com").unwrap(),
                        notify: Notify::ABSENT,
                        original: None,
                    },
                ],
                ret: Some(Ret::Headers),
                envid: Some("QQ314159".into()),
                body: BodyKind::EightBitMime,
                utf8: true,
                hold_until_ms: Some(1_700_000_100_000),
            },
            feedback_forwarding: true,
            client: Some([192, 0, 2, 1].into()),
            unknown: Vec::new(),
        }
    }

    #[test]
    fn facts_survive_being_written_and_read() {
        assert_eq!(Facts::decode(&facts().encode()), Ok(facts()));
    }

    #[test]
    fn facts_keep_what_a_later_release_added() {
        let mut octets = facts().encode();
        let mut later = Writer::new();
        later.octets(900, "from the future");
        octets.extend(later.finish());
        assert_eq!(Facts::decode(&octets).unwrap().encode(), octets);
    }
}
