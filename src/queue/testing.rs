//! Messages for the queue's tests.

use std::sync::Arc;

use bytes::Bytes;

use crate::mail::facts::TlsPolicy;
use crate::mail::{
    Body, BodyKind, Class, Envelope, Facts, Mailbox, Message, MessageId, Notify, Recipient,
    ReversePath,
};

pub(super) const FOUR_DAYS_MS: u64 = 4 * 24 * 3600 * 1000;

pub(super) fn facts(unique: u64, accepted_ms: u64, to: &[&str]) -> Facts {
    let recipient = |to: &&str| Recipient {
        mailbox: Mailbox::parse(to).unwrap(),
        notify: Notify::ABSENT,
        original: None,
    };
    Facts {
        id: MessageId::new(accepted_ms, 0, unique),
        tenant: 0,
        credential: 1,
        identity: 1,
        config_set: 0,
        pool: 1,
        class: Class::Normal,
        tls: TlsPolicy::Opportunistic,
        accepted_ms,
        expires_ms: accepted_ms + FOUR_DAYS_MS,
        tags: Vec::new(),
        envelope: Envelope {
            from: ReversePath::Mailbox(Mailbox::parse("ann@example.org").unwrap()),
            recipients: to.iter().map(recipient).collect(),
            ret: None,
            envid: None,
            body: BodyKind::SevenBit,
            utf8: false,
            hold_until_ms: None,
        },
        feedback_forwarding: true,
        client: None,
        unknown: Vec::new(),
    }
}

#[allow(dead_code, reason = "used once the worker is there")]
pub(super) fn message(facts: Facts) -> Arc<Message> {
    Arc::new(Message {
        facts: Arc::new(facts),
        head: Bytes::from_static(b"From: ann@example.org\r\n\r\n"),
        body: Body::Memory(Bytes::from_static(b"hello\r\n")),
    })
}
