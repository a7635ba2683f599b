//! Credentials over a real store: what they may do, what they used, and that nothing of it is told or forgotten.

use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::store::{Change, RealDisk, StoreOptions};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const START_MS: u64 = 1_700_000_000_000;

/// What a test does to a credential before it is made.
type Spoil = Box<dyn Fn(&mut NewCredential)>;

struct House {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Store,
    access: Access,
}

impl House {
    fn new() -> House {
        House::at(tempfile::tempdir().unwrap(), ManualClock::at(START_MS))
    }

    fn at(dir: tempfile::TempDir, clock: Arc<ManualClock>) -> House {
        let options = StoreOptions { segment_bytes: 4 << 20, ..StoreOptions::new(dir.path()) };
        let (store, _) =
            Store::open(options, Arc::clone(&clock) as Arc<dyn Clock>, RealDisk::shared()).unwrap();
        let vault = Vault::of_key([7; 32]).unwrap();
        let access = Access::open(store.clone(), vault, Arc::clone(&clock) as Arc<dyn Clock>);
        House { dir, clock, store, access: access.unwrap() }
    }

    /// Ends and starts anew over the same folder.
    fn restart(self) -> House {
        drop(self.access);
        self.store.close();
        House::at(self.dir, self.clock)
    }

    async fn create(&self, edit: impl FnOnce(&mut NewCredential)) -> Created {
        let mut new = NewCredential::named("app");
        edit(&mut new);
        self.access.create(new).await.unwrap()
    }

    /// What intake does with a message.
    async fn send(&self, number: u32, recipients: u32) -> Result<(), OverQuota> {
        let taken = self.access.take(number, recipients, recipients)?;
        let records = taken.records(self.clock.now_ms());
        self.store.commit(Change { records, ..Change::default() }).await.unwrap();
        taken.keep();
        Ok(())
    }
}

#[tokio::test]
async fn a_credential_lets_in_with_its_secret_alone_also_after_a_restart() {
    let house = House::new();
    let Created { credential, secret } = house.create(|_| {}).await;
    assert_eq!(secret.reveal().len(), 32, "160 bits as base32");
    let house = house.restart();
    let enter = |user: &str, password: &[u8]| house.access.authenticate(user, password, HERE);
    assert_eq!(enter(&credential.user, secret.reveal()).unwrap(), credential);
    assert_eq!(enter(&credential.user, b"guess"), Err(Denied::Wrong));
    assert_eq!(enter(&credential.user, b""), Err(Denied::Wrong));
    assert_eq!(enter("nobody", secret.reveal()), Err(Denied::Wrong));
}

#[tokio::test]
async fn no_secret_stands_in_the_data_folder() {
    let house = House::new();
    let Created { secret, .. } = house.create(|_| {}).await;
    house.store.checkpoint().await;
    let dir = house.dir.path().to_owned();
    house.store.clone().close();
    let mut folders = vec![dir];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let octets = std::fs::read(entry.path()).unwrap();
            let found = octets.windows(32).any(|window| window == secret.reveal());
            assert!(!found, "in {}", entry.path().display());
        }
    }
}

#[tokio::test]
async fn with_another_instance_key_no_credential_works() {
    let house = House::new();
    let Created { credential, secret } = house.create(|_| {}).await;
    let other = Vault::of_key([8; 32]).unwrap();
    let clock = Arc::clone(&house.clock) as Arc<dyn Clock>;
    let access = Access::open(house.store.clone(), other, clock).unwrap();
    let entered = access.authenticate(&credential.user, secret.reveal(), HERE);
    assert_eq!(entered, Err(Denied::Wrong));
}

#[tokio::test]
async fn switch_sources_and_revocation_hold_at_once() {
    let house = House::new();
    let Created { credential, secret } = house.create(|_| {}).await;
    let number = credential.number;
    let enter = || house.access.authenticate(&credential.user, secret.reveal(), HERE).map(|_| ());
    let set = |edit: Edit| house.access.set(number, edit);

    set(Edit { enabled: Some(false), ..Edit::default() }).await.unwrap();
    assert_eq!(enter(), Err(Denied::Off));
    assert_eq!(house.access.may_send(number), Err(OverQuota::Off));
    assert_eq!(house.access.current(number), None);
    set(Edit { enabled: Some(true), ..Edit::default() }).await.unwrap();
    assert_eq!(enter(), Ok(()));

    let elsewhere = Some(vec!["198.51.100.0/24".parse().unwrap()]);
    set(Edit { sources: elsewhere, ..Edit::default() }).await.unwrap();
    assert_eq!(enter(), Err(Denied::Source(HERE)));
    assert_eq!(house.access.trusted("app", HERE), Err(Denied::Source(HERE)));

    house.access.revoke(number).await.unwrap();
    assert_eq!(enter(), Err(Denied::Wrong));
    assert_eq!(house.access.trusted("app", HERE), Err(Denied::Off));
    assert!(matches!(house.access.revoke(number).await, Err(AccessError::Unknown(_))));
}

#[tokio::test]
async fn a_number_is_never_given_out_twice() {
    let house = House::new();
    let first = house.create(|_| {}).await.credential;
    house.access.revoke(first.number).await.unwrap();
    let house = house.restart();
    let second = house.create(|_| {}).await.credential;
    assert_eq!((first.number, second.number), (1, 2));
    assert_ne!(first.user, second.user);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_reason() {
    let house = House::new();
    house.create(|_| {}).await;
    let pattern = || "example.org".parse::<Pattern>().unwrap();
    let cases: [(Spoil, &str); 6] = [
        (Box::new(|_| {}), "a credential named app exists, choose another name or revoke it"),
        (
            Box::new(|new| new.name.clear()),
            "a credential's name has 1 to 64 printable ASCII characters",
        ),
        (
            Box::new(|new| new.name = "a\nb".into()),
            "a credential's name has 1 to 64 printable ASCII characters",
        ),
        (
            Box::new(|new| new.rate_per_second = Some(0)),
            "a rate of 0 lets nothing through, switch the credential off instead",
        ),
        (
            Box::new(|new| new.recipients_per_day = Some(0)),
            "a quota of 0 lets nothing through, switch the credential off instead",
        ),
        (
            Box::new(move |new| new.scope = Scope::Only(vec![pattern(); 51])),
            "a credential has at most 50 identities",
        ),
    ];
    for (change, want) in cases {
        let mut new = NewCredential::named("app");
        change(&mut new);
        if new.name == "app"
            && want != "a credential named app exists, choose another name or revoke it"
        {
            new.name = "other".into();
        }
        assert_eq!(house.access.create(new).await.unwrap_err().to_string(), want);
    }
}

#[tokio::test]
async fn the_daily_quota_is_counted_across_restarts() {
    let house = House::new();
    let number = house.create(|new| new.recipients_per_day = Some(10)).await.credential.number;
    assert_eq!(house.send(number, 6).await, Ok(()));
    assert_eq!(house.send(number, 5).await, Err(OverQuota::Daily { per_day: 10 }));
    let house = house.restart();
    assert_eq!(house.send(number, 5).await, Err(OverQuota::Daily { per_day: 10 }));
    assert_eq!(house.send(number, 4).await, Ok(()));
    assert_eq!(house.access.may_send(number), Err(OverQuota::Daily { per_day: 10 }));
    house.clock.pass(Duration::from_hours(26));
    assert_eq!(house.send(number, 10).await, Ok(()));
    let used = house.access.list().remove(0).1;
    assert_eq!(used.recipients_24h, 10);
    assert_eq!(used.last_used_ms, house.clock.now_ms());
    let rows = house.store.scan(&doors::usage_prefix(number), None, 100).unwrap();
    assert_eq!(rows.len(), 1, "hours that left the window leave the store");
    assert_eq!(house.restart().access.list().remove(0).1, used);
}

#[tokio::test]
async fn a_message_that_was_not_accepted_costs_no_quota() {
    let house = House::new();
    let number = house.create(|new| new.recipients_per_day = Some(10)).await.credential.number;
    for _ in 0..100 {
        drop(house.access.take(number, 10, 10).unwrap());
    }
    assert_eq!(house.send(number, 10).await, Ok(()));
}

#[tokio::test]
async fn the_quota_holds_for_messages_at_the_same_time() {
    let house = House::new();
    let number = house.create(|new| new.recipients_per_day = Some(10)).await.credential.number;
    let taken: Vec<_> = (0..20).filter_map(|_| house.access.take(number, 1, 1).ok()).collect();
    assert_eq!(taken.len(), 10);
}

#[tokio::test]
async fn the_rate_holds_and_passes_with_time() {
    let house = House::new();
    let number = house.create(|new| new.rate_per_second = Some(2)).await.credential.number;
    let over = Err(OverQuota::Rate { per_second: 2 });
    assert_eq!(house.send(number, 1).await, Ok(()));
    assert_eq!(house.send(number, 1).await, Ok(()));
    assert_eq!(house.send(number, 1).await, over);
    house.clock.pass(Duration::from_millis(600));
    assert_eq!(house.send(number, 1).await, Ok(()));
    assert_eq!(house.access.may_send(number), over);
}

#[tokio::test]
async fn a_simulators_recipients_count_for_the_rate_alone() {
    let house = House::new();
    let number = house.create(|new| new.recipients_per_day = Some(1)).await.credential.number;
    for _ in 0..5 {
        house.access.take(number, 1, 0).unwrap().keep();
    }
    assert_eq!(house.send(number, 1).await, Ok(()));
}

#[tokio::test]
async fn known_and_unknown_users_are_locked_and_told_alike() {
    let house = House::new();
    let user = house.create(|_| {}).await.credential.user.clone();
    let replies = |client: [u8; 4], user: &str| -> Vec<String> {
        let guess = || house.access.authenticate(user, b"guess", client.into()).unwrap_err();
        (0..12).map(|_| guess().reply().to_string()).collect()
    };
    let (known, unknown) =
        (replies([203, 0, 113, 1], &user), replies([203, 0, 113, 2], "PRNOBODY"));
    assert_eq!(known, unknown);
    assert!(known[0].starts_with("535 5.7.8") && known[11].starts_with("454 4.7.0"), "{known:?}");
    assert_eq!(house.access.counts(), AccessCounts { failures: 10, locked: 14 });
}

#[tokio::test]
async fn a_valid_user_from_elsewhere_is_let_in_during_an_attack() {
    let house = House::new();
    let Created { credential, secret } = house.create(|_| {}).await;
    for n in 0..10_000u32 {
        let client = IpAddr::V4((0xc633_6400 + n % 300).into());
        assert!(house.access.authenticate(&credential.user, b"guess", client).is_err());
    }
    assert!(house.access.authenticate(&credential.user, secret.reveal(), HERE).is_ok());
}
