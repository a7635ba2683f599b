//! What is refused, and with which words.

use super::*;

/// MAIL FROM (empty for the null path), header, and what is answered.
fn impostors() -> Vec<(&'static str, &'static str, String)> {
    let rejected = |place: &str, address: &str| {
        format!(
            "554 5.7.1 Message rejected: {place} address <{address}> is no identity that this credential may use"
        )
    };
    vec![
        ("ann@example.org", "From: ann@example.org", "accepted".to_owned()),
        ("ann@example.org", "From: Ann <ann@EXAMPLE.org>", "accepted".to_owned()),
        ("", "From: ann@example.org", "accepted".to_owned()),
        ("postmaster@example.org", "From: ann@example.org", "accepted".to_owned()),
        ("eve@example.net", "From: ann@example.org", rejected("MAIL FROM", "eve@example.net")),
        ("bob@example.org", "From: ann@example.org", rejected("MAIL FROM", "bob@example.org")),
        (
            "ann@mail.example.org",
            "From: ann@example.org",
            rejected("MAIL FROM", "ann@mail.example.org"),
        ),
        (
            "ann%example.net@example.org",
            "From: ann@example.org",
            rejected("MAIL FROM", "ann%example.net@example.org"),
        ),
        (
            "example.net!ann@example.org",
            "From: ann@example.org",
            rejected("MAIL FROM", "example.net!ann@example.org"),
        ),
        (
            "\"ann@example.net\"@example.org",
            "From: ann@example.org",
            rejected("MAIL FROM", "\"ann@example.net\"@example.org"),
        ),
        ("ann@example.org", "From: eve@example.net", rejected("From", "eve@example.net")),
        (
            "ann@example.org",
            "From: \"ann@example.org\" <eve@example.net>",
            rejected("From", "eve@example.net"),
        ),
        (
            "ann@example.org",
            "From: ann@example.org, eve@example.net",
            rejected("From", "eve@example.net"),
        ),
        (
            "ann@example.org",
            "From: ann@example.org\r\nSender: eve@example.net",
            rejected("Sender", "eve@example.net"),
        ),
        (
            "ann@example.org",
            "From: ann@example.org\r\nSender: postmaster@example.org",
            "accepted".to_owned(),
        ),
        (
            "ann@example.org",
            "From: ann@example.org\r\nfrom: eve@example.net",
            "550 5.6.0 field From stands more than once, RFC 5322 allows one".to_owned(),
        ),
        (
            "ann@example.org",
            "Subject: no author",
            "550 5.6.0 the message has no From field, add one".to_owned(),
        ),
    ]
}

/// E-54: nobody sends as somebody else, by whatever door of the envelope or the header.
#[tokio::test]
async fn nobody_sends_as_somebody_else() {
    let house = House::new().await;
    house.identity("postmaster@example.org").await;
    for (from, head, want) in impostors() {
        let from =
            if from.is_empty() { ReversePath::Null } else { ReversePath::Mailbox(mailbox(from)) };
        let envelope = Envelope { from, ..bob() };
        assert_eq!(house.refusal(envelope, &format!("{head}\r\n\r\nhi\r\n")).await, want, "{head}");
    }
    let accepted = house.used();
    assert_eq!(accepted, 5, "what was refused costs no quota");
}

#[tokio::test]
async fn a_credential_sends_only_as_the_identities_of_its_list() {
    let house = House::new().await;
    house.identity("bob@example.org").await;
    let scope = Scope::Only(vec!["bob@example.org".parse().unwrap()]);
    house.access.set(1, Edit { scope: Some(scope), ..Edit::default() }).await.unwrap();
    let refused = house.refusal(bob(), PLAIN).await;
    assert!(refused.starts_with("554 5.7.1 Message rejected: MAIL FROM"), "{refused}");
    let null = Envelope { from: ReversePath::Null, ..bob() };
    assert!(house.refusal(null, PLAIN).await.contains("From address <ann@example.org>"));
}

#[tokio::test]
async fn a_forged_return_path_is_not_mailed_through_us() {
    let house = House::new().await;
    let keys = token::Keys::new(&[(1, [9; 32])]).unwrap();
    let id = house.store.new_id();
    let own = keys.local_part(token::ReturnPath { message: id, recipient: 0 });
    let forged = token::Keys::new(&[(1, [8; 32])]).unwrap();
    let forged = forged.local_part(token::ReturnPath { message: id, recipient: 0 });
    let denied = "554 5.7.1 Access denied: this is no return path that this server gave out";
    for (to_address, want) in [
        (format!("{own}@bounce.example.com"), "accepted"),
        (format!("{forged}@bounce.example.com"), denied),
        ("b+x@bounce.example.com".to_owned(), denied),
        ("B+x@bounce.example.com".to_owned(), denied),
        ("b+x@example.net".to_owned(), "accepted"),
        ("postmaster@bounce.example.com".to_owned(), "accepted"),
    ] {
        assert_eq!(house.refusal(to(&[&to_address]), PLAIN).await, want, "{to_address}");
    }
}

#[tokio::test]
async fn sizes_are_real_octets_whatever_was_said() {
    let limits = IntakeLimits {
        message_octets_max: 3 << 20,
        volume_octets_max: 4 << 20,
        recipients_max: 3,
        ..IntakeLimits::default()
    };
    let house = House::with(limits, 64 << 20).await;
    let sender = house.sender();
    let large = Err(Refusal::MessageLarge { octets_max: 3 << 20 });
    let volume = Err(Refusal::VolumeLarge { octets_max: 4 << 20 });
    let from = bob().from;
    assert_eq!(house.intake.mail(&sender, &from, Some(3 << 20)), Ok(()));
    assert_eq!(house.intake.mail(&sender, &from, Some((3 << 20) + 1)), large);
    let two = || to(&["bob@example.net", "eve@example.net"]);
    let begun = house.intake.begin(&sender, two(), Some((2 << 20) + 1)).await.map(|_| ());
    assert_eq!(begun, volume);
    let text = |octets: usize| {
        let mut text = PLAIN.as_bytes().to_vec();
        text.resize(octets, b'x');
        text
    };
    assert_eq!(house.send_in(bob(), &text((3 << 20) + 1), 60_000).await.map(|_| ()), large);
    assert_eq!(house.send_in(two(), &text((2 << 20) + 1), 60_000).await.map(|_| ()), volume);
    assert!(house.send_in(two(), &text(2 << 20), 60_000).await.is_ok());
    assert!(house.send_in(bob(), &text(3 << 20), 60_000).await.is_ok());
    let four = to(&["a@b.c", "b@b.c", "c@b.c", "d@b.c"]);
    let many = house.refusal(four, PLAIN).await;
    assert!(many.starts_with("452 4.5.3 Too many recipients"), "{many}");
}

#[tokio::test]
async fn quotas_are_told_in_the_words_that_clients_know() {
    let house = House::new().await;
    let edit = Edit { recipients_per_day: Some(Some(2)), ..Edit::default() };
    house.access.set(1, edit).await.unwrap();
    let daily = "454 4.7.0 Throttling failure: Daily message quota exceeded, this credential may mail 2 recipients in 24 hours";
    assert_eq!(house.refusal(to(&["a@b.c", "b@b.c", "c@b.c"]), PLAIN).await, daily);
    assert_eq!(house.refusal(to(&["a@b.c", "b@b.c"]), PLAIN).await, "accepted");
    assert_eq!(house.refusal(bob(), PLAIN).await, daily);
    house.clock.pass(Duration::from_hours(25));
    assert_eq!(house.refusal(bob(), PLAIN).await, "accepted");
}

#[tokio::test]
async fn a_credential_that_is_revoked_ends_in_the_middle_of_its_session() {
    let house = House::new().await;
    let mut receiving = house.intake.begin(&house.sender(), bob(), None).await.unwrap();
    house.access.revoke(1).await.unwrap();
    receiving.push(PLAIN.as_bytes()).await;
    assert_eq!(receiving.refused(), Some(&Refusal::CredentialOff));
    assert_eq!(house.intake.accept(receiving).await, Err(Refusal::CredentialOff));
    assert_eq!(
        house.refusal(bob(), PLAIN).await,
        "554 5.7.0 Access denied: this credential is switched off"
    );
}

#[tokio::test]
async fn a_loop_is_broken() {
    let house = House::new().await;
    let hops = |n: usize| format!("{}{PLAIN}", "Received: by a; b\r\n".repeat(n));
    assert_eq!(house.refusal(bob(), &hops(49)).await, "accepted");
    assert!(house.refusal(bob(), &hops(50)).await.starts_with("554 5.4.6"));
}

#[tokio::test]
async fn a_header_block_without_end_is_refused_with_flat_memory() {
    let house = House::new().await;
    let line = format!("X-Long: {}\r\n", "x".repeat(900));
    let refused = house.refusal(bob(), &line.repeat(20_000)).await;
    assert!(refused.starts_with("552 5.3.4 the header block is longer"), "{refused}");
}

#[tokio::test]
async fn who_finds_no_memory_hears_452_and_who_is_dropped_gives_it_back() {
    let limits = IntakeLimits { place_wait: Duration::from_millis(20), ..IntakeLimits::default() };
    let house = House::with(limits, 4 << 20).await;
    let sender = house.sender();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(house.intake.begin(&sender, bob(), Some(1 << 20)).await.unwrap());
    }
    let refused = house.intake.begin(&sender, bob(), Some(1 << 20)).await.map(|_| ());
    assert_eq!(refused, Err(Refusal::Busy));
    assert_eq!(house.used(), 4, "who was refused gave its quota back");
    held.clear();
    assert_eq!(house.refusal(bob(), PLAIN).await, "accepted");
    assert_eq!(house.used(), 1);
}

#[tokio::test]
async fn addresses_beyond_ascii_need_smtputf8_and_only_then() {
    let house = House::new().await;
    let mut envelope = to(&["jürgen@example.net"]);
    assert!(house.refusal(envelope.clone(), PLAIN).await.starts_with("553 5.6.7"));
    envelope.utf8 = true;
    assert_eq!(house.refusal(envelope, PLAIN).await, "accepted");
    assert!(!house.last().0.facts.envelope.utf8, "the message itself needs none");
    let utf8 = Envelope { utf8: true, ..bob() };
    assert_eq!(house.refusal(utf8, &PLAIN.replace("hello", "grüße")).await, "accepted");
    assert!(house.last().0.facts.envelope.utf8);
    assert!(house.refusal(bob(), &PLAIN.replace("hello", "grüße")).await.starts_with("554 5.6.9"));
}

#[tokio::test]
async fn a_disk_below_its_reserve_takes_no_mail() {
    let limits = IntakeLimits::default();
    let house = House::on(RealDisk::shared(), limits, |options| {
        options.reserve_bytes = Some(u64::MAX / 4);
    })
    .await;
    let low = "452 4.3.1 Insufficient system storage, try again later";
    assert_eq!(house.refusal(bob(), PLAIN).await, low);
    assert_eq!(house.used(), 0);
}

#[tokio::test]
async fn a_full_queue_takes_no_mail() {
    let limits = IntakeLimits { queued_recipients_max: 2, ..IntakeLimits::default() };
    let house = House::with(limits, 64 << 20).await;
    assert_eq!(house.refusal(to(&["a@b.c", "b@b.c"]), PLAIN).await, "accepted");
    let full = "452 4.3.1 Queue is full, try again later";
    assert_eq!(house.refusal(bob(), PLAIN).await, full);
    house.clock.pass(Duration::from_secs(1));
    assert_eq!(house.refusal(bob(), PLAIN).await, full);
}

/// Whatever the disk fails at, no message hears 250 that a restart does not find.
#[tokio::test]
async fn a_failing_disk_is_answered_421_and_loses_nothing_accepted() {
    for (at, fault) in [(150, Fault::Eio), (151, Fault::Short), (152, Fault::Enospc)] {
        let disk = Arc::new(FaultDisk::new(RealDisk::shared(), at, fault));
        let house = House::on(disk, IntakeLimits::default(), |_| {}).await;
        let mut accepted = Vec::new();
        let refusal = loop {
            match house.send(bob(), PLAIN.as_bytes()).await {
                Ok(id) => accepted.push(id),
                Err(refusal) => break refusal,
            }
            assert!(accepted.len() < 1_000, "the disk was to fail");
        };
        assert_eq!(refusal, Refusal::StoreFailed);
        let again = house.refusal(bob(), PLAIN).await;
        assert_eq!(again, "421 4.3.0 Service not available, closing channel");
        let House { store, dir, clock, intake, access, identities, suppression, .. } = house;
        drop((intake, access, identities, suppression));
        store.close();
        let (store, _) =
            Store::open(StoreOptions::new(dir.path()), clock, RealDisk::shared()).unwrap();
        let found = store.waiting_after(None, 2_000).unwrap();
        let lost = accepted.iter().filter(|id| found.iter().all(|(key, _)| key.id != **id));
        assert_eq!(lost.count(), 0, "of {} accepted, {fault:?} at {at}", accepted.len());
    }
}
