//! `POST /send`: hands a message in at the one door, for `postrider send`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Json;

use crate::access::Credential;
use crate::intake::{Refusal, Sender};
use crate::mail::{BodyKind, Envelope, Mailbox, Notify, Recipient, ReversePath};

use super::error::{ApiError, Code};
use super::extract::PostedLarge;
use super::shapes::{SendMessage, Sent};
use super::suppressions::mailbox;
use super::{AdminState, Answer, State};

/// What goes to the door at a time.
const PIECE_OCTETS: usize = 64 * 1024;

pub(super) async fn send(
    state: State,
    PostedLarge(asked): PostedLarge<SendMessage>,
) -> Answer<Sent> {
    let sender = Arc::new(Sender {
        credential: credential(&state, asked.credential.as_deref())?,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        helo: "localhost".to_owned(),
        protocol: "HTTP",
        tls: None,
    });
    let message = with_crlf(&asked.message);
    let envelope = envelope(&state, &sender, &asked, &message)?;
    let size = Some(message.len() as u64);
    let receiving = state.intake.begin(&sender, envelope, size).await;
    let mut receiving = receiving.map_err(|refusal| refuse(&refusal))?;
    for piece in message.as_bytes().chunks(PIECE_OCTETS) {
        receiving.push(piece).await;
    }
    let id = state.intake.accept(receiving).await.map_err(|refusal| refuse(&refusal))?;
    Ok(Json(Sent { message_id: id.to_string() }))
}

/// MAIL and RCPT, with the same questions at the door as SMTP asks.
fn envelope(
    state: &AdminState,
    sender: &Sender,
    asked: &SendMessage,
    message: &str,
) -> Result<Envelope, ApiError> {
    let from = match asked.from.as_str() {
        "" => ReversePath::Null,
        text => ReversePath::Mailbox(mailbox("from", text)?),
    };
    let refuse = |refusal: Refusal| refuse(&refusal);
    state.intake.mail(sender, &from, Some(message.len() as u64)).map_err(refuse)?;
    let utf8 = from.mailbox().is_some_and(Mailbox::needs_utf8);
    let mut envelope = Envelope {
        from,
        recipients: Vec::new(),
        ret: None,
        envid: None,
        body: if message.is_ascii() { BodyKind::SevenBit } else { BodyKind::EightBitMime },
        utf8,
        hold_until_ms: None,
    };
    for text in &asked.to {
        let to = mailbox("to", text)?;
        envelope.utf8 |= to.needs_utf8();
        state.intake.recipient(sender, &envelope, &to).map_err(refuse)?;
        let known =
            envelope.recipients.iter().any(|other| other.mailbox.identity() == to.identity());
        if !known {
            let recipient = Recipient { mailbox: to, notify: Notify::ABSENT, original: None };
            envelope.recipients.push(recipient);
        }
    }
    if envelope.recipients.is_empty() {
        return Err(ApiError::invalid("to", "there is no recipient"));
    }
    Ok(envelope)
}

/// The named credential, or the only one there is.
fn credential(state: &AdminState, name: Option<&str>) -> Result<Arc<Credential>, ApiError> {
    let list = state.access.list();
    let mut all = list.iter().map(|(credential, _)| credential);
    let found = match name {
        Some(name) => all.find(|credential| credential.name == name || credential.user == name),
        None => all.next().filter(|_| all.next().is_none()),
    };
    found.map(Arc::clone).ok_or_else(|| {
        let names: Vec<&str> = list.iter().map(|(known, _)| known.name.as_str()).collect();
        let hint = if names.is_empty() {
            "make one with `postrider credential create NAME`".to_owned()
        } else {
            format!("name one of {}", names.join(", "))
        };
        let message = name.map_or_else(
            || "which credential is it to be sent with?".to_owned(),
            |name| format!("there is no credential {name:?}"),
        );
        ApiError::invalid("credential", message).hint(hint)
    })
}

/// Lines as SMTP has them (RFC 5321 §2.3.8): people's files end theirs with LF. A lone CR stays, and the door refuses it.
fn with_crlf(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    for line in text.split_inclusive('\n') {
        match line.strip_suffix('\n') {
            Some(line) => {
                out.push_str(line.strip_suffix('\r').unwrap_or(line));
                out.push_str("\r\n");
            }
            None => out.push_str(line),
        }
    }
    if !out.ends_with("\r\n") {
        out.push_str("\r\n");
    }
    out
}

fn refuse(refusal: &Refusal) -> ApiError {
    let code = if refusal.is_transient() { Code::Unavailable } else { Code::Refused };
    ApiError::new(code, refusal.reply().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_file_ends_as_smtp_wants_it() {
        for (text, want) in [
            ("a: b\n\nc\n", "a: b\r\n\r\nc\r\n"),
            ("a: b\r\n\r\nc", "a: b\r\n\r\nc\r\n"),
            ("a\rb\n", "a\rb\r\n"),
            ("", "\r\n"),
        ] {
            assert_eq!(with_crlf(text), want, "for {text:?}");
        }
    }
}
