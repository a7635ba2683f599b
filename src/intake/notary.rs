//! Notices to senders (RFC 3464): mail of our own, from the null reverse path to the message's own MAIL FROM.
//!
//! Never answers a null reverse path and never goes to an address of the header, so no bounce is ever answered and nobody who
//! did not send hears of it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::egress::Pools;
use crate::identity::Identities;
use crate::mail::facts::TlsPolicy;
use crate::mail::{
    Body, BodyKind, Class, Domain, Envelope, Facts, Message, Notify, Recipient, ReversePath,
};
use crate::message::Block;
use crate::message::dkim::{self, BodyHasher};
use crate::message::notice::{self, About, News, Notice, NoticeStamp};
use crate::store::Store;

/// How long a notice is tried: a sender who takes none for days will not be told.
const AGE_MAX: Duration = Duration::from_hours(2 * 24);

/// Makes notices. The queue asks for one with each outcome and commits both together.
#[derive(Clone)]
pub struct Notary {
    store: Store,
    identities: Arc<Identities>,
    hostname: Domain,
    clock: Arc<dyn Clock>,
}

impl Notary {
    /// A notary of this server.
    pub fn new(
        store: Store,
        identities: Arc<Identities>,
        hostname: Domain,
        clock: Arc<dyn Clock>,
    ) -> Notary {
        Notary { store, identities, hostname, clock }
    }

    /// The notice that is owed, if one is.
    ///
    /// Signs on the caller's thread, which takes a millisecond where the identity has an RSA key: a notice stands in the commit
    /// of its outcome, so there is nobody to wait for.
    pub fn notice(&self, about: &About<'_>) -> Option<Arc<Message>> {
        let facts = &about.message.facts;
        let recipient = facts.envelope.recipients.get(about.recipient as usize)?;
        if !is_owed(&about.news, recipient.notify, facts.feedback_forwarding) {
            return None;
        }
        let now_ms = self.clock.now_ms();
        let stamp = NoticeStamp { id: self.store.new_id(), hostname: &self.hostname, now_ms };
        let notice = notice::build(about, &stamp)?;
        let head = self.sign(facts, &notice, now_ms);
        let facts = notice_facts(facts, &notice, &stamp);
        Some(Arc::new(Message { facts: Arc::new(facts), head, body: Body::Memory(notice.body) }))
    }

    /// The notice's head with the signatures of the identity that sent the message. One that cannot be signed goes out unsigned:
    /// better a notice than none.
    fn sign(&self, facts: &Facts, notice: &Notice, now_ms: u64) -> bytes::Bytes {
        let identity = self.identities.by_number(facts.identity);
        let keys = identity.and_then(|identity| self.identities.signing_keys(&identity).ok());
        let Some(keys) = keys.filter(|keys| !keys.is_empty()) else { return notice.head.clone() };
        let Ok(block) = Block::parse(&notice.head) else { return notice.head.clone() };
        let mut hasher = BodyHasher::new();
        hasher.push(&notice.body);
        let fields = block.fields().iter().copied();
        match dkim::sign(fields, &hasher.finish(), &keys, now_ms / 1_000) {
            Ok(signatures) => [&signatures[..], &notice.head].concat().into(),
            Err(error) => {
                tracing::error!("a notice could not be signed: {error}");
                notice.head.clone()
            }
        }
    }
}

/// RFC 3461 §4.1: NOTIFY decides. Without it a failure is told, unless the identity's feedback forwarding was off; a delay and
/// a success are not.
fn is_owed(news: &News<'_>, notify: Notify, feedback_forwarding: bool) -> bool {
    let absent = notify == Notify::ABSENT;
    match news {
        News::Failed { .. } if absent => feedback_forwarding,
        News::Failed { .. } => notify.asks(Notify::FAILURE),
        News::Delayed { .. } => notify.asks(Notify::DELAY),
        News::Delivered { .. } => notify.asks(Notify::SUCCESS),
    }
}

fn notice_facts(about: &Facts, notice: &Notice, stamp: &NoticeStamp<'_>) -> Facts {
    let age_max_ms = u64::try_from(AGE_MAX.as_millis()).unwrap_or(u64::MAX);
    Facts {
        id: stamp.id,
        tenant: about.tenant,
        credential: 0,
        identity: 0,
        config_set: 0,
        pool: Pools::DEFAULT,
        class: Class::Normal,
        tls: TlsPolicy::Opportunistic,
        accepted_ms: stamp.now_ms,
        expires_ms: stamp.now_ms.saturating_add(age_max_ms),
        tags: Vec::new(),
        envelope: Envelope {
            from: ReversePath::Null,
            recipients: vec![Recipient {
                mailbox: notice.to.clone(),
                // RFC 3464 §2: nobody is to be told what became of a notice.
                notify: Notify::NEVER,
                original: None,
            }],
            ret: None,
            envid: None,
            body: if notice.eight_bit { BodyKind::EightBitMime } else { BodyKind::SevenBit },
            utf8: notice.utf8,
            hold_until_ms: None,
        },
        feedback_forwarding: false,
        client: None,
        unknown: Vec::new(),
    }
}
