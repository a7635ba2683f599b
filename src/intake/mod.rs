//! The one door: decides whether a message may enter, makes it what will leave, and answers only when the disk has it.
//!
//! Never answers a message before its commit is durable, never changes what was signed, never mails in answer to a null
//! reverse path. Submission and the HTTP faces call it in the order [`Intake::mail`], [`Intake::recipient`],
//! [`Intake::begin`], [`Receiving::push`], [`Intake::accept`].

mod assemble;
mod body;
mod decide;
mod gauge;
pub mod limits;
mod notary;
mod receiving;
pub mod refusal;
mod signers;

use std::net::IpAddr;
use std::sync::Arc;

use crate::access::{Access, Credential};
use crate::clock::Clock;
use crate::egress::Pools;
use crate::identity::{Identities, Identity};
use crate::mail::{Domain, Envelope, Mailbox, MessageId, ReversePath};
use crate::message::notice::{About, News};
use crate::store::{Change, NewWaiting, Store};
use crate::suppression::Suppression;
use crate::token;

use assemble::Assembled;
use body::Incoming;
use decide::Settings;
use gauge::Gauge;
pub use limits::IntakeLimits;
pub use notary::Notary;
pub use receiving::Receiving;
pub use refusal::Refusal;
use signers::Signers;

/// Who hands a message in, and over what.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The credential it authenticated as.
    pub credential: Arc<Credential>,
    /// The client's address, for the owner's eyes.
    pub client: IpAddr,
    /// What the client called itself in EHLO.
    pub helo: String,
    /// `ESMTPSA` and its kin (RFC 3848 §2), for the Received field.
    pub protocol: &'static str,
    /// TLS protocol and cipher, such as `TLSv1.3 TLS13_AES_256_GCM_SHA384`; `None` for plain text.
    pub tls: Option<String>,
}

/// What the door stands on.
pub struct IntakeParts {
    /// Where accepted mail goes.
    pub store: Store,
    /// Credentials and their quotas.
    pub access: Arc<Access>,
    /// Identities, their keys, configuration sets.
    pub identities: Arc<Identities>,
    /// Pools by name.
    pub pools: Pools,
    /// Who must not be mailed.
    pub suppression: Suppression,
    /// Keys of return paths.
    pub return_paths: token::Keys,
    /// This server's name.
    pub hostname: Domain,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Bounds.
    pub limits: IntakeLimits,
}

/// The door. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake(Arc<Inner>);

struct Inner {
    store: Store,
    access: Arc<Access>,
    identities: Arc<Identities>,
    pools: Pools,
    suppression: Suppression,
    return_paths: token::Keys,
    hostname: Domain,
    /// The last part of Feedback-ID.
    instance: String,
    clock: Arc<dyn Clock>,
    limits: IntakeLimits,
    gauge: Gauge,
    signers: Signers,
    notary: Notary,
}

impl Intake {
    /// Builds the door.
    pub fn new(parts: IntakeParts) -> Intake {
        Intake(Arc::new(Inner {
            gauge: Gauge::new(parts.store.clone(), Arc::clone(&parts.clock)),
            signers: Signers::new(),
            notary: Notary::new(
                parts.store.clone(),
                Arc::clone(&parts.identities),
                parts.hostname.clone(),
                Arc::clone(&parts.clock),
            ),
            instance: crate::message::edit::instance_word(&parts.hostname),
            store: parts.store,
            access: parts.access,
            identities: parts.identities,
            pools: parts.pools,
            suppression: parts.suppression,
            return_paths: parts.return_paths,
            hostname: parts.hostname,
            clock: parts.clock,
            limits: parts.limits,
        }))
    }

    /// At MAIL: may this credential use this reverse path, is there quota and room? `size` is what SIZE= said (RFC 1870 §6.1).
    pub fn mail(
        &self,
        sender: &Sender,
        from: &ReversePath,
        size: Option<u64>,
    ) -> Result<(), Refusal> {
        let credential = self.0.credential(sender)?;
        self.0.settings().reverse_path(&credential, from)?;
        self.0.limits.check_size(size.unwrap_or_default(), 1)?;
        self.0.access.may_send(credential.number)?;
        self.0.gauge.check(1, &self.0.limits)
    }

    /// At RCPT: may `to` be added to the envelope so far? The caller leaves out a mailbox that is in it already
    /// ([`Mailbox::identity`]).
    pub fn recipient(
        &self,
        _sender: &Sender,
        envelope: &Envelope,
        to: &Mailbox,
    ) -> Result<(), Refusal> {
        let recipients_max = self.0.limits.recipients_max;
        if envelope.recipients.len() >= recipients_max {
            return Err(Refusal::Recipients { recipients_max });
        }
        if to.needs_utf8() && !envelope.utf8 {
            return Err(Refusal::AddressUtf8);
        }
        self.0.check_return_path(to)
    }

    /// Before 354 (or at the first BDAT): takes quota, and a place in memory, for which it may wait some seconds.
    ///
    /// Cancellation-safe: a dropped future gives back what it took.
    pub async fn begin(
        &self,
        sender: &Arc<Sender>,
        envelope: Envelope,
        size: Option<u64>,
    ) -> Result<Receiving, Refusal> {
        let inner = &self.0;
        let recipients = envelope.recipients.len();
        inner.limits.check_size(size.unwrap_or_default(), recipients)?;
        inner.limits.check_hold(envelope.hold_until_ms, inner.clock.now_ms())?;
        inner.gauge.check(recipients as u64, &inner.limits)?;
        let count = u32::try_from(recipients).unwrap_or(u32::MAX);
        let taken = inner.access.take(sender.credential.number, count, count)?;
        let body = Incoming::reserve(&inner.store, size, inner.limits.place_wait).await;
        let body = body.ok_or(Refusal::Busy)?;
        Ok(Receiving::new(Arc::clone(inner), Arc::clone(sender), envelope, taken, body))
    }

    /// After the last octet: decides, assembles, signs, commits. `Ok` means that the disk has it.
    ///
    /// A caller that drops the future does not know whether the message was accepted.
    pub async fn accept(&self, receiving: Receiving) -> Result<MessageId, Refusal> {
        let inner = &self.0;
        let (sender, envelope, taken, arrived) = receiving.end().await?;
        let id = arrived.id;
        let mut assembled = inner.assemble(&sender, envelope, arrived).await?;
        assembled.change.records = taken.records(inner.clock.now_ms());
        // From here on the message may be accepted whatever we hear, so its recipients stay counted.
        taken.keep();
        inner.gauge.accepted(assembled.change.waiting.len() as u64);
        inner.commit(assembled).await?;
        Ok(id)
    }
}

impl Inner {
    /// The credential as it stands now: an edit or a revocation reaches sessions that are open.
    fn credential(&self, sender: &Sender) -> Result<Arc<Credential>, Refusal> {
        self.access.current(sender.credential.number).ok_or(Refusal::CredentialOff)
    }

    fn settings(&self) -> Settings<'_> {
        Settings { identities: &self.identities, pools: &self.pools }
    }

    /// An address that looks like one of our return paths must be one: nobody mails a forged report in through us.
    fn check_return_path(&self, to: &Mailbox) -> Result<(), Refusal> {
        let head = to.local().get(..token::PREFIX.len()).unwrap_or_default();
        if !head.eq_ignore_ascii_case(token::PREFIX) || !self.is_bounce_domain(to.domain()) {
            return Ok(());
        }
        self.return_paths.verify(to.local()).map(|_| ()).map_err(|_| Refusal::ForgedReturnPath)
    }

    fn is_bounce_domain(&self, domain: &Domain) -> bool {
        let own = |identity: Arc<Identity>| identity.bounce.as_ref() == Some(domain);
        domain == self.identities.bounce_default() || self.identities.list().into_iter().any(own)
    }

    /// Commits a message, and the notices that its suppressed recipients are owed. Only then its client hears 250: after a crash
    /// between the two it sends the message again.
    async fn commit(&self, assembled: Assembled) -> Result<(), Refusal> {
        let Assembled { change, suppressed, message, places } = assembled;
        let is_kept = change.message.is_some();
        let done = self.store.commit(change).await;
        if !is_kept {
            self.store.discard_large(&message.body);
        }
        // The places in memory are held until here: from now on the octets are counted by the queue.
        drop(places);
        done?;
        for (n, reply) in suppressed {
            let news = News::Failed { reply: &reply, expired: false };
            let about = About { message: &message, recipient: n, news, host: "" };
            if let Some(notice) = self.notary.notice(&about) {
                let due_ms = notice.facts.accepted_ms;
                let waiting = vec![NewWaiting { n: 0, due_ms }];
                let change = Change { message: Some(notice), waiting, ..Change::default() };
                self.store.commit(change).await?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
