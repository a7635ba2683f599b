//! Writes the commands of one transaction, from checked types only, and refuses what the next hop cannot take. Pure.

use std::fmt::Write as _;

use super::capabilities::Capabilities;
use crate::mail::{
    BodyKind, EnhancedStatus, Failure, FailureClass, Message, Notify, Recipient, Reply, Ret,
    ReversePath,
};

/// One transaction as asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transaction<'a> {
    /// The message.
    pub message: &'a Message,
    /// Whose turn it is.
    pub recipient: &'a Recipient,
    /// The signed return path, or the null one.
    pub from: &'a ReversePath,
    /// Whether the content holds octets above 127; asked only where it matters.
    pub eight_bit: bool,
}

/// Commands ready to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Commands {
    /// `MAIL FROM:<…> …` with its line end.
    pub mail: String,
    /// `RCPT TO:<…> …` with its line end.
    pub rcpt: String,
    /// Whether DSN parameters were owed and went along (RFC 3461 §5.2.1).
    pub dsn_passed_on: bool,
}

/// The commands for a host of these capabilities, or why it cannot take the message.
pub(super) fn compose(of: &Transaction<'_>, offered: &Capabilities) -> Result<Commands, Failure> {
    let utf8 = needs_utf8(of);
    if utf8 && !offered.utf8 {
        return Err(no_utf8(of));
    }
    if let Some(max) = offered.message_octets_max
        && of.message.len() > max
    {
        let text = format!("the message has {} octets, the next hop takes {max}", of.message.len());
        return Err(refusal(EnhancedStatus::new(5, 3, 4), &text));
    }
    // RFC 6152 §3: 8-bit content must not go to a host that does not offer 8BITMIME. It is not converted either: that
    // would break its signatures.
    if of.eight_bit && !offered.eight_bit {
        let text = "the message has 8-bit content, the next hop does not offer 8BITMIME";
        return Err(refusal(EnhancedStatus::new(5, 6, 3), text));
    }
    Ok(Commands {
        mail: mail(of, offered, utf8),
        rcpt: rcpt(of, offered),
        dsn_passed_on: offered.dsn,
    })
}

/// Whether the next hop must offer 8BITMIME to be asked at all: only then is the content searched.
pub(super) fn must_search_content(message: &Message, offered: &Capabilities) -> bool {
    message.facts.envelope.body == BodyKind::EightBitMime && !offered.eight_bit
}

/// RFC 6531 §3.2: a path or a header beyond ASCII makes SMTPUTF8 necessary; having been submitted with it does not.
fn needs_utf8(of: &Transaction<'_>) -> bool {
    let from = of.from.mailbox().is_some_and(crate::mail::Mailbox::needs_utf8);
    let header = of.message.facts.envelope.utf8 && !of.message.head.is_ascii();
    from || of.recipient.mailbox.needs_utf8() || header
}

/// RFC 6531 §4.1 (RFC 5248): 5.6.7 for addresses, 5.6.9 for headers.
fn no_utf8(of: &Transaction<'_>) -> Failure {
    let addresses = of.recipient.mailbox.needs_utf8()
        || of.from.mailbox().is_some_and(crate::mail::Mailbox::needs_utf8);
    let (detail, what) = if addresses { (7, "the address") } else { (9, "the header") };
    let text = format!("{what} is in UTF-8, the next hop does not offer SMTPUTF8");
    refusal(EnhancedStatus::new(5, 6, detail), &text)
}

/// A refusal of ours: a rule of the receiver's host, which never suppresses.
fn refusal(status: EnhancedStatus, text: &str) -> Failure {
    Failure {
        reply: Reply::local(status, text),
        class: FailureClass::Policy,
        whole_destination: false,
    }
}

fn mail(of: &Transaction<'_>, offered: &Capabilities, utf8: bool) -> String {
    let envelope = &of.message.facts.envelope;
    let path = of.from.mailbox().map_or("", |from| from.as_str());
    let mut line = String::with_capacity(path.len() + 96);
    line.push_str("MAIL FROM:<");
    line.push_str(path);
    line.push('>');
    if offered.size {
        // Writing to a string cannot fail.
        let _ = write!(line, " SIZE={}", of.message.len());
    }
    if offered.eight_bit && envelope.body == BodyKind::EightBitMime {
        line.push_str(" BODY=8BITMIME");
    }
    if utf8 {
        line.push_str(" SMTPUTF8");
    }
    if offered.dsn {
        match envelope.ret {
            Some(Ret::Full) => line.push_str(" RET=FULL"),
            Some(Ret::Headers) => line.push_str(" RET=HDRS"),
            None => {}
        }
        parameter(&mut line, " ENVID=", envelope.envid.as_deref());
    }
    line.push_str("\r\n");
    line
}

fn rcpt(of: &Transaction<'_>, offered: &Capabilities) -> String {
    let path = of.recipient.mailbox.as_str();
    let mut line = String::with_capacity(path.len() + 96);
    line.push_str("RCPT TO:<");
    line.push_str(path);
    line.push('>');
    if offered.dsn {
        notify(&mut line, of.recipient.notify);
        parameter(&mut line, " ORCPT=", of.recipient.original.as_deref());
    }
    line.push_str("\r\n");
    line
}

/// RFC 3461 §4.1.
fn notify(line: &mut String, notify: Notify) {
    if notify == Notify::ABSENT {
        return;
    }
    let words: Vec<&str> = [
        (Notify::NEVER, "NEVER"),
        (Notify::SUCCESS, "SUCCESS"),
        (Notify::FAILURE, "FAILURE"),
        (Notify::DELAY, "DELAY"),
    ]
    .into_iter()
    .filter(|(condition, _)| notify.asks(*condition))
    .map(|(_, word)| word)
    .collect();
    line.push_str(" NOTIFY=");
    line.push_str(&words.join(","));
}

/// xtext as it came; what is not printable ASCII was refused when it came, and is left out should it be here.
fn parameter(line: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| value.bytes().all(|b| b.is_ascii_graphic())) {
        line.push_str(name);
        line.push_str(value);
    }
}

#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;
