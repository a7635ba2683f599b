//! DKIM: what we sign is believed by verifiers that we did not write, dkimpy and npm's mailauth.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use data_encoding::BASE64;
use mail_auth::dkim::generate::DkimKeyPair;
use postrider::mail::{Domain, MessageId};
use postrider::message::dkim::{BodyHasher, DkimKey, sign};
use postrider::message::{Block, Head, Hop, Stamp, inspect};
use serde_json::{Value, json};

use crate::support::tools;

fn domain() -> Domain {
    Domain::parse("example.org").unwrap()
}

fn keys() -> &'static [std::sync::Arc<DkimKey>; 2] {
    static KEYS: OnceLock<[std::sync::Arc<DkimKey>; 2]> = OnceLock::new();
    KEYS.get_or_init(|| {
        let rsa = DkimKeyPair::generate_rsa(2048).unwrap();
        let ed = DkimKeyPair::generate_ed25519().unwrap();
        [
            DkimKey::rsa(domain(), "pr-test-r", rsa.private_key()).unwrap().into(),
            DkimKey::ed25519(domain(), "pr-test-e", ed.private_key()).unwrap().into(),
        ]
    })
}

/// Takes a message the way intake does: read, edited, hashed in chunks, signed.
fn signed(head: &[u8], body: &[u8]) -> Vec<u8> {
    let block = Block::parse(head).unwrap();
    inspect(&block, true).unwrap();
    let hostname = Domain::parse("mail.example.org").unwrap();
    let stamp = Stamp {
        id: MessageId::new(1_700_000_000_000, 1, 7),
        hostname: &hostname,
        now_ms: 1_700_000_000_000,
        hop: Hop { with: "ESMTPSA", client: None },
        feedback_id: "none:example.org:normal:post",
    };
    let head = Head::new(&block, &stamp);
    let mut hasher = BodyHasher::new();
    body.chunks(7).for_each(|chunk| hasher.push(chunk));
    let signatures = sign(head.fields(), &hasher.finish(), keys(), 1_700_000_000).unwrap();
    [&head.finish(&signatures)[..], body].concat()
}

fn mails() -> Vec<(&'static str, Vec<u8>)> {
    let plain =
        "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: Hello\r\n\r\n".as_bytes();
    let folded = "FROM:Ann\r\n\t<ann@example.org>\r\nSubject:   many \t spaces \r\n   and\r\n folds  \r\n\
        Content-Type: text/plain;\r\n charset=\"utf-8\"\r\nContent-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\n\
        List-Unsubscribe: <https://example.org/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
        Reply-To: <r@example.org>\r\nTo: bob@example.net\r\nCc:\r\nX-Other: unsigned\r\n\r\n".as_bytes();
    let utf8 = "From: Jürgen <jürgen@example.org>\r\nSubject: Grüße aus Köln\r\n\r\n".as_bytes();
    let long = "The quick  brown fox\tjumps over the lazy dog. \r\n".repeat(500);
    vec![
        ("ordinary", signed(plain, b"Hello Bob,\r\n\r\nall is well.\r\n")),
        ("empty", signed(plain, b"")),
        ("nothing but empty lines", signed(plain, b"\r\n\r\n\r\n")),
        ("nothing but spaces", signed(plain, b" \r\n\t \r\n")),
        ("whitespace-tailed", signed(plain, b"Hello\r\n \r\n\t \r\n")),
        ("spaces at line ends", signed(plain, b"Hello  there \t\r\n  and  \r\n\r\nmore\t\r\n")),
        ("no last line end", signed(plain, b"Hello")),
        ("dots", signed(plain, b".\r\n..\r\n.hidden\r\n")),
        ("8-bit", signed(folded, b"Gr\xfc\xdfe\r\n\x80\xff \r\n")),
        ("UTF-8", signed(utf8, "Schöne Grüße \u{a0}\r\n".as_bytes())),
        ("long", signed(folded, long.as_bytes())),
    ]
}

/// The answer of a verifier to each message.
fn verdicts(mut verifier: Command, messages: &[Vec<u8>]) -> Vec<Value> {
    let dns: serde_json::Map<String, Value> =
        keys().iter().map(|key| (key.record_name(), key.record_value().into())).collect();
    let mut input = String::new();
    for message in messages {
        writeln!(input, "{}", json!({ "message": BASE64.encode(message), "dns": dns })).unwrap();
    }
    let mut child = verifier.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn check(verifier: impl Fn() -> Command) {
    let mails = mails();
    let messages: Vec<Vec<u8>> = mails.iter().map(|(_, message)| message.clone()).collect();
    let good = json!([["rsa-sha256", true], ["ed25519-sha256", true]]);
    let found = verdicts(verifier(), &messages);
    for ((name, message), verdict) in mails.iter().zip(&found) {
        assert_eq!(*verdict, good, "{name}:\n{}", String::from_utf8_lossy(message));
    }
    assert_eq!(found.len(), mails.len());

    // The same verifiers must not believe what was changed on the way, or they prove nothing.
    let ordinary = String::from_utf8(messages[0].clone()).unwrap();
    let changed = [
        ordinary.replace("all is well", "all is lost"),
        ordinary.replace("Subject: Hello", "Subject: Hallo"),
        ordinary.replace("\r\nFrom: ", "\r\nFrom: evil@example.org\r\nFrom: "),
        ordinary.replace("To: bob@", "To: eve@"),
    ]
    .map(String::into_bytes);
    let bad = json!([["rsa-sha256", false], ["ed25519-sha256", false]]);
    for (verdict, message) in verdicts(verifier(), &changed).iter().zip(&changed) {
        assert_eq!(*verdict, bad, "{}", String::from_utf8_lossy(message));
    }
}

#[test]
fn dkimpy_believes_both_signatures_on_every_kind_of_mail() {
    check(|| tools::python("dkim_verify.py"));
}

#[test]
fn mailauth_of_npm_believes_both_signatures_on_every_kind_of_mail() {
    check(|| tools::node("dkim_verify.js"));
}
