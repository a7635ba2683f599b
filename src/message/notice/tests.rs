//! Notices, read back the way their readers do.

use std::sync::Arc;

use super::*;
use crate::mail::{BodyKind, Class, Envelope, Facts, Notify, ReversePath, facts::TlsPolicy};

fn message(from: &str, to: &str, utf8: bool) -> Message {
    let mailbox = |text| Mailbox::parse(text).unwrap();
    let from =
        if from.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(mailbox(from)) };
    let original = Some("rfc822;bob+2Bx@example.net".to_owned());
    let facts = Facts {
        id: MessageId::new(1, 1, 1),
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
            from,
            recipients: vec![Recipient { mailbox: mailbox(to), notify: Notify::ABSENT, original }],
            ret: Some(Ret::Full),
            envid: Some("QQ+2B3".into()),
            body: BodyKind::SevenBit,
            utf8,
            hold_until_ms: None,
        },
        feedback_forwarding: true,
        client: None,
        unknown: Vec::new(),
    };
    let subject = if utf8 { "für dich" } else { "for you" };
    let head = format!(
        "From: ann@example.org\r\nMessage-ID: <m1@example.org>\r\nSubject: {subject}\r\n\r\n"
    );
    Message {
        facts: Arc::new(facts),
        head: head.into(),
        body: Body::Memory(Bytes::from_static(b"Hello\r\n")),
    }
}

fn notice(message: &Message, news: News<'_>) -> Option<(Notice, String)> {
    let hostname = Domain::parse("mail.example.org").unwrap();
    let stamp =
        NoticeStamp { id: MessageId::new(2, 2, 2), hostname: &hostname, now_ms: 1_700_000_060_000 };
    let about = About { message, recipient: 0, news, host: "mx.example.net" };
    let notice = build(&about, &stamp)?;
    let text = String::from_utf8([&notice.head[..], &notice.body[..]].concat()).unwrap();
    Some((notice, text))
}

fn refused() -> Reply {
    Reply::new(
        550,
        "5.1.1 no such\r\nuser \u{202e}here, and a text that goes on for long enough to need a second line of its own",
    )
}

#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn a_failure_is_told_to_the_sender_with_all_that_programs_ask_for() {
    let message = message("ann@example.org", "bob@example.net", false);
    let reply = refused();
    let (notice, text) = notice(&message, News::Failed { reply: &reply, expired: false }).unwrap();
    assert_eq!(notice.to.as_str(), "ann@example.org");
    assert!(!notice.eight_bit && !notice.utf8 && text.is_ascii());
    holds(
        &text,
        &[
            "To: ann@example.org\r\n",
            "Auto-Submitted: auto-replied\r\n",
            "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=",
            "References:\r\n <m1@example.org>\r\n",
            "Content-Type: message/delivery-status\r\n",
            "\r\nOriginal-Envelope-Id: QQ+3\r\n",
            "\r\nReporting-MTA: dns; mail.example.org\r\n",
            "\r\n\r\nOriginal-Recipient: rfc822; bob+x@example.net\r\n",
            "\r\nFinal-Recipient: rfc822; bob@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n",
            "\r\nRemote-MTA: dns; mx.example.net\r\n",
            "\r\nDiagnostic-Code: smtp; 550 5.1.1 no such??user ?here, and a text that goes on\r\n for",
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nFrom: ann@example.org\r\n",
            "\r\n\r\nHello\r\n\r\n--notice-",
        ],
    );
    assert!(text.lines().all(|line| line.len() <= 78), "{text}");
    assert_eq!(text.matches("--notice-").count(), 4);
}

#[test]
fn an_expired_recipient_and_a_delay_say_until_when() {
    let message = message("ann@example.org", "bob@example.net", false);
    let reply = Reply::local(crate::mail::EnhancedStatus::new(4, 4, 1), "connection refused");
    let (_, text) = notice(&message, News::Failed { reply: &reply, expired: true }).unwrap();
    holds(
        &text,
        &["Status: 4.4.7\r\n", "Diagnostic-Code: X-Postrider; 4.4.1 connection refused\r\n"],
    );
    let news = News::Delayed { reply: Some(&reply), until_ms: 1_700_345_600_000 };
    let (_, text) = notice(&message, news).unwrap();
    holds(
        &text,
        &[
            "Action: delayed\r\nStatus: 4.4.1\r\n",
            "Will-Retry-Until: Sat, 18 Nov 2023 22:13:20 +0000\r\n",
        ],
    );
    assert!(!text.contains("Hello"), "only a failure brings the body back");
    holds(&text, &["Content-Type: text/rfc822-headers\r\n"]);
}

#[test]
fn a_success_says_whether_more_will_be_known() {
    let message = message("ann@example.org", "bob@example.net", false);
    let reply = Reply::new(250, "2.1.5 ok");
    let (_, text) = notice(&message, News::Delivered { reply: &reply, relayed: false }).unwrap();
    holds(&text, &["Action: delivered\r\nStatus: 2.1.5\r\n"]);
    let (_, text) = notice(&message, News::Delivered { reply: &reply, relayed: true }).unwrap();
    holds(&text, &["Action: relayed\r\n"]);
}

#[test]
fn mail_beyond_ascii_gets_a_notice_beyond_ascii() {
    let message = message("änn@example.org", "jürgen@example.net", true);
    let reply = refused();
    let (notice, text) = notice(&message, News::Failed { reply: &reply, expired: false }).unwrap();
    assert!(notice.utf8 && notice.eight_bit);
    holds(
        &text,
        &[
            "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n",
            "Final-Recipient: utf-8; jürgen@example.net\r\n",
            "Content-Type: message/global\r\n",
            "Subject: für dich\r\n",
        ],
    );
}

#[test]
fn smtputf8_that_was_not_needed_makes_a_plain_notice() {
    let mut message = message("ann@example.org", "bob@example.net", false);
    let mut facts = (*message.facts).clone();
    facts.envelope.utf8 = true;
    message.facts = Arc::new(facts);
    let reply = refused();
    let (notice, text) = notice(&message, News::Failed { reply: &reply, expired: false }).unwrap();
    assert!(!notice.utf8);
    holds(&text, &["Content-Type: message/delivery-status\r\n"]);
}

#[test]
fn a_notice_is_never_answered() {
    let message = message("", "bob@example.net", false);
    let reply = refused();
    assert!(notice(&message, News::Failed { reply: &reply, expired: false }).is_none());
}

#[test]
fn a_body_in_a_file_of_its_own_is_told_by_its_header_block() {
    let mut message = message("ann@example.org", "bob@example.net", false);
    message.body = Body::File { path: "/nowhere".into(), len: 5_000_000 };
    let reply = refused();
    let (_, text) = notice(&message, News::Failed { reply: &reply, expired: false }).unwrap();
    holds(&text, &["Content-Type: text/rfc822-headers\r\n"]);
}

#[test]
fn an_eight_bit_body_comes_back_as_it_was() {
    let mut message = message("ann@example.org", "bob@example.net", false);
    message.body = Body::Memory(Bytes::from_static(b"Gr\xfc\xdfe\r\n"));
    let reply = refused();
    let hostname = Domain::parse("mail.example.org").unwrap();
    let stamp = NoticeStamp { id: MessageId::new(2, 2, 2), hostname: &hostname, now_ms: 0 };
    let news = News::Failed { reply: &reply, expired: false };
    let about = About { message: &message, recipient: 0, news, host: "" };
    let notice = build(&about, &stamp).unwrap();
    assert!(notice.eight_bit && !notice.utf8);
    assert!(notice.head.windows(31).any(|w| w == b"Content-Transfer-Encoding: 8bit"));
    assert!(notice.body.windows(7).any(|w| w == b"Gr\xfc\xdfe\r\n"));
}
