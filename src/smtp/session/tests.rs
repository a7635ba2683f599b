//! The order of commands, as tables: what a client writes, and what it hears.

use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;
use crate::mail::{EnhancedStatus, MessageId};

const NOW_MS: u64 = 1_700_000_000_000;
const LIMIT_COMMANDS: u64 = 500;

/// A listener without sockets: it answers every action, keeps what it was given, and never writes a reply itself.
struct Client {
    session: Session<&'static str>,
    input: BytesMut,
    out: Vec<u8>,
    /// Messages that were accepted, with their recipients.
    accepted: Vec<(Vec<String>, Vec<u8>)>,
    current: Option<(Vec<String>, Vec<u8>)>,
    closed: bool,
    refuse: Option<&'static str>,
}

impl Client {
    fn on(channel: Channel, account: Option<&'static str>) -> Client {
        let limits = Limits {
            message_bytes_max: 1_100,
            recipients_max: 3,
            message_copies_bytes_max: 2_000,
            commands_max: LIMIT_COMMANDS,
            idle_commands_max: 10,
            errors_max: 10,
            ..Limits::default()
        };
        let host = Domain::parse("mail.example.net").unwrap();
        let profile = Arc::new(Profile { host, limits, clock: ManualClock::at(NOW_MS) });
        let session = match account {
            Some(account) => Session::trusted(profile, channel, account),
            None => Session::new(profile, channel),
        };
        let (input, out) = (BytesMut::new(), Vec::new());
        Client { session, input, out, accepted: vec![], current: None, closed: false, refuse: None }
    }

    /// Over TLS, authenticated, after EHLO.
    fn ready() -> Client {
        let mut client = Client::on(Channel::Tls, Some("ann"));
        client.write(b"EHLO client.example\r\n");
        client
    }

    /// Writes octets and gives the replies to them.
    fn write(&mut self, octets: &[u8]) -> String {
        self.input.extend_from_slice(octets);
        self.out.clear();
        while !self.closed {
            match self.session.next(&mut self.input, &mut self.out) {
                Action::Read => break,
                action => self.act(action),
            }
        }
        String::from_utf8(self.out.clone()).expect("replies are ASCII")
    }

    fn act(&mut self, action: Action) {
        let (session, out) = (&mut self.session, &mut self.out);
        let verdict = match self.refuse {
            None => Ok(()),
            Some(text) => Err(Reply::new(451, text)),
        };
        match action {
            Action::Read => {}
            Action::StartTls | Action::Close => self.closed = true,
            Action::Authenticate(login) if login.password.matches(b"secret") => {
                session.authenticated(Ok("ann"), out);
            }
            Action::Authenticate(_) => {
                let enhanced = Some(EnhancedStatus::new(5, 7, 8));
                let text = "no".to_owned();
                session.authenticated(Err(Reply { code: 535, enhanced, text }), out);
            }
            Action::Mail { .. } => session.mail_checked(verdict, out),
            Action::Recipient(mailbox) => {
                let refused = mailbox.local() == "refused";
                let no = || Err(Reply::new(554, "5.7.1 no"));
                session.recipient_checked(if refused { no() } else { verdict }, out);
            }
            Action::Begin { envelope, .. } => {
                let to = envelope.recipients.iter().map(|r| r.mailbox.to_string()).collect();
                self.current = verdict.is_ok().then(|| (to, Vec::new()));
                session.begun(verdict, out);
            }
            Action::Data(octets) => {
                let message = &mut self.current.as_mut().expect("a message was begun").1;
                message.extend_from_slice(&self.input.split_to(octets));
            }
            Action::EndLine => self.current.as_mut().unwrap().1.extend_from_slice(b"\r\n"),
            Action::Abandon => self.current = None,
            Action::Accept => {
                self.accepted.push(self.current.take().expect("a message was begun"));
                session.accepted(Ok(MessageId::new(0, 0, 1)), out);
            }
        }
    }

    /// Each pair: what the client writes, and how each line of the answer must begin.
    #[track_caller]
    fn check(&mut self, script: &[(&str, &[&str])]) {
        for (line, want) in script {
            let heard = self.write(format!("{line}\r\n").as_bytes());
            let heard: Vec<&str> = heard.lines().collect();
            let same = heard.len() == want.len()
                && heard.iter().zip(*want).all(|(heard, want)| heard.starts_with(want));
            assert!(same, "after {line:?}: heard {heard:?}, wanted {want:?}");
        }
    }
}

const MAIL: (&str, &[&str]) = ("MAIL FROM:<ann@example.org>", &["250 2.1.0"]);
const RCPT: (&str, &[&str]) = ("RCPT TO:<bob@example.net>", &["250 2.1.5"]);
const OK_ID: &str = "250 2.0.0 Ok 00000000000000000000000001";

#[test]
fn a_message_goes_through_from_ehlo_to_quit() {
    let mut client = Client::ready();
    client.check(&[
        MAIL,
        RCPT,
        ("DATA", &["354"]),
        ("Subject: a\r\n\r\n..b\r\n.", &[OK_ID]),
        ("QUIT", &["221 2.0.0"]),
    ]);
    assert_eq!(client.accepted[0].0, ["bob@example.net"]);
    assert_eq!(client.accepted[0].1, b"Subject: a\r\n\r\n.b\r\n");
    assert!(client.closed);
}

#[test]
fn ehlo_offers_auth_only_over_tls() {
    let offers = |channel, account| Client::on(channel, account).write(b"EHLO a\r\n");
    let plain = offers(Channel::PlainWithStartTls, None);
    assert!(plain.contains("250-STARTTLS\r\n") && !plain.contains("AUTH"), "{plain}");
    let secure = offers(Channel::Tls, None);
    assert!(
        secure.contains("250-AUTH PLAIN LOGIN\r\n") && !secure.contains("STARTTLS"),
        "{secure}"
    );
    assert!(!offers(Channel::Plain, Some("ann")).contains("AUTH"));
    for word in ["PIPELINING", "SIZE 1100", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN"] {
        assert!(secure.contains(&format!("250-{word}\r\n")), "{word} in {secure}");
    }
    assert!(secure.contains("250-FUTURERELEASE 2592000 2023-12-14T22:13:20Z\r\n"), "{secure}");
    assert!(secure.ends_with("250 ENHANCEDSTATUSCODES\r\n"), "{secure}");
    assert!(!secure.contains("REQUIRETLS") && !secure.contains("VRFY"));
}

#[test]
fn commands_out_of_order_are_refused_and_change_nothing() {
    Client::on(Channel::Tls, None).check(&[
        ("MAIL FROM:<ann@example.org>", &["503 5.5.1 Send EHLO"]),
        ("RCPT TO:<bob@example.net>", &["503 5.5.1 Send EHLO"]),
        ("DATA", &["503 5.5.1 Send EHLO"]),
        ("AUTH PLAIN AGFubgBzZWNyZXQ=", &["503 5.5.1 Send EHLO"]),
    ]);
    Client::ready().check(&[
        ("DATA", &["503 5.5.1 Send MAIL"]),
        ("RCPT TO:<bob@example.net>", &["503 5.5.1 Send MAIL"]),
        MAIL,
        (MAIL.0, &["503 5.5.1 A transaction"]),
        ("DATA", &["554 5.5.1 No valid"]),
        ("AUTH PLAIN AGFubgBzZWNyZXQ=", &["503 5.5.1 Already"]),
        RCPT,
        ("DATA", &["354"]),
        ("a: b\r\n.", &[OK_ID]),
        ("DATA", &["503 5.5.1 Send MAIL"]),
    ]);
}

#[test]
fn ehlo_and_rset_end_a_transaction() {
    let mut client = Client::ready();
    client.check(&[MAIL, RCPT, ("RSET", &["250 2.0.0"]), RCPT_AFTER_RESET, MAIL, RCPT]);
    client.write(b"EHLO again\r\n");
    client.check(&[RCPT_AFTER_RESET, MAIL, RCPT, ("HELO again", &["250 mail"]), MAIL]);
}

const RCPT_AFTER_RESET: (&str, &[&str]) = ("RCPT TO:<bob@example.net>", &["503 5.5.1 Send MAIL"]);

#[test]
fn nobody_sends_mail_before_tls_and_auth() {
    let mut client = Client::on(Channel::PlainWithStartTls, None);
    client.write(b"EHLO a\r\n");
    client.check(&[
        ("MAIL FROM:<ann@example.org>", &["530 5.7.0 Send STARTTLS"]),
        ("AUTH PLAIN AGFubgBzZWNyZXQ=", &["538 5.7.11"]),
        ("AUTH LOGIN", &["538 5.7.11"]),
        ("RCPT TO:<bob@example.net>", &["530 5.7.0"]),
        ("DATA", &["530 5.7.0"]),
        ("STARTTLS", &["220 2.0.0"]),
    ]);
    let mut client = Client::on(Channel::Tls, None);
    client.write(b"EHLO a\r\n");
    client.check(&[
        ("MAIL FROM:<ann@example.org>", &["530 5.7.0 Authentication required"]),
        ("STARTTLS", &["503 5.5.1 TLS is active"]),
        ("BDAT 0 LAST", &["530 5.7.0"]),
    ]);
    assert!(client.closed, "a stranger's chunk is not read");
}

#[test]
fn auth_is_answered_as_rfc_4954_says() {
    let mut client = Client::on(Channel::Tls, None);
    client.write(b"EHLO a\r\n");
    client.check(&[
        ("AUTH CRAM-MD5", &["504 5.5.4"]),
        ("AUTH PLAIN", &["334 "]),
        ("*", &["501 5.7.0"]),
        ("AUTH PLAIN ?", &["501 5.5.2"]),
        ("AUTH PLAIN AGFubgB3cm9uZw==", &["535 5.7.8"]),
        ("AUTH LOGIN", &["334 VXNlcm5hbWU6"]),
        ("YW5u", &["334 UGFzc3dvcmQ6"]),
        ("c2VjcmV0", &["235 2.7.0"]),
        ("AUTH PLAIN AGFubgBzZWNyZXQ=", &["503 5.5.1"]),
        MAIL,
    ]);
    assert_eq!(client.session.account(), Some(&"ann"));
    assert_eq!(client.session.protocol(), "ESMTPSA");
}

#[test]
fn guessing_passwords_ends_the_connection() {
    let mut client = Client::on(Channel::Tls, None);
    client.write(b"EHLO a\r\n");
    client.check(&[
        ("AUTH PLAIN AGFubgB3cm9uZw==", &["535 5.7.8"]),
        ("AUTH PLAIN YQ==", &["535 5.7.8"]),
        ("AUTH PLAIN AGFubgB3cm9uZw==", &["535 5.7.8", "421 4.7.0"]),
    ]);
    assert!(client.closed);
}

#[test]
fn nothing_may_follow_starttls_or_data_in_the_same_read() {
    let mut client = Client::on(Channel::PlainWithStartTls, None);
    client.write(b"EHLO a\r\n");
    assert!(client.write(b"STARTTLS\r\nRSET\r\n").starts_with("554 5.5.0"));
    assert!(client.closed);

    let mut client = Client::ready();
    client.check(&[MAIL, RCPT]);
    assert!(client.write(b"DATA\r\nMAIL FROM:<x@example.org>\r\n").starts_with("554 5.5.0"));
    assert!(client.closed && client.accepted.is_empty());
}

#[test]
fn a_pipelined_session_is_answered_in_order() {
    let mut client = Client::on(Channel::Tls, Some("ann"));
    let heard = client.write(
        b"EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 6\r\na: b\r\nBDAT 4 LAST\r\n\r\nx\nQUIT\r\n",
    );
    // The bare LF is in the second chunk.
    let codes: Vec<&str> = heard.lines().filter(|l| !l.starts_with("250-")).collect();
    let want = ["250 E", "250 2.1.0", "250 2.1.5", "250 2.0.0 Ok, go on", "550 5.6.0", "221"];
    assert_eq!(codes.len(), want.len(), "{heard}");
    assert!(codes.iter().zip(want).all(|(code, want)| code.starts_with(want)), "{heard}");
}

#[test]
fn http_is_dropped_without_a_word() {
    for verb in ["GET / HTTP/1.1", "POST /x HTTP/1.1", "CONNECT a:25 HTTP/1.1"] {
        let mut client = Client::on(Channel::Tls, None);
        let request = format!("{verb}\r\nHost: a\r\n\r\nMAIL FROM:<a@b.example>\r\n");
        assert_eq!(client.write(request.as_bytes()), "", "for {verb}");
        assert!(client.closed);
    }
}

#[test]
fn users_are_not_told() {
    Client::ready().check(&[
        ("VRFY ann", &["252 2.0.0"]),
        ("VRFY nobody", &["252 2.0.0"]),
        ("EXPN staff", &["502 5.5.1"]),
        ("HELP", &["214"]),
        ("NOOP x", &["250 2.0.0"]),
        ("ETRN x", &["500 5.5.1"]),
    ]);
}

#[test]
fn lines_that_are_no_commands_leave_the_session_in_step() {
    let mut client = Client::ready();
    assert!(client.write(&vec![b'x'; 1 << 20]).is_empty());
    client.check(&[("", &["500 5.5.2 Line too long"]), ("NOOP", &["250"])]);
    client.check(&[(&format!("NOOP {}", "x".repeat(506)), &["500 5.5.2 Line too long"])]);
    client.check(&[("NO\0OP", &["500 5.5.2"]), ("NOOP\nNOOP", &["500 5.5.2 Lines must", "250"])]);
}

#[test]
fn mail_is_refused_for_what_it_says() {
    Client::ready().check(&[
        ("MAIL FROM:<ann@example.org> SIZE=1101", &["552 5.3.4"]),
        ("MAIL FROM:<jürgen@example.org>", &["553 5.6.7"]),
        ("MAIL FROM:<a b@example.org>", &["553 5.1.7"]),
        ("MAIL FROM:<ann@exa_-.org>", &["553 5.1.8"]),
        ("MAIL FROM:<ann@example.org> HOLDFOR=2592001", &["501 5.5.4"]),
        ("MAIL FROM:<ann@example.org> HOLDUNTIL=2030-01-01T00:00:00Z", &["501 5.5.4"]),
        ("MAIL FROM:<ann@example.org> FOO=BAR", &["555 5.5.4"]),
        ("MAIL FROM:<ann@example.org> SIZE=1 SIZE=2", &["501 5.5.4"]),
        ("MAIL FROM:<jürgen@example.org> SMTPUTF8", &["250 2.1.0"]),
        ("RCPT TO:<jörg@example.net>", &["250 2.1.5"]),
    ]);
}

#[test]
fn what_mail_and_rcpt_said_is_in_the_envelope() {
    let mut client = Client::ready();
    client.check(&[
        ("MAIL FROM:<> BODY=8BITMIME RET=HDRS ENVID=QQ HOLDFOR=60 AUTH=<>", &["250 2.1.0"]),
        ("RCPT TO:<@relay.example:bob@Example.NET> NOTIFY=NEVER ORCPT=rfc822;bob", &["250 2.1.5"]),
    ]);
    let envelope = client.session.envelope().unwrap();
    assert_eq!(envelope.from, ReversePath::Null);
    assert_eq!(envelope.hold_until_ms, Some(NOW_MS + 60_000));
    assert_eq!(envelope.envid.as_deref(), Some("QQ"));
    assert_eq!(envelope.recipients[0].mailbox.as_str(), "bob@example.net");
    assert_eq!(envelope.recipients[0].original.as_deref(), Some("rfc822;bob"));
    client.check(&[("RSET", &["250"]), ("MAIL FROM:<> HOLDUNTIL=2001-01-01T00:00:00Z", &["250"])]);
    assert_eq!(client.session.envelope().unwrap().hold_until_ms, None, "the past holds nothing");
}

#[test]
fn the_same_mailbox_twice_is_one_recipient() {
    let mut client = Client::ready();
    client.check(&[
        MAIL,
        RCPT,
        ("RCPT TO:<\"bob\"@Example.Net>", &["250 2.1.5"]),
        ("RCPT TO:<refused@example.net>", &["554 5.7.1"]),
        ("RCPT TO:<Bob@example.net>", &["250 2.1.5"]),
        ("RCPT TO:<carl@example.net>", &["250 2.1.5"]),
        ("RCPT TO:<dora@example.net>", &["452 4.5.3"]),
        RCPT,
        ("DATA", &["354"]),
        ("a: b\r\n.", &[OK_ID]),
    ]);
    assert_eq!(client.accepted[0].0, ["bob@example.net", "Bob@example.net", "carl@example.net"]);
}

#[test]
fn a_message_that_breaks_the_rules_is_refused_at_its_end() {
    for (text, want) in [
        ("a: b\r\n\r\nx\ny", "550 5.6.0 The message holds a bare LF"),
        ("a: b\r\n\r\nx\ry", "550 5.6.0 The message holds a bare CR"),
        ("a: b\r\n\r\nx\0y", "550 5.6.0 The message holds a NUL"),
        ("a: b\r\n\r\njürgen", "550 5.6.1"),
        (&"x".repeat(999), "550 5.6.0 A line is longer"),
        (&"x\r\n".repeat(400), "552 5.3.4 Message is larger"),
    ] {
        let mut client = Client::ready();
        client.check(&[
            MAIL,
            RCPT,
            ("DATA", &["354"]),
            (&format!("{text}\r\n."), &[want]),
            MAIL,
            RCPT,
            ("DATA", &["354"]),
            ("a: b\r\n.", &[OK_ID]),
        ]);
        assert_eq!(client.accepted.len(), 1, "for {text:?}");
        assert!(client.current.is_none());
    }
}

#[test]
fn size_times_recipients_has_a_bound() {
    let two = ("RCPT TO:<carl@example.net>", &["250 2.1.5"][..]);
    Client::ready().check(&[
        ("MAIL FROM:<ann@example.org> SIZE=900", &["250"]),
        RCPT,
        two,
        ("RCPT TO:<dora@example.net>", &["552 5.3.4"]),
    ]);
    Client::ready().check(&[
        MAIL,
        RCPT,
        two,
        ("RCPT TO:<dora@example.net>", &["250"]),
        ("DATA", &["354"]),
        (&format!("{}.", "x\r\n".repeat(300)), &["552 5.3.4 Message size times"]),
    ]);
}

#[test]
fn chunks_make_one_message() {
    let mut client = Client::ready();
    client.check(&[MAIL, RCPT]);
    assert_eq!(client.write(b"BDAT 6\r\na: b\r\n"), "250 2.0.0 Ok, go on\r\n");
    client.check(&[
        ("DATA", &["503 5.5.1 Chunks are open"]),
        (MAIL.0, &["503 5.5.1 Chunks are open"]),
        ("RCPT TO:<x@example.net>", &["503 5.5.1 Chunks are open"]),
        ("NOOP", &["250"]),
    ]);
    assert!(client.write(b"BDAT 6 LAST\r\n\r\n.\r\nx").starts_with(OK_ID));
    // The last line had no end.
    assert_eq!(client.accepted[0].1, b"a: b\r\n\r\n.\r\nx\r\n");
    client.check(&[MAIL, RCPT]);
    assert!(client.write(b"BDAT 6\r\na: b\r\nBDAT 0 LAST\r\n").ends_with(&format!("{OK_ID}\r\n")));
}

#[test]
fn chunks_that_are_not_wanted_are_read_and_refused() {
    let mut client = Client::ready();
    assert!(client.write(b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n").starts_with("503 5.5.1 Send MAIL"));
    client.check(&[MAIL]);
    assert!(client.write(b"BDAT 6 LAST\r\nQUIT\r\n").starts_with("554 5.5.1 No valid"));
    client.check(&[RCPT]);
    // RSET between chunks forgets the message.
    client.write(b"BDAT 6\r\nQUIT\r\n");
    client.check(&[("RSET", &["250"])]);
    assert!(client.current.is_none());
    assert!(client.write(b"BDAT 6 LAST\r\nQUIT\r\n").starts_with("503"));
    // A refused chunk ends the message; the next one is read and refused as well.
    client.check(&[MAIL, RCPT]);
    let heard = client.write(b"BDAT 6\r\nQU\nT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
    let codes: Vec<&str> = heard.lines().filter_map(|line| line.get(..3)).collect();
    assert_eq!(codes, ["550", "503", "250"]);
    assert!(client.accepted.is_empty() && client.current.is_none());
    assert!(client.write(b"BDAT 1101 LAST\r\n").starts_with("552 5.3.4"));
    assert!(client.closed);
}

#[test]
fn a_chunk_of_unknown_length_ends_the_connection() {
    let mut client = Client::ready();
    client.check(&[MAIL, RCPT, ("BDAT x LAST", &["501 5.5.4"])]);
    assert!(client.closed);
}

#[test]
fn refusals_of_the_outside_are_passed_on() {
    let mut client = Client::ready();
    client.refuse = Some("4.3.1 later");
    client.check(&[("MAIL FROM:<ann@example.org>", &["451 4.3.1 later"])]);
    client.refuse = None;
    client.check(&[MAIL]);
    client.refuse = Some("4.3.1 later");
    client.check(&[("RCPT TO:<bob@example.net>", &["451 4.3.1 later"])]);
    client.refuse = None;
    client.check(&[RCPT]);
    client.refuse = Some("4.3.1 later");
    client.check(&[("DATA", &["451 4.3.1 later"]), ("NOOP", &["250"])]);
    client.refuse = None;
    client.check(&[MAIL, RCPT]);
    client.refuse = Some("4.3.1 later");
    assert_eq!(client.write(b"BDAT 6\r\nQUIT\r\nNOOP\r\n"), "451 4.3.1 later\r\n250 2.0.0 Ok\r\n");
}

#[test]
fn errors_and_idle_commands_have_a_bound_that_mail_resets() {
    let mut client = Client::ready();
    for _ in 0..9 {
        client.check(&[("NOOP", &["250"]), ("FOO", &["500"])]);
    }
    client.check(&[MAIL, RCPT, ("DATA", &["354"]), ("a: b\r\n.", &[OK_ID])]);
    for _ in 0..10 {
        client.check(&[("FOO", &["500"])]);
    }
    client.check(&[("FOO", &["421 4.7.0 Too many errors"])]);
    assert!(client.closed);

    let mut client = Client::ready();
    for _ in 0..9 {
        client.check(&[("RSET", &["250"])]);
    }
    client.check(&[("NOOP", &["421 4.7.0 Too many commands"])]);
    assert!(client.closed);

    let mut client = Client::ready();
    client.check(&[MAIL]);
    for _ in 2..LIMIT_COMMANDS {
        client.check(&[RCPT]);
    }
    client.check(&[("RCPT TO:<bob@example.net>", &["421 4.7.0 Too many commands"])]);
    assert!(client.closed);
}

#[test]
fn bad_recipients_of_a_known_client_do_not_end_the_connection() {
    let mut client = Client::ready();
    client.check(&[MAIL]);
    for _ in 0..100 {
        client.check(&[("RCPT TO:<not an address>", &["553 5.1.3"]), ("RCPT TO:x", &["501"])]);
    }
    client.check(&[RCPT]);
}

proptest! {
    #[test]
    fn no_input_breaks_the_session(
        pieces in proptest::collection::vec(prop_oneof![
            Just("EHLO a\r\n"), Just("MAIL FROM:<a@b.example>\r\n"), Just("RCPT TO:<c@d.example>\r\n"),
            Just("DATA\r\n"), Just("BDAT 3\r\n"), Just("BDAT 4 LAST\r\n"), Just("a\r\n"), Just(".\r\n"),
            Just("RSET\r\n"), Just("AUTH LOGIN\r\n"), Just("YW5u\r\n"), Just("\r"), Just("\n"), Just("."), Just("x"),
        ], 0..40),
        tls: bool,
        step in 1usize..30,
    ) {
        let text = pieces.concat();
        let mut client = Client::on(Channel::Tls, (!tls).then_some("ann"));
        let mut heard = String::new();
        for piece in text.as_bytes().chunks(step) {
            heard += &client.write(piece);
        }
        prop_assert!(heard.lines().all(|line| line.len() <= 510 && line.is_ascii()));
        // Every 250 with an id is one message.
        let accepted = heard.lines().filter(|line| line.starts_with("250 2.0.0 Ok 0")).count();
        prop_assert_eq!(accepted, client.accepted.len());
        prop_assert!(client.accepted.iter().all(|(to, message)| !to.is_empty() && (message.is_empty() || message.ends_with(b"\r\n"))));
    }
}
