//! Events as JSON, in the shape of SES's event publishing, with what is ours beside it. Pure.
//!
//! The `mail` object of every event is made from the message's Send event. Where that is gone, what the event itself knows
//! stands there alone. Key names are SES's; `id`, `sequence`, `pool` and the Attempt event are ours.

use serde_json::{Map, Value, json};

use crate::mail::event::{Attempt, Bounce, Delay, Delivery, Send};
use crate::mail::{Event, EventKind, Reply};

use super::term::domain_of;

/// The stable id of an event: message, recipient, number in the log. The same event always has the same one.
pub fn id_of(seq: u64, event: &Event) -> String {
    match event.recipient {
        Some((number, _)) => format!("{}-{number}-{seq}", event.message),
        None => format!("{}-{seq}", event.message),
    }
}

/// A moment as SES writes it: `2026-11-22T23:41:33.000Z`.
pub fn timestamp(unix_ms: u64) -> String {
    let moment =
        i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", moment.unwrap_or(jiff::Timestamp::MAX))
}

/// The event as JSON. `send` is the Send of its message, where it is still known.
pub fn of_event(seq: u64, event: &Event, send: Option<&Send>) -> Value {
    let (key, detail) = detail_of(seq, event);
    let own = match &event.kind {
        EventKind::Send(own) => Some(own),
        EventKind::Attempt(_)
        | EventKind::Delivery(_)
        | EventKind::DeliveryDelay(_)
        | EventKind::Bounce(_)
        | EventKind::Reject { .. }
        | EventKind::Unknown(_) => send,
    };
    json!({
        "eventType": event.kind.word(),
        "id": id_of(seq, event),
        "sequence": seq,
        "timestamp": timestamp(event.at_ms),
        "pool": event.pool,
        "mail": mail_of(event, own),
        key: detail,
    })
}

fn detail_of(seq: u64, event: &Event) -> (&'static str, Value) {
    match &event.kind {
        EventKind::Send(send) => ("send", of_send(send)),
        EventKind::Attempt(attempt) => ("attempt", of_attempt(event, attempt)),
        EventKind::Delivery(delivery) => ("delivery", of_delivery(event, delivery)),
        EventKind::DeliveryDelay(delay) => ("deliveryDelay", of_delay(event, delay)),
        EventKind::Bounce(bounce) => ("bounce", of_bounce(seq, event, bounce)),
        EventKind::Reject { reason } => ("reject", json!({ "reason": reason })),
        EventKind::Unknown(number) => ("unknown", json!({ "kind": number })),
    }
}

/// SES's is an empty object; what ours holds has no place in `mail`.
fn of_send(send: &Send) -> Value {
    json!({ "octets": send.octets, "signatures": send.signatures, "recipients": send.recipients_count })
}

fn of_attempt(event: &Event, attempt: &Attempt) -> Value {
    json!({
        "number": attempt.number,
        "recipient": recipient(event),
        "result": attempt.result,
        "class": attempt.class.map(crate::mail::FailureClass::word),
        "smtpResponse": attempt.reply.as_ref().map(Reply::to_string),
        "exit": attempt.exit,
        "host": attempt.host,
        "address": attempt.address,
        "provider": attempt.provider,
        "tls": attempt.tls,
        "durationMillis": attempt.duration_ms,
        "transcript": attempt.transcript,
    })
}

fn of_delivery(event: &Event, delivery: &Delivery) -> Value {
    json!({
        "timestamp": timestamp(event.at_ms),
        "processingTimeMillis": delivery.processing_ms,
        "recipients": recipients(event),
        "smtpResponse": delivery.reply.as_ref().map(Reply::to_string),
        "reportingMTA": delivery.host,
        "provider": delivery.provider,
        "exit": delivery.exit,
    })
}

fn of_delay(event: &Event, delay: &Delay) -> Value {
    let delayed = with_reply(recipient(event), delay.reply.as_ref());
    json!({
        "timestamp": timestamp(event.at_ms),
        "delayType": delay.delay_type,
        "expirationTime": timestamp(delay.expires_ms),
        "delayedRecipients": [delayed],
        "provider": delay.provider,
    })
}

fn of_bounce(seq: u64, event: &Event, bounce: &Bounce) -> Value {
    let mut bounced = with_reply(recipient(event), bounce.reply.as_ref());
    bounced.insert("action".into(), json!("failed"));
    json!({
        "bounceType": bounce.kind.word(),
        "bounceSubType": bounce.sub_type,
        "bouncedRecipients": [bounced],
        "timestamp": timestamp(event.at_ms),
        "feedbackId": id_of(seq, event),
        "reportingMTA": format!("dns; {}", bounce.host),
        "end": bounce.end.word(),
        "class": bounce.class.map(crate::mail::FailureClass::word),
        "provider": bounce.provider,
        "exit": bounce.exit,
    })
}

/// `status` and `diagnosticCode` as a delivery status notice has them (RFC 3464 §2.3.4, §2.3.6).
fn with_reply(address: &str, reply: Option<&Reply>) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("emailAddress".into(), json!(address));
    if let Some(reply) = reply {
        if let Some(status) = reply.enhanced {
            map.insert("status".into(), json!(status.to_string()));
        }
        let kind = if reply.code == 0 { "x-postrider" } else { "smtp" };
        map.insert("diagnosticCode".into(), json!(format!("{kind}; {reply}")));
    }
    map
}

fn mail_of(event: &Event, send: Option<&Send>) -> Value {
    let mut mail = Map::new();
    mail.insert("timestamp".into(), json!(timestamp(event.message.unix_ms())));
    mail.insert("messageId".into(), json!(event.message.to_string()));
    // The tenant in the twelve digits where SES has its account.
    let account = format!("{:012}", event.tenant);
    mail.insert("sendingAccountId".into(), json!(account));
    let Some(send) = send else {
        mail.insert("destination".into(), json!(recipients(event)));
        return Value::Object(mail);
    };
    let headers = unfold(&send.headers);
    mail.insert("source".into(), json!(send.from));
    let arn = format!("arn:aws:ses:local:{account}:identity/{}", send.identity);
    mail.insert("sourceArn".into(), json!(arn));
    mail.insert("destination".into(), json!(send.recipients));
    mail.insert("headersTruncated".into(), json!(send.headers_truncated));
    mail.insert("commonHeaders".into(), common_headers(event, send, &headers));
    mail.insert("tags".into(), tags_of(event, send));
    mail.insert(
        "headers".into(),
        headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect(),
    );
    Value::Object(mail)
}

fn common_headers(event: &Event, send: &Send, headers: &[(String, String)]) -> Value {
    let first = |name: &str| {
        headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let mut common = Map::new();
    common.insert("returnPath".into(), json!(send.from));
    common.insert("from".into(), json!(first("From").map_or(vec![], |value| vec![value])));
    for (key, name) in [("to", "To"), ("cc", "Cc"), ("replyTo", "Reply-To")] {
        if let Some(value) = first(name) {
            common.insert(key.into(), json!([value]));
        }
    }
    common.insert("messageId".into(), json!(event.message.to_string()));
    for (key, name) in [("date", "Date"), ("subject", "Subject")] {
        if let Some(value) = first(name) {
            common.insert(key.into(), json!(value));
        }
    }
    Value::Object(common)
}

/// Every value of SES's `tags` is a list; its own names begin with `ses:`.
fn tags_of(event: &Event, send: &Send) -> Value {
    let mut tags: Map<String, Value> = Map::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            let list = tags.entry(name).or_insert_with(|| json!([]));
            if let Value::Array(list) = list {
                list.push(json!(value));
            }
        }
    };
    put("ses:configuration-set", &send.config_set);
    put("ses:source-ip", &send.client);
    put("ses:from-domain", domain_of(send.header_from.first().unwrap_or(&send.from)));
    put("ses:caller-identity", &send.credential);
    put("ses:operation", "SendSmtpEmail");
    match &event.kind {
        EventKind::Delivery(Delivery { exit, .. })
        | EventKind::Bounce(Bounce { exit, .. })
        | EventKind::Attempt(Attempt { exit, .. }) => put("ses:outgoing-ip", exit),
        EventKind::Send(_)
        | EventKind::DeliveryDelay(_)
        | EventKind::Reject { .. }
        | EventKind::Unknown(_) => {}
    }
    for (name, value) in &send.tags {
        put(name, value);
    }
    Value::Object(tags)
}

/// Names and unfolded values of a header block (RFC 5322 §2.2.3); octets beyond UTF-8 are replaced.
fn unfold(block: &[u8]) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in String::from_utf8_lossy(block).split("\r\n") {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    headers
}

fn recipient(event: &Event) -> &str {
    event.recipient.as_ref().map_or("", |(_, address)| address)
}

fn recipients(event: &Event) -> Vec<&str> {
    event.recipient.iter().map(|(_, address)| address.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn send() -> Send {
        let EventKind::Send(send) = samples::send(7).kind else { panic!("a Send") };
        send
    }

    #[test]
    fn a_moment_is_written_with_milliseconds() {
        assert_eq!(timestamp(1_501_891_202_012), "2017-08-05T00:00:02.012Z");
        assert_eq!(timestamp(1_501_891_202_000), "2017-08-05T00:00:02.000Z");
        assert_eq!(timestamp(u64::MAX), timestamp(u64::MAX - 1));
    }

    #[test]
    fn a_bounce_has_the_words_of_ses() {
        let event = samples::bounce(7);
        let value = of_event(42, &event, Some(&send()));
        assert_eq!(value["eventType"], "Bounce");
        let bounce = &value["bounce"];
        assert_eq!(bounce["bounceType"], "Permanent");
        assert_eq!(bounce["bounceSubType"], "NoEmail");
        assert_eq!(
            bounce["bouncedRecipients"],
            json!([{
                "emailAddress": "user7@example.net", "action": "failed", "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 no such user",
            }])
        );
        assert_eq!(bounce["feedbackId"], id_of(42, &event));
    }

    #[test]
    fn the_mail_object_of_every_event_comes_from_its_send() {
        let (delivery, sent) = (samples::delivery(7), samples::send(7));
        let mail = of_event(9, &delivery, Some(&send()))["mail"].clone();
        assert_eq!(mail["source"], "ann@example.org");
        assert_eq!(mail["destination"], json!(["user7@example.net"]));
        assert_eq!(mail["commonHeaders"]["subject"], "a b");
        assert_eq!(mail["headers"][2], json!({ "name": "Subject", "value": "a b" }));
        assert_eq!(mail["tags"]["ses:outgoing-ip"], json!(["192.0.2.9"]));
        assert_eq!(mail["tags"]["campaign"], json!(["c7"]));
        assert_eq!(mail["messageId"], delivery.message.to_string());
        let own = of_event(8, &sent, None)["mail"].clone();
        assert_eq!(own["headers"], mail["headers"]);
    }

    #[test]
    fn an_event_without_its_send_still_says_what_it_knows() {
        let value = of_event(9, &samples::delivery(7), None);
        assert_eq!(value["mail"]["destination"], json!(["user7@example.net"]));
        assert_eq!(value["mail"].get("source"), None);
        assert_eq!(value["delivery"]["smtpResponse"], "250 2.0.0 ok");
    }
}
