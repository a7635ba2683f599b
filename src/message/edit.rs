//! Turns the header block that came into the one that leaves: takes out what is for us alone, puts in what is missing.
//!
//! Fields of the client that stay are not touched by an octet. What is added stands before them, Received first
//! (RFC 5321 §4.4); what signs it comes before that.

use std::net::IpAddr;

use bytes::Bytes;
use data_encoding::Specification;

use super::date::header_date;
use super::header::{Block, Field};
use crate::mail::{Domain, MessageId};

/// Columns of a folded line without its CRLF (RFC 5322 §2.1.1).
const LINE_COLUMNS_MAX: usize = 78;

/// Fields that never leave: hidden recipients, and the trace that the last host writes (RFC 5321 §4.4). Our own id is
/// taken out because only the one we add can be believed.
const TAKEN: [&str; 4] = ["Bcc", "Resent-Bcc", "Return-Path", "X-Postrider-Id"];

/// What begins the names of fields that are for us alone.
const TAKEN_PREFIX: &str = "X-SES-";

/// What is put into a header block.
#[derive(Debug, Clone)]
pub struct Stamp<'a> {
    /// The message's id.
    pub id: MessageId,
    /// Our name.
    pub hostname: &'a Domain,
    /// When it was accepted, Unix milliseconds.
    pub now_ms: u64,
    /// How it came.
    pub hop: Hop<'a>,
    /// The value of Feedback-ID for a message that has none; see [`feedback_id`].
    pub feedback_id: &'a str,
}

/// How a message came to us.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// The word after `with` (RFC 3848 §2, RFC 6531 §4.3), such as `ESMTPSA`.
    pub with: &'static str,
    /// What the client called itself and where it is; given only where the configuration set shows it.
    pub client: Option<(&'a str, IpAddr)>,
}

impl Hop<'_> {
    /// The word for an extended SMTP session (RFC 3848 §2), with SMTPUTF8 in use or not (RFC 6531 §4.3).
    pub const fn smtp_word(tls: bool, authenticated: bool, utf8: bool) -> &'static str {
        match (utf8, tls, authenticated) {
            (false, false, false) => "ESMTP",
            (false, false, true) => "ESMTPA",
            (false, true, false) => "ESMTPS",
            (false, true, true) => "ESMTPSA",
            (true, false, false) => "UTF8SMTP",
            (true, false, true) => "UTF8SMTPA",
            (true, true, false) => "UTF8SMTPS",
            (true, true, true) => "UTF8SMTPSA",
        }
    }
}

/// The header block that leaves, before it is signed.
#[derive(Debug)]
pub struct Head<'a> {
    added: String,
    /// Ends of the added fields in `added`, with the octets of their names.
    ends: Vec<(usize, usize)>,
    kept: Vec<Field<'a>>,
}

impl<'a> Head<'a> {
    /// Edits a block that was inspected before.
    pub fn new(block: &Block<'a>, stamp: &Stamp<'_>) -> Head<'a> {
        let kept = block.fields().iter().copied().filter(stays).collect();
        let mut head = Head { added: String::with_capacity(512), ends: Vec::new(), kept };
        head.add("Received", &received(stamp));
        head.add("X-Postrider-Id", &format!(" {}", stamp.id));
        if !head.has("Feedback-ID") {
            head.add("Feedback-ID", &format!(" {}", stamp.feedback_id));
        }
        if !head.has("Date") {
            head.add("Date", &format!(" {}", header_date(stamp.now_ms)));
        }
        if !head.has("Message-ID") {
            head.add("Message-ID", &format!(" <{}@{}>", stamp.id, stamp.hostname));
        }
        head
    }

    /// Its fields in order, to be signed.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        let added: Vec<Field<'_>> = starts
            .zip(&self.ends)
            .map(|(start, (end, name))| {
                Field::own(self.added.as_bytes().get(start..*end).unwrap_or_default(), *name)
            })
            .collect();
        added.into_iter().chain(self.kept.iter().copied())
    }

    /// The octets that leave: `signatures`, the fields, the empty line.
    pub fn finish(&self, signatures: &[u8]) -> Bytes {
        let kept: usize = self.kept.iter().map(|field| field.raw().len()).sum();
        let mut out = Vec::with_capacity(signatures.len() + self.added.len() + kept + 2);
        out.extend_from_slice(signatures);
        out.extend_from_slice(self.added.as_bytes());
        self.kept.iter().for_each(|field| out.extend_from_slice(field.raw()));
        out.extend_from_slice(b"\r\n");
        out.into()
    }

    fn has(&self, name: &str) -> bool {
        self.kept.iter().any(|field| field.is(name))
    }

    fn add(&mut self, name: &str, value: &str) {
        self.added.push_str(name);
        self.added.push(':');
        self.added.push_str(value);
        self.added.push_str("\r\n");
        self.ends.push((self.added.len(), name.len()));
    }
}

/// Whether a field of the client's stays. One that we would add and that says nothing is as good as missing.
fn stays(field: &Field<'_>) -> bool {
    let name = field.name();
    let prefix = name.get(..TAKEN_PREFIX.len()).unwrap_or_default();
    let blank = || {
        ["Date", "Message-ID", "Feedback-ID"].iter().any(|name| field.is(name)) && field.is_blank()
    };
    !TAKEN.iter().any(|taken| field.is(taken))
        && !prefix.eq_ignore_ascii_case(TAKEN_PREFIX)
        && !blank()
}

/// The value of Received (RFC 5321 §4.4). Without a client to show there is no `from` clause: an application's host
/// is nobody's business.
fn received(stamp: &Stamp<'_>) -> String {
    let mut clauses = Vec::new();
    if let Some((helo, address)) = stamp.hop.client {
        let helo = if is_plain_helo(helo) { helo } else { "unknown" };
        clauses.push(format!("from {helo} ({})", address_literal(address)));
    }
    clauses.push(format!("by {} (Postrider)", stamp.hostname));
    clauses.push(format!("with {} id {};", stamp.hop.with, stamp.id));
    clauses.push(header_date(stamp.now_ms));
    let mut out = String::new();
    let mut column = "Received:".len();
    for clause in clauses {
        if column + 1 + clause.len() > LINE_COLUMNS_MAX {
            out.push_str("\r\n");
            column = 0;
        }
        out.push(' ');
        out.push_str(&clause);
        column += 1 + clause.len();
    }
    out
}

/// What a client may call itself in a field of ours: nothing that could end a comment or a line.
fn is_plain_helo(helo: &str) -> bool {
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !helo.is_empty() && helo.len() <= 255 && helo.bytes().all(plain)
}

/// RFC 5321 §4.1.3.
fn address_literal(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

/// `configuration set:identity:stream:instance`: the same for all mail of a stream, so that Gmail counts complaints by
/// each of the four. What could be read as a separator becomes `-`; a part that is missing is `none`.
pub fn feedback_id(config_set: &str, identity: &str, stream: &str, instance: &str) -> String {
    let clean = |part: &str| -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
        let text: String = part.chars().map(|c| if plain(c) { c } else { '-' }).take(100).collect();
        if text.is_empty() { "none".to_owned() } else { text }
    };
    [config_set, identity, stream, instance].map(clean).join(":")
}

/// The last part of Feedback-ID: twelve characters that stand for this installation, within the 5 to 15 that Gmail
/// takes, and the same after every start.
pub fn instance_word(hostname: &Domain) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, hostname.as_str().as_bytes());
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    let word =
        spec.encoding().map(|base32| base32.encode(digest.as_ref().get(..5).unwrap_or_default()));
    format!("post{}", word.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(head: &str, client: Option<(&str, IpAddr)>) -> String {
        let hostname = Domain::parse("mail.example.org").unwrap();
        let stamp = Stamp {
            id: MessageId::new(1_700_000_000_000, 1, 2),
            hostname: &hostname,
            now_ms: 1_700_000_000_000,
            hop: Hop { with: Hop::smtp_word(true, true, false), client },
            feedback_id: "a:b:c:d",
        };
        let block = Block::parse(head.as_bytes()).unwrap();
        let head = Head::new(&block, &stamp);
        let octets = head.finish(b"");
        // What is signed is what leaves, field by field.
        let again: Vec<Vec<u8>> = Block::parse(&octets)
            .unwrap()
            .fields()
            .iter()
            .map(|field| field.raw().to_vec())
            .collect();
        let signed: Vec<Vec<u8>> = head.fields().map(|field| field.raw().to_vec()).collect();
        assert_eq!(signed, again);
        String::from_utf8(octets.to_vec()).unwrap()
    }

    #[test]
    fn what_is_missing_is_added_before_what_came() {
        let got = edit("From: a@b.example\r\n\r\n", None);
        let id = MessageId::new(1_700_000_000_000, 1, 2);
        assert_eq!(
            got,
            format!(
                "Received: by mail.example.org (Postrider)\r\n with ESMTPSA id {id}; Tue, 14 Nov 2023 22:13:20 +0000\r\n\
                 X-Postrider-Id: {id}\r\nFeedback-ID: a:b:c:d\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\
                 Message-ID: <{id}@mail.example.org>\r\nFrom: a@b.example\r\n\r\n"
            )
        );
    }

    #[test]
    fn what_the_client_wrote_stays_as_it_was() {
        let own = "From:a@b.example\r\nDATE:  yesterday\r\nmessage-id: <x@y>\r\nFeedback-Id: q\r\nX-Odd:\r\n  z \r\n\r\n";
        let got = edit(own, None);
        assert!(got.ends_with(own), "{got}");
        assert_eq!(got.matches("Message-ID").count(), 0);
        let blank = edit("From: a@b.example\r\nMessage-ID: \t\r\nDate:\r\n\r\n", None);
        assert!(blank.contains("Message-ID: <") && blank.contains("Date: Tue"), "{blank}");
    }

    #[test]
    fn bcc_and_fields_for_us_alone_never_leave() {
        let got = edit(
            "bcc: secret@b.example\r\nBCC:\r\n secret@b.example\r\nResent-Bcc: secret@b.example\r\nReturn-Path: <secret@b.example>\r\n\
             X-Ses-Configuration-Set: secret\r\nX-SES-Anything: secret\r\nX-Postrider-Id: secret\r\nFrom: a@b.example\r\n\r\n",
            None,
        );
        assert!(!got.contains("secret"), "{got}");
    }

    #[test]
    fn the_clients_address_is_shown_only_when_asked() {
        let got = edit("From: a@b.example\r\n\r\n", Some(("app.lan", [192, 0, 2, 1].into())));
        assert!(
            got.starts_with(
                "Received: from app.lan ([192.0.2.1]) by mail.example.org (Postrider)\r\n with"
            ),
            "{got}"
        );
        let v6 = "2001:db8::1".parse().unwrap();
        let odd = edit("From: a@b.example\r\n\r\n", Some(("x)\r\nEvil: y", v6)));
        assert!(odd.starts_with("Received: from unknown ([IPv6:2001:db8::1])"), "{odd}");
        assert!(!odd.contains("Evil"));
    }

    #[test]
    fn a_feedback_id_has_four_parts_whatever_the_names() {
        assert_eq!(
            feedback_id("bulk", "example.org", "normal", "postabc"),
            "bulk:example.org:normal:postabc"
        );
        assert_eq!(feedback_id("", "a:b ü\r\n", "x", "y"), "none:a-b----:x:y");
        let word = instance_word(&Domain::parse("mail.example.org").unwrap());
        assert!((5..=15).contains(&word.len()), "{word}");
        assert_eq!(word, instance_word(&Domain::parse("mail.example.org").unwrap()));
        assert_ne!(word, instance_word(&Domain::parse("mail2.example.org").unwrap()));
    }
}
