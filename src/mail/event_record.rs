//! The layout of an event's record: field numbers, writing, reading.

use super::event::{
    Attempt, Bounce, BounceEnd, BounceType, Delay, Delivery, Event, EventKind, Send,
};
use super::id::MessageId;
use super::outcome::FailureClass;
use super::record::{Field, Reader, RecordError, Writer};
use super::reply::{EnhancedStatus, Reply};

mod field {
    pub(super) const AT: u32 = 1;
    pub(super) const TENANT: u32 = 2;
    pub(super) const MESSAGE: u32 = 3;
    pub(super) const RECIPIENT_NUMBER: u32 = 4;
    pub(super) const RECIPIENT: u32 = 5;
    pub(super) const CONFIG_SET: u32 = 6;
    pub(super) const POOL: u32 = 7;
    pub(super) const KIND: u32 = 8;
    pub(super) const DETAIL: u32 = 9;
}

/// Field numbers inside the detail; one space for all kinds, so that what means the same has one number.
mod detail {
    pub(super) const FROM: u32 = 1;
    pub(super) const HEADER_FROM: u32 = 2;
    pub(super) const RECIPIENT: u32 = 3;
    pub(super) const RECIPIENTS_COUNT: u32 = 4;
    pub(super) const HEADERS: u32 = 5;
    pub(super) const HEADERS_TRUNCATED: u32 = 6;
    pub(super) const TAG_NAME: u32 = 7;
    pub(super) const TAG_VALUE: u32 = 8;
    pub(super) const IDENTITY: u32 = 9;
    pub(super) const CONFIG_SET: u32 = 10;
    pub(super) const CREDENTIAL: u32 = 11;
    pub(super) const CLIENT: u32 = 12;
    pub(super) const OCTETS: u32 = 13;
    pub(super) const SIGNATURE: u32 = 14;
    pub(super) const NUMBER: u32 = 15;
    pub(super) const EXIT: u32 = 16;
    pub(super) const HOST: u32 = 17;
    pub(super) const ADDRESS: u32 = 18;
    pub(super) const PROVIDER: u32 = 19;
    pub(super) const TLS: u32 = 20;
    pub(super) const DURATION_MS: u32 = 21;
    pub(super) const TRANSCRIPT: u32 = 22;
    pub(super) const RESULT: u32 = 23;
    pub(super) const CLASS: u32 = 24;
    pub(super) const REPLY_CODE: u32 = 25;
    pub(super) const REPLY_STATUS: u32 = 26;
    pub(super) const REPLY_TEXT: u32 = 27;
    pub(super) const DELAY_TYPE: u32 = 28;
    pub(super) const EXPIRES: u32 = 29;
    pub(super) const BOUNCE_TYPE: u32 = 30;
    pub(super) const BOUNCE_SUB_TYPE: u32 = 31;
    pub(super) const BOUNCE_END: u32 = 32;
    pub(super) const REASON: u32 = 33;
}

impl Event {
    /// As a record.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.number(field::AT, self.at_ms)
            .number(field::TENANT, u64::from(self.tenant))
            .octets(field::MESSAGE, self.message.octets());
        if let Some((number, address)) = &self.recipient {
            w.number(field::RECIPIENT_NUMBER, u64::from(*number)).octets(field::RECIPIENT, address);
        }
        w.number(field::CONFIG_SET, u64::from(self.config_set))
            .number(field::POOL, u64::from(self.pool))
            .number(field::KIND, u64::from(self.kind.number()))
            .nested(field::DETAIL, |w| encode_kind(&self.kind, w))
            .raw(&self.unknown);
        w.finish()
    }

    /// From a record.
    pub fn decode(octets: &[u8]) -> Result<Event, RecordError> {
        let (mut kind, mut inner, mut number, mut address) = (0u32, &[][..], None, None);
        let mut event = Event {
            at_ms: 0,
            tenant: 0,
            message: MessageId::new(0, 0, 0),
            recipient: None,
            config_set: 0,
            pool: 0,
            kind: EventKind::Unknown(0),
            unknown: Vec::new(),
        };
        let mut reader = Reader::new(octets);
        while let Some(f) = reader.field()? {
            match f.number {
                field::AT => event.at_ms = f.as_number()?,
                field::TENANT => event.tenant = f.as_small()?,
                field::MESSAGE => {
                    event.message =
                        MessageId::from_octets(f.as_octets()?.try_into().map_err(|_| RecordError)?);
                }
                field::RECIPIENT_NUMBER => number = Some(f.as_small()?),
                field::RECIPIENT => address = Some(f.as_text()?.to_owned()),
                field::CONFIG_SET => event.config_set = f.as_small()?,
                field::POOL => event.pool = f.as_small()?,
                field::KIND => kind = f.as_small()?,
                field::DETAIL => inner = f.as_octets()?,
                _ => f.keep(&mut event.unknown),
            }
        }
        event.recipient = number.zip(address);
        event.kind = decode_kind(kind, inner)?;
        Ok(event)
    }
}

fn encode_kind(kind: &EventKind, w: &mut Writer) {
    match kind {
        EventKind::Send(send) => encode_send(send, w),
        EventKind::Attempt(attempt) => encode_attempt(attempt, w),
        EventKind::Delivery(delivery) => {
            w.number(detail::DURATION_MS, delivery.processing_ms)
                .octets(detail::HOST, &delivery.host)
                .octets(detail::PROVIDER, &delivery.provider)
                .octets(detail::EXIT, &delivery.exit);
            encode_reply(delivery.reply.as_ref(), w);
        }
        EventKind::DeliveryDelay(delay) => {
            w.octets(detail::DELAY_TYPE, &delay.delay_type)
                .number(detail::EXPIRES, delay.expires_ms)
                .octets(detail::PROVIDER, &delay.provider);
            encode_reply(delay.reply.as_ref(), w);
        }
        EventKind::Bounce(bounce) => encode_bounce(bounce, w),
        EventKind::Reject { reason } => {
            w.octets(detail::REASON, reason);
        }
        EventKind::Unknown(_) => {}
    }
}

fn encode_send(send: &Send, w: &mut Writer) {
    w.octets(detail::FROM, &send.from);
    for address in &send.header_from {
        w.octets(detail::HEADER_FROM, address);
    }
    for address in send.recipients.iter().take(Send::RECIPIENTS_MAX) {
        w.octets(detail::RECIPIENT, address);
    }
    w.number(detail::RECIPIENTS_COUNT, u64::from(send.recipients_count))
        .octets(detail::HEADERS, &send.headers)
        .number(detail::HEADERS_TRUNCATED, u64::from(send.headers_truncated));
    for (name, value) in &send.tags {
        w.octets(detail::TAG_NAME, name).octets(detail::TAG_VALUE, value);
    }
    w.octets(detail::IDENTITY, &send.identity)
        .octets(detail::CONFIG_SET, &send.config_set)
        .octets(detail::CREDENTIAL, &send.credential)
        .octets(detail::CLIENT, &send.client)
        .number(detail::OCTETS, send.octets);
    for signature in &send.signatures {
        w.octets(detail::SIGNATURE, signature);
    }
}

fn encode_attempt(attempt: &Attempt, w: &mut Writer) {
    w.number(detail::NUMBER, u64::from(attempt.number))
        .octets(detail::EXIT, &attempt.exit)
        .octets(detail::HOST, &attempt.host)
        .octets(detail::ADDRESS, &attempt.address)
        .octets(detail::PROVIDER, &attempt.provider)
        .octets(detail::TLS, &attempt.tls)
        .number(detail::DURATION_MS, u64::from(attempt.duration_ms))
        .octets(detail::TRANSCRIPT, &attempt.transcript)
        .octets(detail::RESULT, &attempt.result);
    encode_class(attempt.class, w);
    encode_reply(attempt.reply.as_ref(), w);
}

fn encode_bounce(bounce: &Bounce, w: &mut Writer) {
    w.number(detail::BOUNCE_TYPE, bounce.kind as u64)
        .octets(detail::BOUNCE_SUB_TYPE, &bounce.sub_type)
        .number(detail::BOUNCE_END, bounce.end as u64)
        .octets(detail::HOST, &bounce.host)
        .octets(detail::PROVIDER, &bounce.provider)
        .octets(detail::EXIT, &bounce.exit);
    encode_class(bounce.class, w);
    encode_reply(bounce.reply.as_ref(), w);
}

fn encode_class(class: Option<FailureClass>, w: &mut Writer) {
    if let Some(class) = class {
        w.number(detail::CLASS, u64::from(class.number()));
    }
}

fn encode_reply(reply: Option<&Reply>, w: &mut Writer) {
    if let Some(reply) = reply {
        w.number(detail::REPLY_CODE, u64::from(reply.code))
            .maybe(detail::REPLY_STATUS, reply.enhanced.map(|status| status.to_string()))
            .octets(detail::REPLY_TEXT, &reply.text);
    }
}

/// Every detail any kind may have, as read; each kind takes what is its own.
#[derive(Default)]
struct Details {
    send: Send,
    attempt: Attempt,
    class: Option<FailureClass>,
    reply: Option<Reply>,
    delay_type: String,
    expires_ms: u64,
    bounce_type: usize,
    bounce_sub_type: String,
    bounce_end: usize,
    reason: String,
    duration_ms: u64,
}

fn decode_kind(kind: u32, octets: &[u8]) -> Result<EventKind, RecordError> {
    let mut d = Details::default();
    let mut reader = Reader::new(octets);
    while let Some(f) = reader.field()? {
        decode_detail(&mut d, f)?;
    }
    let Details { attempt: Attempt { exit, host, provider, .. }, reply, .. } = d;
    Ok(match kind {
        1 => EventKind::Send(d.send),
        2 => EventKind::Attempt(Attempt {
            exit,
            host,
            provider,
            reply,
            class: d.class,
            duration_ms: u32::try_from(d.duration_ms).unwrap_or(u32::MAX),
            number: d.attempt.number,
            address: d.attempt.address,
            tls: d.attempt.tls,
            transcript: d.attempt.transcript,
            result: d.attempt.result,
        }),
        3 => EventKind::Delivery(Delivery {
            processing_ms: d.duration_ms,
            reply,
            host,
            provider,
            exit,
        }),
        4 => EventKind::DeliveryDelay(Delay {
            delay_type: d.delay_type,
            reply,
            expires_ms: d.expires_ms,
            provider,
        }),
        5 => EventKind::Bounce(Bounce {
            kind: *BounceType::ALL.get(d.bounce_type).unwrap_or(&BounceType::Undetermined),
            sub_type: d.bounce_sub_type,
            end: *BounceEnd::ALL.get(d.bounce_end).unwrap_or(&BounceEnd::Receiver),
            class: d.class,
            reply,
            host,
            provider,
            exit,
        }),
        6 => EventKind::Reject { reason: d.reason },
        other => EventKind::Unknown(other),
    })
}

fn decode_detail(d: &mut Details, f: Field<'_>) -> Result<(), RecordError> {
    let text = || f.as_text().map(str::to_owned);
    match f.number {
        detail::EXIT => d.attempt.exit = text()?,
        detail::HOST => d.attempt.host = text()?,
        detail::PROVIDER => d.attempt.provider = text()?,
        detail::NUMBER => d.attempt.number = f.as_small()?,
        detail::ADDRESS => d.attempt.address = text()?,
        detail::TLS => d.attempt.tls = text()?,
        detail::DURATION_MS => d.duration_ms = f.as_number()?,
        detail::TRANSCRIPT => d.attempt.transcript = text()?,
        detail::RESULT => d.attempt.result = text()?,
        detail::CLASS => d.class = Some(FailureClass::of_number(f.as_number()?)),
        detail::REPLY_CODE => reply_of(d).code = f.as_small()?,
        detail::REPLY_STATUS => reply_of(d).enhanced = EnhancedStatus::parse(f.as_text()?),
        detail::REPLY_TEXT => reply_of(d).text = text()?,
        detail::DELAY_TYPE => d.delay_type = text()?,
        detail::EXPIRES => d.expires_ms = f.as_number()?,
        detail::BOUNCE_TYPE => d.bounce_type = f.as_small()?,
        detail::BOUNCE_SUB_TYPE => d.bounce_sub_type = text()?,
        detail::BOUNCE_END => d.bounce_end = f.as_small()?,
        detail::REASON => d.reason = text()?,
        _ => decode_send_detail(&mut d.send, f)?,
    }
    Ok(())
}

fn decode_send_detail(send: &mut Send, f: Field<'_>) -> Result<(), RecordError> {
    let text = || f.as_text().map(str::to_owned);
    match f.number {
        detail::FROM => send.from = text()?,
        detail::HEADER_FROM => send.header_from.push(text()?),
        detail::RECIPIENT => send.recipients.push(text()?),
        detail::RECIPIENTS_COUNT => send.recipients_count = f.as_small()?,
        detail::HEADERS => send.headers = f.as_octets()?.to_vec(),
        detail::HEADERS_TRUNCATED => send.headers_truncated = f.as_number()? != 0,
        detail::TAG_NAME => send.tags.push((text()?, String::new())),
        detail::TAG_VALUE => send.tags.last_mut().ok_or(RecordError)?.1 = text()?,
        detail::IDENTITY => send.identity = text()?,
        detail::CONFIG_SET => send.config_set = text()?,
        detail::CREDENTIAL => send.credential = text()?,
        detail::CLIENT => send.client = text()?,
        detail::OCTETS => send.octets = f.as_number()?,
        detail::SIGNATURE => send.signatures.push(text()?),
        _ => {}
    }
    Ok(())
}

fn reply_of(d: &mut Details) -> &mut Reply {
    d.reply.get_or_insert_with(|| Reply { code: 0, enhanced: None, text: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: EventKind) {
        let event = Event {
            at_ms: 1_700_000_000_123,
            tenant: 1,
            message: MessageId::new(1_700_000_000_000, 2, 3),
            recipient: Some((4, "bob@example.net".into())),
            config_set: 5,
            pool: 6,
            kind,
            unknown: Vec::new(),
        };
        assert_eq!(Event::decode(&event.encode()), Ok(event));
    }

    fn reply() -> Reply {
        Reply::new(550, "5.1.1 no such user")
    }

    #[test]
    fn every_kind_of_event_survives_being_written_and_read() {
        check(EventKind::Send(Send {
            from: "ann@example.org".into(),
            header_from: vec!["ann@example.org".into()],
            recipients: vec!["bob@example.net".into()],
            recipients_count: 1,
            headers: b"From: ann@example.org\r\n".to_vec(),
            headers_truncated: true,
            tags: vec![("a".into(), "b".into()), ("c".into(), String::new())],
            identity: "example.org".into(),
            config_set: "letters".into(),
            credential: "app".into(),
            client: "192.0.2.1".into(),
            octets: 77,
            signatures: vec!["rsa-sha256 p1".into()],
        }));
        check(EventKind::Attempt(Attempt {
            number: 2,
            exit: "192.0.2.9".into(),
            host: "mx.example.net".into(),
            address: "198.51.100.1:25".into(),
            provider: "example.net".into(),
            tls: "TLSv1.3".into(),
            duration_ms: 17,
            transcript: "C: EHLO\nS: 250 ok\n".into(),
            result: "deferred".into(),
            class: Some(FailureClass::Rate),
            reply: Some(reply()),
        }));
        check(EventKind::Delivery(Delivery {
            processing_ms: 9,
            reply: Some(reply()),
            host: "mx".into(),
            provider: "p".into(),
            exit: "e".into(),
        }));
        check(EventKind::DeliveryDelay(Delay {
            delay_type: "RecipientServerError".into(),
            reply: None,
            expires_ms: 12,
            provider: "p".into(),
        }));
        check(EventKind::Bounce(Bounce {
            kind: BounceType::Undetermined,
            sub_type: "General".into(),
            end: BounceEnd::Expired,
            class: None,
            reply: Some(reply()),
            host: String::new(),
            provider: String::new(),
            exit: String::new(),
        }));
        check(EventKind::Reject { reason: "Bad content".into() });
        check(EventKind::Unknown(4711));
    }
}
