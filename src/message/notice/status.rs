//! The part of a notice that programs read: `message/delivery-status` (RFC 3464 §2).

use super::text::{one_line, write_folded};
use super::{About, News, NoticeStamp};
use crate::mail::{EnhancedStatus, Mailbox, Recipient, Reply};
use crate::message::date::header_date;

/// Both groups of fields, with their CRLFs. What was said by others is made one printable line each; `utf8` lets it go
/// beyond ASCII (RFC 6533 §3).
pub(super) fn fields(
    about: &About<'_>,
    recipient: &Recipient,
    stamp: &NoticeStamp<'_>,
    utf8: bool,
) -> String {
    let facts = &about.message.facts;
    let mut out = String::with_capacity(1024);
    let mut field = |name: &str, value: &str| write_folded(&mut out, name, &one_line(value, utf8));
    if let Some(envid) = &facts.envelope.envid {
        field("Original-Envelope-Id", &from_xtext(envid));
    }
    field("Reporting-MTA", &format!("dns; {}", stamp.hostname));
    field("Arrival-Date", &header_date(facts.accepted_ms));
    out.push_str("\r\n");

    let mut field = |name: &str, value: &str| write_folded(&mut out, name, &one_line(value, utf8));
    if let Some(original) = &recipient.original {
        field("Original-Recipient", &original_recipient(original));
    }
    field("Final-Recipient", &typed_address(&recipient.mailbox, utf8));
    let (action, reply) = match about.news {
        News::Failed { reply, .. } => ("failed", Some(reply)),
        News::Delayed { reply, .. } => ("delayed", reply),
        News::Delivered { reply, relayed: true } => ("relayed", Some(reply)),
        News::Delivered { reply, relayed: false } => ("delivered", Some(reply)),
    };
    field("Action", action);
    field("Status", &status(about.news, reply).to_string());
    if !about.host.is_empty() {
        field("Remote-MTA", &format!("dns; {}", about.host));
    }
    if let Some(reply) = reply {
        field("Diagnostic-Code", &diagnostic(reply));
    }
    field("Last-Attempt-Date", &header_date(stamp.now_ms));
    if let News::Delayed { until_ms, .. } = about.news {
        field("Will-Retry-Until", &header_date(until_ms));
    }
    out
}

/// The status code (RFC 3464 §2.3.4): what the other side said, as far as it goes with what became of it.
fn status(news: News<'_>, reply: Option<&Reply>) -> EnhancedStatus {
    let class = match news {
        // RFC 3463 §3.5: the time ran out, and nobody refused for good.
        News::Failed { expired: true, .. } => return EnhancedStatus::new(4, 4, 7),
        News::Failed { expired: false, .. } => 5,
        News::Delayed { .. } => 4,
        News::Delivered { .. } => 2,
    };
    reply
        .and_then(|reply| reply.enhanced)
        .filter(|status| status.class == class)
        .unwrap_or(EnhancedStatus::new(class, 0, 0))
}

/// RFC 3464 §2.3.6. A verdict of ours is no SMTP reply and says so.
fn diagnostic(reply: &Reply) -> String {
    let kind = if reply.code == 0 { "X-Postrider" } else { "smtp" };
    format!("{kind}; {reply}")
}

/// RFC 3464 §2.3.2; beyond ASCII, RFC 6533 §3: as it is where the notice may hold it, else escaped.
fn typed_address(mailbox: &Mailbox, utf8: bool) -> String {
    let text = mailbox.as_str();
    if text.is_ascii() {
        return format!("rfc822; {text}");
    }
    if utf8 { format!("utf-8; {text}") } else { format!("utf-8; {}", escape(text)) }
}

/// `utf-8-addr-xtext` (RFC 6533 §3).
fn escape(text: &str) -> String {
    let escaped = |c: char| match c {
        '\\' | '+' | '=' => format!("\\x{{{:02X}}}", u32::from(c)),
        _ if c.is_ascii_graphic() => c.to_string(),
        _ => format!("\\x{{{:02X}}}", u32::from(c)),
    };
    text.chars().map(escaped).collect()
}

/// ORCPT goes back decoded (RFC 3464 §2.3.1). Its `utf-8` type has an encoding of its own, which stays.
fn original_recipient(original: &str) -> String {
    match original.split_once(';') {
        Some((kind, address)) if kind.eq_ignore_ascii_case("utf-8") => format!("utf-8; {address}"),
        Some((kind, address)) => format!("{kind}; {}", from_xtext(address)),
        None => format!("rfc822; {}", from_xtext(original)),
    }
}

/// Decodes `xtext` (RFC 3461 §4); what is none stays as it is.
fn from_xtext(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((octet, after)) = rest.split_first() {
        let coded = after.split_first_chunk::<2>().and_then(|(pair, after)| {
            let upper = pair.iter().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
            let digits = std::str::from_utf8(pair).ok().filter(|_| upper && *octet == b'+')?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (octet, after) = coded.unwrap_or((*octet, after));
        out.push(octet);
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_decoded_and_what_is_none_stays() {
        let check = |text: &str, want: &str| assert_eq!(from_xtext(text), want, "for {text:?}");
        check("ann+2Bnews@example.org", "ann+news@example.org");
        check("a+2b", "a+2b");
        check("a+", "a+");
        check("+3D+3D", "==");
        check("", "");
    }

    #[test]
    fn addresses_beyond_ascii_are_escaped_for_readers_without_utf8() {
        assert_eq!(escape("jü+a=b@example.org"), "j\\x{FC}\\x{2B}a\\x{3D}b@example.org");
    }

    #[test]
    fn a_status_never_contradicts_what_became_of_the_recipient() {
        let reply = Reply::new(450, "4.2.2 mailbox full");
        let of = |news| status(news, Some(&reply)).to_string();
        assert_eq!(of(News::Failed { reply: &reply, expired: true }), "4.4.7");
        assert_eq!(of(News::Failed { reply: &reply, expired: false }), "5.0.0");
        assert_eq!(of(News::Delayed { reply: Some(&reply), until_ms: 0 }), "4.2.2");
        assert_eq!(of(News::Delivered { reply: &reply, relayed: true }), "2.0.0");
    }
}
