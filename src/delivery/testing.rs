//! What the tests of delivery share.

use crate::mail::facts::TlsPolicy;
use crate::mail::{
    BodyKind, Class, Envelope, Facts, Mailbox, MessageId, Notify, Recipient, ReversePath,
};

/// Facts of a plain message to one recipient.
pub(super) fn facts(to: &str) -> Facts {
    Facts {
        id: MessageId::new(1_700_000_000_000, 1, 1),
        tenant: 0,
        credential: 1,
        identity: 1,
        config_set: 0,
        pool: 1,
        class: Class::Normal,
        tls: TlsPolicy::Opportunistic,
        accepted_ms: 1_700_000_000_000,
        expires_ms: 1_700_345_600_000,
        tags: Vec::new(),
        envelope: Envelope {
            from: ReversePath::Mailbox(Mailbox::parse("app@example.org").unwrap()),
            recipients: vec![Recipient {
                mailbox: Mailbox::parse(to).unwrap(),
                notify: Notify::ABSENT,
                original: None,
            }],
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
