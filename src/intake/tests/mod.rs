//! The door over a real store: what comes in, what is kept of it, and what is refused with which words.

mod entering;
mod refusing;

use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::access::{Created, Edit, NewCredential, Scope};
use crate::clock::ManualClock;
use crate::identity::{IdentityName, NewIdentity, SetOptions};
use crate::mail::event::{Bounce, BounceEnd, EventKind};
use crate::mail::facts::TlsPolicy;
use crate::mail::{Body, BodyKind, Class, Event, Message, Notify, Recipient, Reply};
use crate::message::dkim::BodyHasher;
use crate::store::vault::Vault;
use crate::store::{CommitSink, Disk, Fault, FaultDisk, Place, RealDisk, StoreOptions, WaitKey};
use crate::suppression::{Entry, Reason};

const START_MS: u64 = 1_700_000_000_000;
const PLAIN: &str =
    "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nhello\r\n";

/// Everything that was committed, as the queue would hear of it.
#[derive(Default)]
struct Heard(Mutex<Vec<(Arc<Message>, Vec<u32>)>>);

impl CommitSink for Heard {
    fn committed(&self, message: &Arc<Message>, _place: Place, waiting: &[WaitKey]) {
        let waiting = waiting.iter().map(|key| key.n).collect();
        self.0.lock().push((Arc::clone(message), waiting));
    }
}

struct House {
    clock: Arc<ManualClock>,
    store: Store,
    access: Arc<Access>,
    identities: Arc<Identities>,
    suppression: Suppression,
    intake: Intake,
    heard: Arc<Heard>,
    credential: Arc<Credential>,
    dir: tempfile::TempDir,
}

impl House {
    /// A server with the address identity `ann@example.org` and one credential.
    async fn new() -> House {
        House::with(IntakeLimits::default(), 64 << 20).await
    }

    async fn with(limits: IntakeLimits, memory_bytes_max: u64) -> House {
        House::on(RealDisk::shared(), limits, |options| options.memory_bytes_max = memory_bytes_max)
            .await
    }

    async fn on(
        disk: Arc<dyn Disk>,
        limits: IntakeLimits,
        change: impl FnOnce(&mut StoreOptions),
    ) -> House {
        let dir = tempfile::tempdir().unwrap();
        let manual = ManualClock::at(START_MS);
        let clock = Arc::clone(&manual) as Arc<dyn Clock>;
        let mut options = StoreOptions {
            segment_bytes: 4 << 20,
            reserve_bytes: Some(4 << 20),
            ..StoreOptions::new(dir.path())
        };
        change(&mut options);
        let (store, _) = Store::open(options, Arc::clone(&clock), disk).unwrap();
        let vault = Vault::of_key([7; 32]).unwrap();
        let access = Access::open(store.clone(), vault.clone(), Arc::clone(&clock)).unwrap();
        let access = Arc::new(access);
        let bounce = Domain::parse("bounce.example.com").unwrap();
        let identities =
            Identities::open(store.clone(), vault, Arc::clone(&clock), bounce).unwrap();
        let identities = Arc::new(identities);
        let suppression = Suppression::open(store.clone()).unwrap();
        let hostname = Domain::parse("mail.example.com").unwrap();
        let intake = Intake::new(IntakeParts {
            store: store.clone(),
            access: Arc::clone(&access),
            identities: Arc::clone(&identities),
            pools: Pools::one(&[], &hostname),
            suppression: suppression.clone(),
            return_paths: token::Keys::new(&[(1, [9; 32])]).unwrap(),
            hostname,
            clock,
            limits,
        });
        let heard = Arc::new(Heard::default());
        store.notify(Arc::clone(&heard) as Arc<dyn CommitSink>);
        let Created { credential, .. } = access.create(NewCredential::named("app")).await.unwrap();
        let house = House {
            clock: manual,
            store,
            access,
            identities,
            suppression,
            intake,
            heard,
            credential,
            dir,
        };
        house.identity("ann@example.org").await;
        house
    }

    async fn identity(&self, name: &str) {
        let name = IdentityName::parse(name).unwrap();
        self.identities.add(NewIdentity::named(name)).await.unwrap();
    }

    async fn set(&self, name: &str, options: SetOptions) {
        self.identities.add_config_set(name, 0, options).await.unwrap();
    }

    fn sender(&self) -> Arc<Sender> {
        Arc::new(Sender {
            credential: Arc::clone(&self.credential),
            client: [192, 0, 2, 1].into(),
            helo: "app.internal".into(),
            protocol: "ESMTPSA",
            tls: None,
        })
    }

    /// The whole dialogue, as submission has it.
    async fn send(&self, envelope: Envelope, octets: &[u8]) -> Result<MessageId, Refusal> {
        self.send_in(envelope, octets, octets.len().max(1)).await
    }

    async fn send_in(
        &self,
        envelope: Envelope,
        octets: &[u8],
        chunk: usize,
    ) -> Result<MessageId, Refusal> {
        let sender = self.sender();
        self.intake.mail(&sender, &envelope.from, None)?;
        let mut so_far = Envelope { recipients: Vec::new(), ..envelope.clone() };
        for recipient in &envelope.recipients {
            self.intake.recipient(&sender, &so_far, &recipient.mailbox)?;
            so_far.recipients.push(recipient.clone());
        }
        let mut receiving = self.intake.begin(&sender, envelope, None).await?;
        for chunk in octets.chunks(chunk) {
            receiving.push(chunk).await;
        }
        self.intake.accept(receiving).await
    }

    async fn refusal(&self, envelope: Envelope, text: &str) -> String {
        let refused = self.send(envelope, text.as_bytes()).await;
        refused.map_or_else(|refusal| refusal.reply().to_string(), |_| "accepted".into())
    }

    fn last(&self) -> (Arc<Message>, Vec<u32>) {
        self.heard.0.lock().last().cloned().expect("something was committed")
    }

    fn head(&self) -> String {
        String::from_utf8(self.last().0.head.to_vec()).unwrap()
    }

    fn events(&self) -> Vec<Event> {
        self.store.events_from(0, 1_000).unwrap().into_iter().map(|(_, event)| event).collect()
    }

    fn used(&self) -> u64 {
        self.access.list().remove(0).1.recipients_24h
    }
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn to(recipients: &[&str]) -> Envelope {
    let recipient =
        |text: &&str| Recipient { mailbox: mailbox(text), notify: Notify::ABSENT, original: None };
    Envelope {
        from: ReversePath::Mailbox(mailbox("ann@example.org")),
        recipients: recipients.iter().map(recipient).collect(),
        ret: None,
        envid: None,
        body: BodyKind::SevenBit,
        utf8: false,
        hold_until_ms: None,
    }
}

fn bob() -> Envelope {
    to(&["bob@example.net"])
}
