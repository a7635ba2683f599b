//! What comes in, what is kept of it, and what follows.

use super::*;

#[tokio::test]
async fn what_was_accepted_is_on_disk_and_as_the_client_wrote_it() {
    let house = House::new().await;
    let text =
        PLAIN.replace("Subject:", "Bcc: secret@example.net\r\nX-SES-Source-Arn: x\r\nsubject:");
    let id =
        house.send(to(&["bob@example.net", "eve@example.net"]), text.as_bytes()).await.unwrap();
    let (message, waiting) = house.last();
    assert_eq!((message.facts.id, waiting), (id, vec![0, 1]));
    let head = house.head();
    assert!(head.starts_with("Received: by mail.example.com (Postrider)"), "{head}");
    for present in
        [&*format!("X-Postrider-Id: {id}\r\n"), "subject: hello\r\n", "Message-ID: <", "Date: "]
    {
        assert!(head.contains(present), "{present} in {head}");
    }
    for absent in ["secret", "X-SES", "192.0.2.1", "app.internal"] {
        assert!(!head.contains(absent), "{absent} in {head}");
    }
    let Body::Memory(body) = &message.body else { panic!("a short body is held in memory") };
    assert_eq!(&body[..], b"hello\r\n");
    let events = house.events();
    let [Event { kind: EventKind::Send(send), message, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*message, send.recipients_count, &*send.credential), (id, 2, "app"));
    assert_eq!(send.client, "192.0.2.1");
}

#[tokio::test]
async fn a_configuration_set_decides_how_its_mail_is_sent() {
    let house = House::new().await;
    let options = SetOptions {
        tls: TlsPolicy::Verify,
        class: Class::Bulk,
        max_age_ms: Some(3_600_000),
        tags: vec![("kind".into(), "letter".into()), ("campaign".into(), "none".into())],
        show_client: true,
        ..SetOptions::default()
    };
    house.set("letters", options).await;
    house.set("off", SetOptions { sending: false, ..SetOptions::default() }).await;
    house.set("lost", SetOptions { pool: 77, ..SetOptions::default() }).await;
    let with = |set: &str, tags: &str| {
        PLAIN.replace(
            "Subject:",
            &format!("X-SES-CONFIGURATION-SET: {set}\r\nX-SES-MESSAGE-TAGS: {tags}\r\nSubject:"),
        )
    };
    assert_eq!(house.refusal(bob(), &with("letters", "campaign=spring")).await, "accepted");
    let (message, _) = house.last();
    let facts = &message.facts;
    assert_eq!((facts.tls, facts.class), (TlsPolicy::Verify, Class::Bulk));
    assert_eq!(facts.expires_ms, START_MS + 3_600_000);
    let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(facts.tags, [tag("campaign", "spring"), tag("kind", "letter")]);
    let head = house.head();
    assert!(head.contains("from app.internal ([192.0.2.1])"), "{head}");
    assert!(head.contains("Feedback-ID: letters:ann@example.org:default:"), "{head}");
    assert!(!head.contains("X-SES"), "{head}");
    for (set, want) in [
        (
            "nosuch",
            "554 5.6.0 Configuration set <nosuch> does not exist, create it or leave it out",
        ),
        ("off", "554 5.7.0 Access denied: sending is switched off for configuration set <off>"),
        (
            "lost",
            "554 5.6.0 Configuration set <lost> names a pool that does not exist, change the set",
        ),
    ] {
        assert_eq!(house.refusal(bob(), &with(set, "a=b")).await, want);
    }
    let bad = house.refusal(bob(), &with("letters", "campaign=spring offer")).await;
    assert!(
        bad.starts_with("550 5.6.0 X-SES-MESSAGE-TAGS: \"campaign=spring offer\" is no tag"),
        "{bad}"
    );
}

#[tokio::test]
async fn suppressed_recipients_are_accepted_not_sent_and_told() {
    let house = House::new().await;
    let entry = Entry::new(Reason::Bounce, START_MS, None);
    house.suppression.add(&mailbox("gone@example.net"), &entry).await.unwrap();
    let id =
        house.send(to(&["gone@example.net", "bob@example.net"]), PLAIN.as_bytes()).await.unwrap();
    let heard = house.heard.0.lock().clone();
    let [(message, waiting), (notice, to_ann)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((message.facts.id, &waiting[..]), (id, &[1][..]));
    assert_eq!((&notice.facts.envelope.from, &to_ann[..]), (&ReversePath::Null, &[0][..]));
    let events = house.events();
    let Some(Event { recipient, kind: EventKind::Bounce(bounce), .. }) = events.get(1) else {
        panic!("{events:?}")
    };
    let Bounce { sub_type, end, .. } = bounce;
    assert_eq!((&**sub_type, *end), ("OnAccountSuppressionList", BounceEnd::Suppressed));
    assert_eq!(recipient, &Some((0, "gone@example.net".to_owned())));
    assert_eq!(house.used(), 2, "a suppressed recipient counts in the quota, as at SES");
}

#[tokio::test]
async fn a_message_of_suppressed_recipients_alone_leaves_events_and_nothing_else() {
    let house = House::new().await;
    let entry = Entry::new(Reason::Manual, START_MS, None);
    house.suppression.add(&mailbox("gone@example.net"), &entry).await.unwrap();
    let mut envelope = to(&["gone@example.net"]);
    envelope.recipients[0].notify = Notify::NEVER;
    let mut text = PLAIN.as_bytes().to_vec();
    text.resize(2 << 20, b'x');
    house.send_in(envelope, &text, 60_000).await.unwrap();
    assert_eq!(house.heard.0.lock().len(), 0);
    assert_eq!(house.events().len(), 2);
    let large = std::fs::read_dir(house.store.dir().join("spool/large"));
    assert_eq!(large.map_or(0, Iterator::count), 0, "the body's file is gone");
}

#[tokio::test]
async fn held_mail_waits_for_its_time_and_gets_its_full_age_then() {
    let house = House::new().await;
    let day_ms = 86_400_000;
    let held = |days: u64| Envelope { hold_until_ms: Some(START_MS + days * day_ms), ..bob() };
    assert_eq!(house.refusal(held(30), PLAIN).await, "accepted");
    let facts = Arc::clone(&house.last().0.facts);
    assert_eq!(facts.expires_ms, START_MS + 34 * day_ms);
    let lane = facts.lane_of(0).unwrap();
    let due = house.store.due(&lane, START_MS + 29 * day_ms, 10, &|_| false).unwrap();
    assert_eq!((due.items.len(), due.next_due_ms), (0, Some(START_MS + 30 * day_ms)));
    assert_eq!(
        house.refusal(held(31), PLAIN).await,
        "501 5.5.4 Messages are held for 30 days at most"
    );
}

#[tokio::test]
async fn a_message_may_end_with_its_header_block() {
    let house = House::new().await;
    assert_eq!(house.refusal(bob(), "From: ann@example.org\r\nSubject: x\r\n").await, "accepted");
    assert!(house.last().0.body.is_empty());
    assert!(house.head().ends_with("Subject: x\r\n\r\n"));
}

#[tokio::test]
async fn a_body_without_memory_goes_to_its_file_instead_of_waiting() {
    let house = House::with(IntakeLimits::default(), 4 << 20).await;
    let sender = house.sender();
    let mut small = house.intake.begin(&sender, bob(), Some(64)).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(house.intake.begin(&sender, bob(), Some(1 << 20)).await.unwrap());
    }
    held.push(house.intake.begin(&sender, bob(), Some((1 << 20) - (64 << 10))).await.unwrap());
    let mut text = PLAIN.as_bytes().to_vec();
    text.resize(300_000, b'x');
    small.push(&text).await;
    house.intake.accept(small).await.unwrap();
    let (message, _) = house.last();
    let Body::File { path, len } = &message.body else { panic!("{:?}", message.body) };
    let start = PLAIN.len() - "hello\r\n".len();
    assert_eq!(*len, (300_000 - start) as u64);
    assert_eq!(std::fs::read(path).unwrap(), text[start..]);
}

#[tokio::test]
async fn the_signature_covers_the_body_in_memory_and_in_a_file_alike() {
    let house = House::new().await;
    house.identity("example.org").await;
    let lines = "spaces  and\ttabs \r\n\r\n".repeat(100_000) + "\r\n\r\n";
    for body in ["hello\r\n", "", "  \r\n\r\n", &lines] {
        let text = format!("From: bob@example.org\r\nSubject: x\r\n\r\n{body}");
        let envelope = Envelope { from: ReversePath::Null, ..bob() };
        house.send_in(envelope, text.as_bytes(), 10_000).await.unwrap();
        let mut hasher = BodyHasher::new();
        hasher.push(body.as_bytes());
        let hash = format!("bh={};", data_encoding::BASE64.encode(&hasher.finish()));
        let head = house.head();
        assert_eq!(head.matches(&hash).count(), 2, "RSA and Ed25519 in {head}");
        let is_file = matches!(house.last().0.body, Body::File { .. });
        assert_eq!(is_file, body.len() > 1 << 20);
    }
    let events = house.events();
    let Some(EventKind::Send(send)) = events.last().map(|event| &event.kind) else { panic!() };
    assert_eq!(send.signatures.len(), 2);
    assert!(send.signatures[0].starts_with("rsa-sha256 "), "{:?}", send.signatures);
}

#[tokio::test]
async fn notices_follow_notify_and_never_answer_the_null_path() {
    let house = House::new().await;
    let reply = Reply::new(550, "5.1.1 no such user");
    let failed = News::Failed { reply: &reply, expired: false };
    let delayed = News::Delayed { reply: None, until_ms: START_MS };
    let delivered = News::Delivered { reply: &reply, relayed: true };
    let all = Notify::SUCCESS.with(Notify::FAILURE).with(Notify::DELAY);
    let cases = [
        (Notify::ABSENT, true, [true, false, false]),
        (Notify::ABSENT, false, [false, false, false]),
        (Notify::NEVER, true, [false, false, false]),
        (Notify::FAILURE, false, [true, false, false]),
        (Notify::DELAY, true, [false, true, false]),
        (Notify::SUCCESS, true, [false, false, true]),
        (all, false, [true, true, true]),
    ];
    let notary = &house.intake.0.notary;
    for null in [false, true] {
        for (notify, forwarding, wants) in cases {
            let mut envelope = bob();
            envelope.recipients[0].notify = notify;
            if null {
                envelope.from = ReversePath::Null;
            }
            house.send(envelope, PLAIN.as_bytes()).await.unwrap();
            let mut message = Message::clone(&house.last().0);
            let facts =
                crate::mail::Facts { feedback_forwarding: forwarding, ..(*message.facts).clone() };
            message.facts = Arc::new(facts);
            for (news, want) in [failed, delayed, delivered].into_iter().zip(wants) {
                let about = About { message: &message, recipient: 0, news, host: "mx.example.net" };
                let notice = notary.notice(&about);
                assert_eq!(notice.is_some(), want && !null, "{notify:?} {forwarding} {news:?}");
                let Some(notice) = notice else { continue };
                let envelope = &notice.facts.envelope;
                assert_eq!(envelope.from, ReversePath::Null);
                assert_eq!(envelope.recipients[0].mailbox, mailbox("ann@example.org"));
                let about = About { message: &notice, recipient: 0, news: failed, host: "" };
                assert!(notary.notice(&about).is_none(), "a notice is never answered");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_message_is_the_same_however_its_octets_are_cut(chunk in 1usize..200, lines in 0usize..50) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let house = House::new().await;
            let text = format!("{PLAIN}{}", "one more line\r\n".repeat(lines));
            house.send_in(bob(), text.as_bytes(), chunk).await.unwrap();
            let (message, _) = house.last();
            let Body::Memory(body) = &message.body else { panic!("a short body is held in memory") };
            let from = PLAIN.len() - "hello\r\n".len();
            prop_assert_eq!(&body[..], &text.as_bytes()[from..]);
            Ok(())
        })?;
    }
}
