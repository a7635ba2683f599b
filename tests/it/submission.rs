//! What clients of submission hear: foreign ones, careless ones and hostile ones.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use postrider::smtp::Limits;

use super::support::client::Client;
use super::support::listener::Listener;

const FROM: &str = "ann@sender.example";
const TO: &str = "bob@example.net";

fn limits() -> Limits {
    Limits { errors_max: 10_000, idle_commands_max: 10_000, ..Limits::default() }
}

/// A client of the trusted listener, after EHLO.
fn client(listener: &Listener) -> Client {
    let mut client = Client::connect(("127.0.0.1", listener.trusted)).unwrap();
    assert!(client.say("EHLO client.example").unwrap().starts_with("250-"));
    client
}

#[track_caller]
fn hears(client: &mut Client, line: &str, want: &str) {
    let heard = client.say(line).unwrap();
    assert!(heard.starts_with(want), "after {line:?}: heard {heard:?}, wanted {want:?}");
}

/// A whole transaction is taken: the session is in step.
#[track_caller]
fn in_step(listener: &Listener, client: &mut Client) {
    let heard = client.send(FROM, TO, "Subject: in step\r\n\r\nhi\r\n").unwrap();
    assert!(heard.starts_with("250 2.0.0 Ok "), "{heard:?}");
    assert_eq!(listener.taken().len(), 1);
}

/// MAIL, RCPT and DATA.
fn up_to_data(client: &mut Client) {
    hears(client, &format!("MAIL FROM:<{FROM}> BODY=8BITMIME"), "250 2.1.0");
    hears(client, &format!("RCPT TO:<{TO}>"), "250 2.1.5");
    hears(client, "DATA", "354 ");
}

#[test]
fn no_smuggled_message_exists_whatever_a_client_takes_for_an_end_of_data() {
    let listener = Listener::start(limits());
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\n.\r",
        "\r\n\0.\r\n",
        "\r\n.\r\r\n",
    ] {
        let mut client = client(&listener);
        up_to_data(&mut client);
        let smuggled = format!(
            "Subject: a\r\n\r\nhi{end}MAIL FROM:<evil@x.example>\r\nRCPT TO:<{TO}>\r\nDATA\r\nevil\r\n.\r\n"
        );
        client.write(smuggled.as_bytes()).unwrap();
        let heard = client.reply().unwrap();
        assert!(heard.starts_with("550 5.6.0"), "for {end:?}: {heard:?}");
        assert!(listener.taken().is_empty(), "for {end:?}");
        in_step(&listener, &mut client);
    }
}

#[test]
fn what_is_taken_is_what_was_sent() {
    let listener = Listener::start(limits());
    let mut client = client(&listener);
    for (wire, want) in [
        ("..\r\n", ".\r\n"),
        ("", ""),
        ("...\r\n..b\r\n", "..\r\n.b\r\n"),
        ("a\r\n..\r\n\r\n", "a\r\n.\r\n\r\n"),
    ] {
        up_to_data(&mut client);
        client.write(wire.as_bytes()).unwrap();
        hears(&mut client, ".", "250 2.0.0 Ok ");
        assert_eq!(listener.taken().pop().unwrap().text, want.as_bytes(), "for {wire:?}");
    }
}

#[test]
fn octets_that_mail_cannot_hold_are_refused_with_a_clear_text() {
    let listener = Listener::start(limits());
    let mut client = client(&listener);
    for (text, want) in [
        ("a\rb", "550 5.6.0 The message holds a bare CR"),
        ("a\nb", "550 5.6.0 The message holds a bare LF"),
        ("a\0b", "550 5.6.0 The message holds a NUL"),
    ] {
        up_to_data(&mut client);
        hears(&mut client, &format!("{text}\r\n."), want);
    }
    let heard = client.send(FROM, TO, "Subject: a\r\n\r\nna\u{ef}ve\r\n").unwrap();
    assert!(heard.starts_with("550 5.6.1"), "{heard:?}");
    hears(&mut client, "MAIL FROM:<j\u{fc}rgen@sender.example>", "553 5.6.7");
    assert!(listener.taken().is_empty());
    in_step(&listener, &mut client);
}

#[test]
fn a_command_line_of_any_length_leaves_the_session_in_step() {
    let listener = Listener::start(limits());
    let mut client = client(&listener);
    for octets in [513, 4 << 10, 1 << 20] {
        let line = format!("NOOP {}", "x".repeat(octets - 7));
        hears(&mut client, &line, "500 5.5.2 Line too long");
    }
    in_step(&listener, &mut client);
}

#[test]
fn a_line_of_998_octets_is_taken_and_a_longer_one_is_never_split() {
    let listener = Listener::start(limits());
    let mut client = client(&listener);
    for (octets, want) in [(998, "250 2.0.0"), (999, "550 5.6.0"), (100_000, "550 5.6.0")] {
        up_to_data(&mut client);
        hears(&mut client, &format!("{}\r\n.", "x".repeat(octets)), want);
        let taken = listener.taken();
        assert!(taken.iter().all(|taken| taken.text.len() == octets + 2), "for {octets}");
    }
}

#[test]
fn size_counts_real_octets() {
    let listener = Listener::start(Limits { message_bytes_max: 1_000, ..limits() });
    let mut client = client(&listener);
    hears(&mut client, &format!("MAIL FROM:<{FROM}> SIZE=1001"), "552 5.3.4");
    let line = format!("{}\r\n", "x".repeat(98));
    for (said, lines, want) in
        [("", 10, "250"), ("", 11, "552 5.3.4"), (" SIZE=10", 11, "552 5.3.4")]
    {
        hears(&mut client, &format!("MAIL FROM:<{FROM}>{said}"), "250");
        hears(&mut client, &format!("RCPT TO:<{TO}>"), "250");
        hears(&mut client, "DATA", "354");
        client.write(line.repeat(lines).as_bytes()).unwrap();
        hears(&mut client, ".", want);
    }
    assert_eq!(listener.taken().len(), 1);
}

#[test]
fn recipients_past_the_thousandth_wait_for_another_transaction() {
    let listener = Listener::start(limits());
    let mut client = client(&listener);
    hears(&mut client, &format!("MAIL FROM:<{FROM}>"), "250");
    hears(&mut client, "DATA", "554 5.5.1");
    for number in 0..1_000 {
        hears(&mut client, &format!("RCPT TO:<r{number}@example.net>"), "250 2.1.5");
    }
    hears(&mut client, "RCPT TO:<one.more@example.net>", "452 4.5.3");
    hears(&mut client, "RCPT TO:<\"r7\"@EXAMPLE.net>", "250 2.1.5");
    hears(&mut client, "DATA", "354");
    hears(&mut client, "a: b\r\n.", "250 2.0.0");
    assert_eq!(listener.taken().pop().unwrap().envelope.recipients.len(), 1_000);
}

#[test]
fn paths_and_parameters_follow_the_grammar() {
    let listener = Listener::start(limits());
    let mut client = client(&listener);
    let long = format!("<{}@example.org>", "a".repeat(288));
    for (what, want) in [
        ("<a@b.example> SIZE=1 SIZE=2", "501 5.5.4"),
        ("<a@b.example> BODY=X", "501 5.5.4"),
        ("<a@b.example> FOO=BAR", "555 5.5.4"),
        ("a@b.example", "501 5.5.2"),
        (" <a@b.example>", "501 5.5.2"),
        ("<a@b.example", "501 5.5.2"),
        (long.as_str(), "501 5.1.0"),
        ("<a b@c.example>", "553 5.1.7"),
        ("<a@b@c.example>", "553 5.1.7"),
        ("<a@[127.0.0.1]>", "553 5.1.8"),
        ("<@x.example,@y.example:a@b.example>", "250 2.1.0"),
        ("<\"a b>\"@b.example> SIZE=1 BODY=8BITMIME AUTH=<> RET=FULL", "250 2.1.0"),
        ("<a@b\u{fc}cher.example> SMTPUTF8", "250 2.1.0"),
        ("<>", "250 2.1.0"),
    ] {
        hears(&mut client, &format!("MAIL FROM:{what}"), want);
        hears(&mut client, "RSET", "250");
    }
    in_step(&listener, &mut client);
}

#[test]
fn commands_out_of_order_change_nothing() {
    let listener = Listener::start(limits());
    let mut client = Client::connect(("127.0.0.1", listener.trusted)).unwrap();
    hears(&mut client, &format!("MAIL FROM:<{FROM}>"), "503 5.5.1");
    hears(&mut client, "EHLO a", "250");
    hears(&mut client, "DATA", "503 5.5.1");
    hears(&mut client, &format!("RCPT TO:<{TO}>"), "503 5.5.1");
    hears(&mut client, &format!("MAIL FROM:<{FROM}>"), "250");
    hears(&mut client, &format!("MAIL FROM:<{FROM}>"), "503 5.5.1");
    hears(&mut client, "AUTH PLAIN AGFubgBzZWNyZXQ=", "503 5.5.1");
    hears(&mut client, "STARTTLS", "503 5.5.1");
    hears(&mut client, &format!("RCPT TO:<{TO}>"), "250");
    hears(&mut client, "EHLO b", "250");
    hears(&mut client, "DATA", "503 5.5.1");
    in_step(&listener, &mut client);
}

#[test]
fn a_whole_session_in_one_write_is_answered_in_order() {
    let listener = Listener::start(limits());
    let mut client = client(&listener);
    let batch = format!(
        "MAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nBDAT 6\r\na: b\r\nBDAT 4 LAST\r\n\r\nxxNOOP\r\nQUIT\r\n"
    );
    client.write(batch.as_bytes()).unwrap();
    for want in
        ["250 2.1.0", "250 2.1.5", "250 2.0.0 Ok, go on", "250 2.0.0 Ok 0", "250 2.0.0", "221"]
    {
        let heard = client.reply().unwrap();
        assert!(heard.starts_with(want), "heard {heard:?}, wanted {want:?}");
    }
    assert_eq!(listener.taken().pop().unwrap().text, b"a: b\r\n\r\nxx\r\n");
}

#[test]
fn octets_between_data_and_354_are_neither_text_nor_commands() {
    let listener = Listener::start(limits());
    let mut client = client(&listener);
    let early = format!(
        "MAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nDATA\r\nRSET\r\nMAIL FROM:<x@y.example>\r\n.\r\n"
    );
    client.write(early.as_bytes()).unwrap();
    for want in ["250 2.1.0", "250 2.1.5", "554 5.5.0"] {
        assert!(client.reply().unwrap().starts_with(want), "wanted {want}");
    }
    assert!(client.reply().is_err(), "the connection is closed");
    assert!(listener.taken().is_empty());
}

#[test]
fn a_browser_is_dropped_at_once() {
    let listener = Listener::start(limits());
    let url = format!("http://127.0.0.1:{}/", listener.trusted);
    for arguments in [&["--http0.9"][..], &["--http0.9", "-d", "MAIL FROM:<a@b>\r\n"]] {
        let out = Command::new("curl").args(["-sS", "-m", "10"]).args(arguments).arg(&url).output();
        let heard = String::from_utf8(out.unwrap().stdout).unwrap();
        assert!(heard.is_empty() || heard == "220 localhost ESMTP Postrider\r\n", "{heard:?}");
    }
    assert!(listener.taken().is_empty());
}

#[test]
fn chunks_keep_the_session_in_step() {
    let listener = Listener::start(Limits { message_bytes_max: 1_000, ..limits() });
    let mut client = client(&listener);
    let envelope = [format!("MAIL FROM:<{FROM}>"), format!("RCPT TO:<{TO}>")];
    let begin = |client: &mut Client| {
        for line in &envelope {
            hears(client, line, "250");
        }
    };
    // Without a transaction a chunk is read and refused, though it looks like commands.
    hears(&mut client, "BDAT 13 LAST\r\nMAIL FROM:<", "503 5.5.1");
    begin(&mut client);
    hears(&mut client, "BDAT 0 LAST", "250 2.0.0 Ok 0");
    assert!(listener.taken().pop().unwrap().text.is_empty());
    begin(&mut client);
    hears(&mut client, "BDAT 6\r\na: b", "250 2.0.0 Ok, go on");
    hears(&mut client, "DATA", "503 5.5.1");
    hears(&mut client, "RSET", "250");
    begin(&mut client);
    // A chunk that is longer than it says leaves the rest to be a command that is none.
    client.write(b"BDAT 6 LAST\r\na: b\r\nxyz\r\n").unwrap();
    assert!(client.reply().unwrap().starts_with("250 2.0.0 Ok 0"));
    assert!(client.reply().unwrap().starts_with("500 5.5.1"));
    listener.taken();
    in_step(&listener, &mut client);
    hears(&mut client, "BDAT 1001 LAST", "552 5.3.4");
    assert!(client.reply().is_err(), "the connection is closed");
}

#[test]
fn users_are_told_to_nobody() {
    let listener = Listener::start(limits());
    let mut client = client(&listener);
    let known = client.say("VRFY ann").unwrap();
    assert!(known.starts_with("252 "));
    assert_eq!(client.say("VRFY nobody").unwrap(), known);
    assert!(client.say("EXPN staff").unwrap().starts_with("502 "));
}

#[test]
fn nothing_that_was_sent_before_tls_is_heard_after_it() {
    let listener = Listener::start(limits());
    let mut client = Client::connect(("127.0.0.1", listener.submission)).unwrap();
    let offer = client.say("EHLO a").unwrap();
    assert!(offer.contains("STARTTLS") && !offer.contains("AUTH"), "{offer}");
    hears(&mut client, "AUTH PLAIN AGFubgBzZWNyZXQ=", "538 5.7.11");
    client.write(b"STARTTLS\r\nMAIL FROM:<evil@x.example>\r\n").unwrap();
    assert!(client.reply().unwrap().starts_with("554 5.5.0"));
    assert!(client.reply().is_err(), "the connection is closed");
}

#[test]
fn a_line_without_end_costs_no_memory() {
    let listener = Listener::start(limits());
    let mut stream = TcpStream::connect(("127.0.0.1", listener.trusted)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let before = resident_kib();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        stream.write_all(&piece).unwrap();
    }
    stream.write_all(b"\r\nQUIT\r\n").unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    assert!(heard.contains("500 5.5.2 Line too long\r\n221 "), "{heard:?}");
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 16 << 10, "grew by {grown} KiB");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let out = command.output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?}: {text}");
    text
}

#[test]
fn smtplib_submits() {
    let listener = Listener::start(limits());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/smtplib_submission.py");
    let ports = [listener.submission.to_string(), listener.tls.to_string()];
    run(Command::new("python3").arg(script).args(ports).args(["ann", "secret", FROM]));
    let taken = listener.taken();
    assert_eq!(taken.len(), 6);
    assert!(taken[0].text.ends_with(b"hi\r\n.\r\n..\r\n"));
}

#[test]
fn swaks_submits() {
    let listener = Listener::start(limits());
    for (port, tls) in [(listener.submission, "-tls"), (listener.tls, "-tlsc")] {
        let server = format!("127.0.0.1:{port}");
        let to = ["-f", FROM, "-t", TO, "-s", &server, tls, "-a", "-au", "ann", "-ap", "secret"];
        run(Command::new("swaks").args(to));
    }
    run(Command::new("swaks")
        .args(["-f", FROM, "-t", TO, "--pipeline", "-s"])
        .arg(format!("127.0.0.1:{}", listener.trusted)));
    assert_eq!(listener.taken().len(), 3);
}

#[test]
fn smtp_source_submits_a_hundred_messages_over_five_sessions() {
    let listener = Listener::start(limits());
    for keep in [&["-d"][..], &[]] {
        let job = ["-c", "-s", "5", "-m", "100", "-l", "10240", "-f", FROM, "-t", TO];
        let server = format!("127.0.0.1:{}", listener.trusted);
        run(Command::new("/usr/sbin/smtp-source").args(keep).args(job).arg(server));
        assert_eq!(listener.taken().len(), 100);
    }
}
