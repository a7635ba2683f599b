//! Events as people read them: one line for what happened, the signature and the SMTP dialogue below it.

use serde_json::Value;

use super::exit::Failure;
use super::out::{Out, Style};
use crate::telemetry::printable;

/// Room for the word of what happened.
const WORD_WIDTH: usize = 10;
/// What stands before the lines below an event: under its word.
const INDENT: &str = "               ";

/// How much to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Telling {
    /// The message's id on every line; not needed where only one message is told.
    pub(super) id: bool,
    /// The SMTP dialogue of every attempt.
    pub(super) transcript: bool,
}

/// Prints one event, as the admin API shows it.
pub(super) fn tell(out: Out, event: &Value, telling: Telling) -> Result<(), Failure> {
    for line in lines(out, event, telling) {
        out.line(line)?;
    }
    Ok(())
}

fn lines(out: Out, event: &Value, telling: Telling) -> Vec<String> {
    let mut head = Head { out, event, id: telling.id };
    match text(event, "/eventType") {
        "Send" => of_send(&mut head),
        "Attempt" => of_attempt(&mut head, telling.transcript),
        "Delivery" => of_delivery(&head),
        "DeliveryDelay" => vec![head.line("delayed", Style::Warn, &of_delay(event))],
        "Bounce" => {
            let end = text(event, "/bounce/end");
            let word = if end.is_empty() { "bounced" } else { end };
            vec![head.line(word, Style::Bad, &of_bounce(event))]
        }
        "Reject" => vec![head.line("rejected", Style::Bad, text(event, "/reject/reason"))],
        other => vec![head.line(other, Style::Plain, "")],
    }
}

/// The front of an event's first line.
struct Head<'a> {
    out: Out,
    event: &'a Value,
    id: bool,
}

impl Head<'_> {
    fn line(&self, word: &str, style: Style, rest: &str) -> String {
        let time = clock_of(text(self.event, "/timestamp"));
        let mut line = self.out.style(Style::Dim, &printable(time).to_string());
        line.push_str("  ");
        line.push_str(&self.out.style(style, &format!("{word:<WORD_WIDTH$}")));
        if self.id {
            line.push(' ');
            let id = text(self.event, "/mail/messageId");
            line.push_str(&self.out.style(Style::Name, &printable(id).to_string()));
            line.push(' ');
        }
        line.push(' ');
        line.push_str(&printable(rest).to_string());
        line.truncate(line.trim_end().len());
        line
    }

    fn below(&self, style: Style, text: &str) -> String {
        format!("{INDENT}{}", self.out.style(style, &printable(text).to_string()))
    }
}

fn of_send(head: &mut Head<'_>) -> Vec<String> {
    let event = head.event;
    let from = or(text(event, "/mail/source"), "<>");
    let to = listed(event.pointer("/mail/destination"), number(event, "/send/recipients"));
    let octets = number(event, "/send/octets").unwrap_or(0);
    let rest = format!("{from} → {to}, {octets} octets");
    let mut lines = vec![head.line("accepted", Style::Bold, &rest)];
    let subject = text(event, "/mail/commonHeaders/subject");
    if !subject.is_empty() {
        lines.push(head.below(Style::Plain, &format!("subject  {subject}")));
    }
    let signed = strings(event.pointer("/send/signatures"));
    let (style, told) = if signed.is_empty() {
        (Style::Warn, "not signed".to_owned())
    } else {
        (Style::Good, format!("signed   {}", signed.join(", ")))
    };
    lines.push(head.below(style, &told));
    lines
}

fn of_attempt(head: &mut Head<'_>, transcript: bool) -> Vec<String> {
    let event = head.event;
    let part = |name: &str| text(event, &format!("/attempt/{name}"));
    let result = or(part("result"), "attempt");
    let style = match result {
        "delivered" => Style::Good,
        "bounced" => Style::Bad,
        _ => Style::Warn,
    };
    let at: String = [("at", part("host")), ("on", part("address")), ("from", part("exit"))]
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .flat_map(|(word, value)| [" ", word, " ", value])
        .collect();
    let rest = format!(
        "try {} for {}{at}, {}, {} ms",
        number(event, "/attempt/number").unwrap_or(0),
        part("recipient"),
        or(part("tls"), "plain text"),
        number(event, "/attempt/durationMillis").unwrap_or(0),
    );
    let mut lines = vec![head.line("attempt", style, &rest)];
    let reply = part("smtpResponse");
    if !reply.is_empty() && (!transcript || part("transcript").is_empty()) {
        lines.push(head.below(style, reply));
    }
    if transcript {
        lines.extend(part("transcript").lines().map(|line| {
            let style = if line.starts_with("C:") { Style::Plain } else { Style::Dim };
            head.below(style, &format!("│ {line}"))
        }));
    }
    lines
}

fn of_delivery(head: &Head<'_>) -> Vec<String> {
    let event = head.event;
    let rest = format!(
        "{} in {} ms: {}",
        listed(event.pointer("/delivery/recipients"), None),
        number(event, "/delivery/processingTimeMillis").unwrap_or(0),
        text(event, "/delivery/smtpResponse"),
    );
    vec![head.line("delivered", Style::Good, &rest)]
}

fn of_delay(event: &Value) -> String {
    format!(
        "{}, expires {}: {} {}",
        text(event, "/deliveryDelay/delayedRecipients/0/emailAddress"),
        text(event, "/deliveryDelay/expirationTime"),
        text(event, "/deliveryDelay/delayType"),
        text(event, "/deliveryDelay/delayedRecipients/0/diagnosticCode"),
    )
}

fn of_bounce(event: &Value) -> String {
    format!(
        "{} ({}, {}): {}",
        text(event, "/bounce/bouncedRecipients/0/emailAddress"),
        text(event, "/bounce/bounceType"),
        text(event, "/bounce/bounceSubType"),
        text(event, "/bounce/bouncedRecipients/0/diagnosticCode"),
    )
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).collect()
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

/// The first of some addresses and how many more there are.
fn listed(value: Option<&Value>, count: Option<u64>) -> String {
    let addresses = strings(value);
    let count = count.and_then(|n| usize::try_from(n).ok()).unwrap_or(addresses.len());
    match addresses.first() {
        None => "nobody".to_owned(),
        Some(first) if count <= 1 => (*first).to_owned(),
        Some(first) => format!("{first} and {} more", count - 1),
    }
}

/// The time of day of an RFC 3339 text.
fn clock_of(timestamp: &str) -> &str {
    timestamp.split_once('T').map_or(timestamp, |(_, time)| time.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::out::Color;
    use super::*;

    #[track_caller]
    fn check(event: &Value, transcript: bool, want: &[&str]) {
        let out = Out::new(false, Color::Never);
        assert_eq!(lines(out, event, Telling { id: false, transcript }), want);
    }

    #[test]
    fn an_accepted_message_is_told_with_its_signatures() {
        let event = json!({
            "eventType": "Send",
            "timestamp": "2026-11-22T23:41:33.007Z",
            "mail": {
                "source": "ann@example.org",
                "destination": ["bob@example.net"],
                "commonHeaders": { "subject": "Hello\u{1b}[31m" },
            },
            "send": { "octets": 512, "signatures": ["rsa-sha256 a", "ed25519-sha256 b"], "recipients": 3 },
        });
        check(
            &event,
            false,
            &[
                "23:41:33.007  accepted   ann@example.org → bob@example.net and 2 more, 512 octets",
                "               subject  Hello\\u{1b}[31m",
                "               signed   rsa-sha256 a, ed25519-sha256 b",
            ],
        );
    }

    #[test]
    fn an_attempt_is_told_with_its_dialogue() {
        let event = json!({
            "eventType": "Attempt",
            "timestamp": "2026-11-22T23:41:33.007Z",
            "attempt": {
                "number": 1, "recipient": "bob@example.net", "result": "deferred",
                "smtpResponse": "450 4.2.1 later", "exit": "192.0.2.1", "host": "mx.example.net",
                "address": "198.51.100.1:25", "tls": "", "durationMillis": 12,
                "transcript": "S: 220 hi\nC: EHLO a",
            },
        });
        let first = "23:41:33.007  attempt    try 1 for bob@example.net at mx.example.net on 198.51.100.1:25 from 192.0.2.1, plain text, 12 ms";
        check(&event, false, &[first, "               450 4.2.1 later"]);
        check(&event, true, &[first, "               │ S: 220 hi", "               │ C: EHLO a"]);
    }

    #[test]
    fn an_event_of_a_later_release_is_told_by_its_name() {
        let event = json!({ "eventType": "Open", "timestamp": "2026-11-22T23:41:33.007Z" });
        check(&event, false, &["23:41:33.007  Open"]);
    }
}
