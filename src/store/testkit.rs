//! Messages, stores and generators for the tests of this module.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::{Clock, SystemClock};
use crate::mail::facts::TlsPolicy;
use crate::mail::{
    Body, BodyKind, Class, Domain, Envelope, Event, EventKind, Facts, Mailbox, Message, MessageId,
    Notify, Recipient, ReversePath,
};

use super::*;

/// Message `unique` with `n` recipients at `n` domains.
pub(super) fn message(unique: u64, n: u32) -> Message {
    let recipients = (0..n).map(|n| Recipient {
        mailbox: Mailbox::parse(&format!("r{n}@d{n}.example")).unwrap(),
        notify: Notify::ABSENT,
        original: None,
    });
    let facts = Facts {
        id: MessageId::new(1_700_000_000_000, 1, unique),
        tenant: 0,
        credential: 1,
        identity: 1,
        config_set: 0,
        pool: 1,
        class: Class::Normal,
        tls: TlsPolicy::Opportunistic,
        accepted_ms: 1_700_000_000_000,
        expires_ms: 1_700_400_000_000,
        tags: Vec::new(),
        envelope: Envelope {
            from: ReversePath::Mailbox(Mailbox::parse("ann@example.org").unwrap()),
            recipients: recipients.collect(),
            ret: None,
            envid: None,
            body: BodyKind::SevenBit,
            utf8: false,
            hold_until_ms: None,
        },
        feedback_forwarding: true,
        client: None,
        unknown: Vec::new(),
    };
    Message {
        facts: Arc::new(facts),
        head: Bytes::from(format!("Subject: {unique}\r\n\r\n")),
        body: Body::Memory(Bytes::from(format!("body {unique}\r\n"))),
    }
}

/// The lane of recipient `n` of any [`message`].
pub(super) fn lane(n: u32) -> Lane {
    let domain = Domain::parse(&format!("d{n}.example")).unwrap();
    Lane { pool: 1, class: Class::Normal, tenant: 0, domain: Lane::hash_domain(domain.as_str()) }
}

/// A change that takes a message in, all its recipients due at `due_ms`, with one event.
pub(super) fn accept(message: Message, due_ms: u64) -> Change {
    let recipients = u32::try_from(message.facts.envelope.recipients.len()).unwrap();
    let event = event(message.facts.id, EventKind::Reject { reason: "a test".into() });
    Change {
        waiting: (0..recipients).map(|n| NewWaiting { n, due_ms }).collect(),
        message: Some(Arc::new(message)),
        events: vec![event],
        ..Change::default()
    }
}

pub(super) fn event(message: MessageId, kind: EventKind) -> Event {
    Event {
        at_ms: 1,
        tenant: 0,
        message,
        recipient: None,
        config_set: 0,
        pool: 1,
        kind,
        unknown: Vec::new(),
    }
}

/// A recipient that reached its end.
pub(super) fn done(key: WaitKey, place: Place) -> Change {
    Change { settled: vec![Settled { key, place, next: None }], ..Change::default() }
}

/// Options of a small store.
pub(super) fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        segment_bytes: 4 << 20,
        reserve_bytes: Some(4 << 20),
        ballast_bytes: 4 << 20,
        ..StoreOptions::new(dir)
    }
}

/// A small store on the machine's disk.
pub(super) fn open(dir: &Path) -> (Store, Opened) {
    open_on(dir, RealDisk::shared()).unwrap()
}

pub(super) fn open_on(dir: &Path, disk: Arc<dyn Disk>) -> Result<(Store, Opened), OpenError> {
    let clock: Arc<dyn Clock> = SystemClock::start();
    Store::open(options(dir), clock, disk)
}

/// Everything that waits.
pub(super) fn queue(store: &Store) -> Vec<(WaitKey, Waiting)> {
    store.waiting_after(None, usize::MAX).unwrap()
}

/// Generators.
pub(super) mod arb {
    use super::super::{Place, WaitKey, Waiting};
    use crate::mail::{Class, FailureClass, Lane, MessageId};
    use proptest::prelude::*;

    pub(in super::super) fn key() -> impl Strategy<Value = WaitKey> {
        (
            any::<u16>(),
            0u8..3,
            any::<u32>(),
            any::<u64>(),
            any::<u64>(),
            any::<[u8; 16]>(),
            any::<u32>(),
        )
            .prop_map(|(pool, class, tenant, domain, due_ms, id, n)| WaitKey {
                lane: Lane { pool, class: Class::of_number(class), tenant, domain },
                due_ms,
                id: MessageId::from_octets(id),
                n,
            })
    }

    /// Keys of one lane, few enough that they meet.
    pub(in super::super) fn key_of_lane(domain: u64) -> impl Strategy<Value = WaitKey> {
        (1_000u64..1_200, 0u64..4, 0u32..4).prop_map(move |(due_ms, unique, n)| WaitKey {
            lane: Lane { pool: 1, class: Class::Normal, tenant: 0, domain },
            due_ms,
            id: MessageId::new(1, 1, unique),
            n,
        })
    }

    pub(in super::super) fn waiting() -> impl Strategy<Value = Waiting> {
        let place = (1u32.., any::<u32>(), any::<u32>()).prop_map(|(segment, offset, len)| Place {
            segment,
            offset,
            len,
        });
        let class = prop::option::of(prop::sample::select(&FailureClass::ALL[..]));
        (place, any::<u16>(), class, prop::option::of("[a-z ]{0,200}"), any::<bool>()).prop_map(
            |(place, attempts, last_class, last_reply, delay_told)| Waiting {
                place,
                attempts,
                last_class,
                last_reply,
                delay_told,
            },
        )
    }
}
