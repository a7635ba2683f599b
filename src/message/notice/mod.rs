//! Notices: what became of a recipient, told to the sender (RFC 3464, and RFC 6533 where addresses go beyond ASCII).
//!
//! Pure, from the facts of a message and what was said about one recipient. Answers nothing that came from the null
//! path: a notice is never about a notice (RFC 5321 §4.5.5). Whether one is owed (NOTIFY, feedback forwarding) is the
//! caller's to know.

mod status;
mod text;

use std::fmt::Write as _;

use bytes::Bytes;

use super::date::header_date;
use super::header::Block;
use crate::mail::{Body, Domain, Mailbox, Message, MessageId, Recipient, Reply, Ret};

/// Octets of a body that go back to the sender; a longer one is told by its header block alone.
pub const RETURNED_BODY_OCTETS_MAX: usize = 1024 * 1024;

/// What became of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News<'a> {
    /// It will not be delivered.
    Failed {
        /// What was said, by the other side or by us.
        reply: &'a Reply,
        /// Nobody refused for good: it grew too old.
        expired: bool,
    },
    /// It waits longer than usual.
    Delayed {
        /// What was said last, if it was tried.
        reply: Option<&'a Reply>,
        /// Until when it is tried, Unix milliseconds.
        until_ms: u64,
    },
    /// The next hop took it.
    Delivered {
        /// What was said.
        reply: &'a Reply,
        /// The next hop will not tell more (it does not offer DSN), so this is the last that is known (RFC 3461 §5.2.2).
        relayed: bool,
    },
}

/// The recipient a notice is about, and who said what.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The message.
    pub message: &'a Message,
    /// The recipient's number in its envelope.
    pub recipient: u32,
    /// What became of it.
    pub news: News<'a>,
    /// The host whose reply it was; empty for a verdict of ours.
    pub host: &'a str,
}

/// What the notice itself carries.
#[derive(Debug, Clone, Copy)]
pub struct NoticeStamp<'a> {
    /// Its own id.
    pub id: MessageId,
    /// Our name.
    pub hostname: &'a Domain,
    /// When, Unix milliseconds.
    pub now_ms: u64,
}

/// A notice, ready to be queued from the null path.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Whom it goes to: the sender of the message.
    pub to: Mailbox,
    /// Its header block, with the empty line.
    pub head: Bytes,
    /// Its body.
    pub body: Bytes,
    /// It holds octets beyond ASCII in its body (RFC 6152 §3).
    pub eight_bit: bool,
    /// It holds them in header fields or addresses (RFC 6533 §6).
    pub utf8: bool,
}

/// Builds the notice about one recipient; `None` where the message came from the null path, or has no such recipient.
pub fn build(about: &About<'_>, stamp: &NoticeStamp<'_>) -> Option<Notice> {
    let facts = &about.message.facts;
    let to = facts.envelope.from.mailbox()?;
    let recipient = facts.envelope.recipients.get(about.recipient as usize)?;
    let utf8 = facts.envelope.utf8
        && !(about.message.head.is_ascii()
            && to.as_str().is_ascii()
            && recipient.mailbox.as_str().is_ascii());
    let draft = Draft { about, stamp, recipient, to, utf8 };
    let body = draft.body();
    let eight_bit = !body.is_ascii();
    let head = draft.head(eight_bit);
    Some(Notice { to: to.clone(), head: head.into(), body: body.into(), eight_bit, utf8 })
}

struct Draft<'a> {
    about: &'a About<'a>,
    stamp: &'a NoticeStamp<'a>,
    recipient: &'a Recipient,
    to: &'a Mailbox,
    utf8: bool,
}

impl Draft<'_> {
    /// Cannot occur in what is sent back: the id is younger than it.
    fn boundary(&self) -> String {
        format!("notice-{}", self.stamp.id)
    }

    fn head(&self, eight_bit: bool) -> String {
        let subject = text::subject(&self.about.news);
        let mut head = format!(
            "Date: {}\r\nFrom: Mail Delivery <mailer-daemon@{}>\r\nTo: {}\r\nMessage-ID: <{}@{}>\r\nSubject: {subject}\r\n",
            header_date(self.stamp.now_ms),
            self.stamp.hostname,
            self.to,
            self.stamp.id,
            self.stamp.hostname
        );
        if let Some(id) = self.message_id() {
            let _ = write!(head, "In-Reply-To:\r\n {id}\r\nReferences:\r\n {id}\r\n");
        }
        // RFC 3834 §5: what answers mail by itself stays silent.
        head.push_str("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
        let report = "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=";
        let _ = write!(head, "{report}\"{}\"\r\n", self.boundary());
        if eight_bit {
            head.push_str("Content-Transfer-Encoding: 8bit\r\n");
        }
        head.push_str("\r\n");
        head
    }

    /// The message's own Message-ID, if it is one that can be repeated.
    fn message_id(&self) -> Option<String> {
        let block = Block::parse(&self.about.message.head).ok()?;
        let id = block.first("Message-ID")?.unfolded();
        let plain = id.is_ascii() && id.len() <= 900 && !id.contains(char::is_whitespace);
        (plain && id.starts_with('<') && id.ends_with('>')).then_some(id)
    }

    /// The three parts of RFC 6522 §3: for people, for programs, and what it was.
    fn body(&self) -> Vec<u8> {
        let boundary = self.boundary();
        let human = text::human(self.about, self.recipient, self.utf8);
        let status = status::fields(self.about, self.recipient, self.stamp, self.utf8);
        let kind =
            if self.utf8 { "message/global-delivery-status" } else { "message/delivery-status" };
        let mut out = Vec::with_capacity(4096 + self.about.message.head.len());
        let mut part = |kind: &str, octets: &[&[u8]]| {
            let plain = octets.iter().all(|octets| octets.is_ascii());
            let encoding = if plain { "7bit" } else { "8bit" };
            out.extend_from_slice(
                format!("--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n")
                    .as_bytes(),
            );
            for octets in octets {
                out.extend_from_slice(octets);
            }
            out.extend_from_slice(b"\r\n");
        };
        let charset = if human.is_ascii() { "us-ascii" } else { "utf-8" };
        part(&format!("text/plain; charset={charset}"), &[human.as_bytes()]);
        part(kind, &[status.as_bytes()]);
        if let Some(body) = self.returned_body() {
            let kind = if self.utf8 { "message/global" } else { "message/rfc822" };
            part(kind, &[&self.about.message.head, body]);
        } else {
            let kind = if self.utf8 { "message/global-headers" } else { "text/rfc822-headers" };
            part(kind, &[&self.about.message.head]);
        }
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        out
    }

    /// The whole message goes back only after a failure, and only when that was asked for (RFC 3461 §4.3).
    fn returned_body(&self) -> Option<&[u8]> {
        let failed = matches!(self.about.news, News::Failed { .. });
        match &self.about.message.body {
            Body::Memory(body)
                if failed
                    && self.about.message.facts.envelope.ret == Some(Ret::Full)
                    && body.len() <= RETURNED_BODY_OCTETS_MAX =>
            {
                Some(body)
            }
            Body::Memory(_) | Body::File { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
