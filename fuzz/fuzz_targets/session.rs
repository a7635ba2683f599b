//! Any octets from a client, in pieces, in each state: no panic, no reply that breaks the grammar, no message without
//! recipients, and none accepted that was not begun.
#![no_main]

use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use libfuzzer_sys::fuzz_target;
use postrider::clock::ManualClock;
use postrider::mail::{Domain, MessageId, Reply};
use postrider::smtp::{Action, Channel, Limits, Profile, Session};

fuzz_target!(|input: (u8, Vec<Vec<u8>>)| {
    let (how, pieces) = input;
    let host = Domain::parse("mail.example.net").unwrap();
    let limits = Limits { message_bytes_max: 4096, recipients_max: 5, ..Limits::default() };
    let clock = ManualClock::at(1_700_000_000_000);
    let profile = Arc::new(Profile { host, limits, clock });
    let mut session = match how & 3 {
        0 => Session::new(profile, Channel::PlainWithStartTls),
        1 => Session::new(profile, Channel::Tls),
        _ => Session::trusted(profile, Channel::Plain, ()),
    };
    let (mut buffer, mut out, mut message) = (BytesMut::new(), Vec::new(), None);
    for piece in pieces {
        buffer.extend_from_slice(&piece);
        loop {
            let action = session.next(&mut buffer, &mut out);
            let verdict = || if how & 4 == 0 { Ok(()) } else { Err(Reply::new(452, "4.3.1 no")) };
            match action {
                Action::Read => break,
                Action::StartTls | Action::Close => return check(&out),
                Action::Authenticate(login) => {
                    let good = !login.password.reveal().is_empty();
                    session.authenticated(if good { Ok(()) } else { Err(Reply::new(535, "")) }, &mut out);
                }
                Action::Mail { .. } => session.mail_checked(verdict(), &mut out),
                Action::Recipient(_) => session.recipient_checked(Ok(()), &mut out),
                Action::Begin { envelope, .. } => {
                    assert!((1..=5).contains(&envelope.recipients.len()));
                    assert!(message.is_none());
                    let verdict = verdict();
                    message = verdict.is_ok().then(Vec::new);
                    session.begun(verdict, &mut out);
                }
                Action::Data(octets) => {
                    let message = message.as_mut().expect("begun");
                    message.extend_from_slice(&buffer[..octets]);
                    assert!(message.len() <= 4096);
                    buffer.advance(octets);
                }
                Action::EndLine => message.as_mut().expect("begun").extend_from_slice(b"\r\n"),
                Action::Abandon => assert!(message.take().is_some()),
                Action::Accept => {
                    let message: Vec<u8> = message.take().expect("begun");
                    assert!(message.is_empty() || message.ends_with(b"\r\n"));
                    session.accepted(Ok(MessageId::new(0, 0, 1)), &mut out);
                }
            }
        }
        assert!(buffer.len() <= 2048);
    }
    check(&out);
});

fn check(out: &[u8]) {
    let text = std::str::from_utf8(out).expect("replies are ASCII");
    assert!(text.is_empty() || text.ends_with("\r\n"));
    for line in text.split_terminator("\r\n") {
        let code = line.get(..3).expect("a code");
        assert!(code.bytes().all(|b| b.is_ascii_digit()) && line.len() <= 510);
        assert!(matches!(line.as_bytes()[3], b' ' | b'-') && !line.contains(['\r', '\n']));
    }
}
