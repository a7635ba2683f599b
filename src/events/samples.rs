//! Events for tests: numbered, so that each can be told from the others.

use crate::mail::event::{Attempt, Bounce, BounceEnd, BounceType, Delivery, Send};
use crate::mail::{Event, EventKind, FailureClass, MessageId, Reply};

/// The wall time of event 0.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

pub(crate) fn event(number: u64, recipient: bool, kind: EventKind) -> Event {
    Event {
        at_ms: START_MS + number,
        tenant: 0,
        message: message(number),
        recipient: recipient.then(|| (0, format!("user{number}@example.net"))),
        config_set: u32::try_from(number % 3).unwrap(),
        pool: u16::try_from(number % 5 + 1).unwrap(),
        kind,
        unknown: Vec::new(),
    }
}

pub(crate) fn message(number: u64) -> MessageId {
    MessageId::new(START_MS + number, 1, number)
}

pub(crate) fn send(number: u64) -> Event {
    let send = Send {
        from: "ann@example.org".into(),
        header_from: vec!["ann@example.org".into()],
        recipients: vec![format!("user{number}@example.net")],
        recipients_count: 1,
        headers: b"From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: a\r\n b\r\nMessage-ID: <1@x>\r\nDate: now\r\n\r\n".to_vec(),
        headers_truncated: false,
        tags: vec![("campaign".into(), format!("c{number}"))],
        identity: "example.org".into(),
        config_set: "letters".into(),
        credential: "app".into(),
        client: "192.0.2.1".into(),
        octets: 1000,
        signatures: vec!["rsa-sha256 p1".into()],
    };
    event(number, false, EventKind::Send(send))
}

pub(crate) fn attempt(number: u64) -> Event {
    let attempt = Attempt {
        number: 1,
        exit: "192.0.2.9".into(),
        host: "mx.example.net".into(),
        address: "198.51.100.1:25".into(),
        provider: "example".into(),
        tls: "TLSv1.3".into(),
        duration_ms: 12,
        transcript: format!("C: RCPT TO:<user{number}@example.net>\nS: 250 ok\n"),
        result: "delivered".into(),
        class: None,
        reply: Some(Reply::new(250, "2.0.0 ok")),
    };
    event(number, true, EventKind::Attempt(attempt))
}

pub(crate) fn delivery(number: u64) -> Event {
    let delivery = Delivery {
        processing_ms: 40,
        reply: Some(Reply::new(250, "2.0.0 ok")),
        host: "mx.example.net".into(),
        provider: "example".into(),
        exit: "192.0.2.9".into(),
    };
    event(number, true, EventKind::Delivery(delivery))
}

pub(crate) fn bounce(number: u64) -> Event {
    let bounce = Bounce {
        kind: BounceType::Permanent,
        sub_type: "NoEmail".into(),
        end: BounceEnd::Receiver,
        class: Some(FailureClass::Recipient),
        reply: Some(Reply::new(550, "5.1.1 no such user")),
        host: "mx.example.net".into(),
        provider: "example".into(),
        exit: "192.0.2.9".into(),
    };
    event(number, true, EventKind::Bounce(bounce))
}
