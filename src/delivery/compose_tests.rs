use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::delivery::testing;
use crate::mail::{Body, Mailbox};

const ALL: Capabilities = Capabilities {
    starttls: true,
    pipelining: true,
    chunking: true,
    eight_bit: true,
    utf8: true,
    dsn: true,
    size: true,
    message_octets_max: Some(1000),
};

fn message(change: impl FnOnce(&mut crate::mail::Facts)) -> Message {
    let mut facts = testing::facts("ann@example.net");
    change(&mut facts);
    Message {
        facts: Arc::new(facts),
        head: Bytes::from_static(b"Subject: x\r\n\r\n"),
        body: Body::Memory(Bytes::from_static(b"hello\r\n")),
    }
}

fn lines(message: &Message, offered: &Capabilities) -> Result<String, String> {
    let from = ReversePath::Mailbox(Mailbox::parse("b+abc@bounce.example.org").unwrap());
    let of = Transaction {
        message,
        recipient: &message.facts.envelope.recipients[0],
        from: &from,
        eight_bit: message.facts.envelope.body == BodyKind::EightBitMime,
    };
    compose(&of, offered)
        .map(|commands| commands.mail + &commands.rcpt)
        .map_err(|failure| failure.reply.enhanced.unwrap().to_string())
}

#[test]
fn only_what_is_offered_is_asked_for() {
    let full = message(|facts| {
        facts.envelope.body = BodyKind::EightBitMime;
        facts.envelope.ret = Some(Ret::Headers);
        facts.envelope.envid = Some("QQ1".into());
        facts.envelope.recipients[0].notify = Notify::SUCCESS.with(Notify::DELAY);
        facts.envelope.recipients[0].original = Some("rfc822;ann@example.net".into());
    });
    assert_eq!(
        lines(&full, &ALL).unwrap(),
        "MAIL FROM:<b+abc@bounce.example.org> SIZE=21 BODY=8BITMIME RET=HDRS ENVID=QQ1\r\n\
         RCPT TO:<ann@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;ann@example.net\r\n"
    );
    assert_eq!(
        lines(&message(|_| {}), &Capabilities::default()).unwrap(),
        "MAIL FROM:<b+abc@bounce.example.org>\r\nRCPT TO:<ann@example.net>\r\n"
    );
}

#[test]
fn what_the_next_hop_cannot_take_is_refused_before_it_is_asked() {
    let bare = Capabilities::default();
    let small = Capabilities { message_octets_max: Some(20), ..ALL };
    let utf8 = message(|facts| {
        facts.envelope.recipients[0].mailbox = Mailbox::parse("jürgen@example.net").unwrap();
    });
    assert_eq!(lines(&message(|_| {}), &small), Err("5.3.4".into()));
    assert_eq!(
        lines(&message(|facts| facts.envelope.body = BodyKind::EightBitMime), &bare),
        Err("5.6.3".into())
    );
    assert_eq!(lines(&utf8, &bare), Err("5.6.7".into()));
    assert!(lines(&utf8, &ALL).unwrap().contains(" SMTPUTF8\r\n"));
    let mut header = message(|facts| facts.envelope.utf8 = true);
    assert!(!lines(&header, &bare).unwrap().contains("SMTPUTF8"));
    header.head = Bytes::from("Subject: ü\r\n\r\n");
    assert_eq!(lines(&header, &bare), Err("5.6.9".into()));
}

#[test]
fn a_parameter_that_could_end_a_command_is_left_out() {
    let bad = message(|facts| facts.envelope.envid = Some("x\r\nRSET".into()));
    assert!(!lines(&bad, &ALL).unwrap().contains("RSET"));
}
