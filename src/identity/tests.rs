//! Identities and configuration sets on a real store.

use std::path::Path;

use super::*;
use crate::clock::ManualClock;
use crate::mail::Class;
use crate::store::{RealDisk, StoreOptions};

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn new(name: &str) -> NewIdentity {
    NewIdentity::named(IdentityName::parse(name).unwrap())
}

fn open(dir: &Path) -> (Store, Identities) {
    let mut options = StoreOptions::new(dir);
    options.segment_bytes = StoreOptions::FLOOR_BYTES;
    options.reserve_bytes = Some(StoreOptions::FLOOR_BYTES);
    options.ballast_bytes = StoreOptions::FLOOR_BYTES;
    let clock = ManualClock::at(1_700_000_000_000);
    let (store, _) = Store::open(options, clock.clone(), Arc::new(RealDisk)).unwrap();
    let vault = Vault::of_key([1; 32]).unwrap();
    let identities =
        Identities::open(store.clone(), vault, clock, domain("bounce.mail.example")).unwrap();
    (store, identities)
}

/// Ends the store and opens it again, as a restart does.
fn restart(dir: &Path, held: (Store, Identities)) -> (Store, Identities) {
    let (store, identities) = held;
    drop(identities);
    store.close();
    open(dir)
}

#[tokio::test]
async fn an_identity_and_its_keys_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path());
    let added = held.1.add(new("example.org")).await.unwrap();
    let keys = held.1.signing_keys(&added).unwrap();
    let published: Vec<String> = keys.iter().map(|key| key.record_value()).collect();
    assert_eq!(
        keys.iter().map(|key| key.algorithm()).collect::<Vec<_>>(),
        ["rsa-sha256", "ed25519-sha256"]
    );

    let held = restart(dir.path(), held);
    let found = held.1.for_address(&mailbox("ann@news.example.org")).unwrap();
    assert_eq!((found.number, found.name.clone()), (added.number, added.name.clone()));
    assert!(found.feedback_forwarding);
    let keys = held.1.signing_keys(&found).unwrap();
    assert_eq!(keys.iter().map(|key| key.record_value()).collect::<Vec<_>>(), published);
}

#[tokio::test]
async fn an_address_is_signed_for_by_the_identity_of_its_domain() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, identities) = open(dir.path());
    let ann = identities.add(new("ann@example.org")).await.unwrap();
    assert!(identities.signing_keys(&ann).unwrap().is_empty());
    assert!(identities.dns_records(&ann, &domain("mail.example"), &[]).unwrap().is_empty());
    identities.add(new("example.org")).await.unwrap();
    assert_eq!(identities.signing_keys(&ann).unwrap()[0].domain(), &domain("example.org"));
    assert_eq!(identities.dns_records(&ann, &domain("mail.example"), &[]).unwrap().len(), 5);
}

#[tokio::test]
async fn a_number_is_never_given_out_twice() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path());
    let first = held.1.add(new("a@example.org")).await.unwrap();
    held.1.remove("A@example.ORG").await.unwrap_err();
    held.1.remove("a@example.ORG").await.unwrap();
    let set = held.1.add_config_set("x", 0, SetOptions::default()).await.unwrap();
    held.1.remove_config_set("x").await.unwrap();
    let held = restart(dir.path(), held);
    assert!(held.1.list().is_empty() && held.1.config_sets().is_empty());
    assert!(held.1.add(new("a@example.org")).await.unwrap().number > first.number);
    let again = held.1.add_config_set("x", 0, SetOptions::default()).await.unwrap();
    assert!(again.number > set.number);
}

#[tokio::test]
async fn an_identity_is_changed_where_it_was_asked_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path());
    let added = held.1.add(new("example.org")).await.unwrap();
    assert_eq!(held.1.bounce_domain(&added), &domain("bounce.mail.example"));
    let edit = IdentityEdit {
        bounce: Some(Some(domain("bounce.example.org"))),
        feedback_forwarding: Some(false),
        verification: Some(Verification::Success),
    };
    held.1.set("example.org", edit).await.unwrap();
    let held = restart(dir.path(), held);
    let found = held.1.named("example.org").unwrap();
    assert_eq!(held.1.bounce_domain(&found), &domain("bounce.example.org"));
    assert!(!found.feedback_forwarding);
    assert_eq!(found.verification, Verification::Success);
    let edit = IdentityEdit { bounce: Some(None), ..IdentityEdit::default() };
    let found = held.1.set("example.org", edit).await.unwrap();
    assert_eq!(held.1.bounce_domain(&found), held.1.bounce_default());
    assert_eq!(found.verification, Verification::Success);
    assert_eq!(held.1.signing_keys(&found).unwrap().len(), 2);
}

#[tokio::test]
async fn what_exists_or_does_not_is_said_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, identities) = open(dir.path());
    identities.add(new("a@example.org")).await.unwrap();
    let taken = identities.add(new("\"a\"@example.org")).await.unwrap_err();
    assert!(matches!(taken, IdentityError::Taken(_)), "{taken}");
    let unknown = identities.remove("example.net").await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no identity example.net, see the list of identities");
    identities.add_config_set("bulk", 0, SetOptions::default()).await.unwrap();
    let taken = identities.add_config_set("bulk", 0, SetOptions::default()).await.unwrap_err();
    assert!(matches!(taken, IdentityError::SetTaken(_)), "{taken}");
    let unknown = identities.set_config_set("none", |_| {}).await.unwrap_err();
    assert!(matches!(unknown, IdentityError::SetUnknown(_)), "{unknown}");
}

#[tokio::test]
async fn a_configuration_set_is_changed_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path());
    held.1.add_config_set("bulk", 0, SetOptions::default()).await.unwrap();
    let change = |options: &mut SetOptions| {
        options.class = Class::Bulk;
        options.sending = false;
    };
    held.1.set_config_set("bulk", change).await.unwrap();
    let wrong = held.1.set_config_set("bulk", |options| options.max_age_ms = Some(1)).await;
    assert!(matches!(wrong, Err(IdentityError::MaxAge)));
    let held = restart(dir.path(), held);
    let set = held.1.config_set("bulk").unwrap();
    assert_eq!(
        (set.options.class, set.options.sending, set.options.max_age_ms),
        (Class::Bulk, false, None)
    );
    assert_eq!(held.1.config_set_by_number(set.number), Some(set));
    assert_eq!(held.1.config_set("none"), None);
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_no_identity_half_made() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path());
    // Polled once and dropped: it may be made or not, but memory and disk must agree.
    let mut add = Box::pin(held.1.add(new("a@example.org")));
    std::future::poll_fn(|cx| std::task::Poll::Ready(add.as_mut().poll(cx).is_ready())).await;
    drop(add);
    // The next door opens only when the last change is through.
    held.1.add_config_set("x", 0, SetOptions::default()).await.unwrap();
    let in_memory = held.1.list().len();
    let held = restart(dir.path(), held);
    assert_eq!(held.1.list().len(), in_memory);
}
