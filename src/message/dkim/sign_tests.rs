//! What our signatures look like; that foreign verifiers believe them is shown by `tests/it/dkim.rs`.

use std::sync::{Arc, OnceLock};

use mail_auth::common::crypto::Ed25519Key;
use mail_auth::dkim::generate::DkimKeyPair;

use super::*;
use crate::mail::{Domain, MessageId};
use crate::message::dkim::BodyHasher;
use crate::message::header::Block;
use crate::message::{Head, Hop, Stamp, inspect};

fn keys() -> &'static [Arc<DkimKey>; 2] {
    static KEYS: OnceLock<[Arc<DkimKey>; 2]> = OnceLock::new();
    KEYS.get_or_init(|| {
        let domain = Domain::parse("example.org").unwrap();
        let rsa = DkimKeyPair::generate_rsa(2048).unwrap();
        let ed = Ed25519Key::generate_pkcs8().unwrap();
        [
            Arc::new(DkimKey::rsa(domain.clone(), "r1", rsa.private_key()).unwrap()),
            Arc::new(DkimKey::ed25519(domain, "e1", &ed).unwrap()),
        ]
    })
}

const HEAD: &str = "Received: by a\r\nFrom: Ann\r\n  <ann@example.org>\r\nTO: bob@example.net\r\n\
    Subject:  Hi  \t there \r\nContent-Type: text/plain\r\nX-Other: y\r\nTo: carl@example.net\r\n\r\n";

const HEAD_TYPICAL: &str = "From: Ann Smith <ann@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: Your order 12345\r\n\
    Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <12345@example.org>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/alternative; boundary=\"xyz\"\r\nReply-To: <help@example.org>\r\n\
    List-Unsubscribe: <https://example.org/u/12345>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\
    X-Mailer: shop 1.2\r\nX-SES-CONFIGURATION-SET: orders\r\nX-SES-MESSAGE-TAGS: kind=order, shop=7\r\n\r\n";

fn signed(head: &str, body: &str) -> String {
    let mut hasher = BodyHasher::new();
    hasher.push(body.as_bytes());
    let block = Block::parse(head.as_bytes()).unwrap();
    let fields = block.fields().iter().copied();
    String::from_utf8(sign(fields, &hasher.finish(), keys(), 1_700_000_000).unwrap()).unwrap()
}

fn tag(field: &Field<'_>, name: &str) -> String {
    let value = field.unfolded().replace(' ', "");
    let start = format!("{name}=");
    let found = value.split(';').find_map(|part| part.strip_prefix(&start));
    found.unwrap_or_else(|| panic!("no {name}= in {value}")).to_owned()
}

#[test]
fn both_algorithms_sign_the_same_fields_and_nothing_that_is_not_there() {
    let text = signed(HEAD, "Hello\r\n");
    let block = Block::parse(text.as_bytes()).unwrap();
    let [rsa, ed] = block.fields() else { panic!("two fields: {text}") };
    assert_eq!((tag(rsa, "a"), tag(ed, "a")), ("rsa-sha256".into(), "ed25519-sha256".into()));
    for field in [rsa, ed] {
        assert_eq!(tag(field, "h"), "to:content-type:subject:to:from:from");
        assert_eq!(tag(field, "d"), "example.org");
        assert_eq!(tag(field, "t"), "1700000000");
        assert_eq!(tag(field, "c"), "relaxed/relaxed");
    }
    assert_eq!(tag(rsa, "bh"), tag(ed, "bh"));
}

#[test]
fn no_line_of_a_signature_is_longer_than_78_columns() {
    let many = (0..30).map(|n| format!("Content-Number-{n}: x\r\n")).collect::<Vec<_>>().concat();
    let text = signed(&format!("From: ann@example.org\r\n{many}\r\n"), "");
    assert!(text.ends_with("\r\n"));
    for line in text.lines() {
        assert!(line.len() <= LINE_COLUMNS_MAX, "{line:?}");
    }
}

#[test]
fn relaxed_fields_lose_their_folds_and_spare_spaces() {
    let check = |value: &str, want: &str| {
        let mut out = Vec::new();
        write_relaxed("a", value.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), want, "for {value:?}");
    };
    check(" X\r\n", "a:X");
    check("Y\t\r\n\tZ  \r\n", "a:Y Z");
    check("\r\n", "a:");
    check("\r\n a\r\n  b\r\n", "a:a b");
}

#[test]
fn a_selector_that_dns_could_not_hold_is_refused() {
    let domain = || Domain::parse("example.org").unwrap();
    let der = Ed25519Key::generate_pkcs8().unwrap();
    for selector in ["", "A", "a b", "a;b", "-a", "a..b", &"a".repeat(64)] {
        let error = DkimKey::ed25519(domain(), selector, &der).unwrap_err();
        assert_eq!(error, KeyError::Selector(selector.to_owned()));
    }
    assert!(DkimKey::ed25519(domain(), "pr1.mail", &der).is_ok());
    assert!(matches!(DkimKey::rsa(domain(), "a", b"no key"), Err(KeyError::Octets(_))));
}

#[test]
fn a_key_is_not_shown_by_debug() {
    let [rsa, ed] = keys();
    assert_eq!(format!("{rsa:?}"), "DkimKey(rsa-sha256 r1._domainkey.example.org)");
    assert_eq!(format!("{ed:?}"), "DkimKey(ed25519-sha256 e1._domainkey.example.org)");
}

#[test]
fn an_rsa_record_holds_a_public_key_as_openssl_writes_it() {
    let value = keys()[0].record_value();
    // 2048 bits with exponent 65537: every such key begins like this.
    assert!(
        value.starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"),
        "{value}"
    );
    assert!(value.ends_with("IDAQAB"), "{value}");
}

/// Not a limit, a figure: what one message of 10 KiB costs beside the bare RSA operation. Run it with
/// `POSTRIDER_MEASURE=1 CARGO_PROFILE_TEST_OPT_LEVEL=3 cargo test --lib signing_costs -- --nocapture`.
#[test]
#[allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement for people")]
fn signing_costs_little_more_than_its_rsa_operation() {
    let body =
        format!("{}\r\n", "The quick brown fox jumps over the lazy dog, and so on.  ".trim_end())
            .repeat(10 * 1024 / 57);
    let [rsa, ed] = keys();
    let (batches, rounds) =
        if std::env::var_os("POSTRIDER_MEASURE").is_some() { (40, 100) } else { (2, 5) };
    // The best of many batches: other work on the machine only ever adds.
    let time = |work: &mut dyn FnMut()| {
        let batch = |work: &mut dyn FnMut()| {
            let start = std::time::Instant::now();
            (0..rounds).for_each(|_| work());
            start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
        };
        (0..batches).map(|_| batch(work)).fold(f64::MAX, f64::min)
    };
    let hash = || {
        let mut hasher = BodyHasher::new();
        hasher.push(body.as_bytes());
        hasher.finish()
    };
    let block = Block::parse(HEAD_TYPICAL.as_bytes()).unwrap();
    let fields = || block.fields().iter().copied();
    let bare = time(&mut || drop(rsa.sign(&[7; 900])));
    let bare_ed = time(&mut || drop(ed.sign(&[7; 900])));
    let body_hash = time(&mut || {
        let _ = std::hint::black_box(hash());
    });
    let sha = time(&mut || {
        let _ = std::hint::black_box(ring::digest::digest(&ring::digest::SHA256, body.as_bytes()));
    });
    let both = time(&mut || drop(sign(fields(), &hash(), keys(), 1_700_000_000)));
    let rsa_only = time(&mut || drop(sign(fields(), &hash(), &keys()[..1], 1_700_000_000)));
    let hostname = Domain::parse("mail.example.org").unwrap();
    let edit = time(&mut || {
        let block = Block::parse(HEAD_TYPICAL.as_bytes()).unwrap();
        std::hint::black_box(inspect(&block, false).unwrap());
        let stamp = Stamp {
            id: MessageId::new(1, 1, 1),
            hostname: &hostname,
            now_ms: 1_700_000_000_000,
            hop: Hop { with: "ESMTPSA", client: None },
            feedback_id: "a:b:c:d",
        };
        drop(Head::new(&block, &stamp).finish(b""));
    });
    println!("reading, inspecting and editing a header block, µs: {edit:.1}");
    println!(
        "signing 10 KiB, µs: bare RSA-2048 {bare:.1}, bare Ed25519 {bare_ed:.1}, body hash {body_hash:.1} (SHA-256 alone {sha:.1}), \
         RSA beyond bare {:.1}, both beyond bare RSA {:.1}",
        rsa_only - bare,
        both - bare
    );
}
