//! Makes of what came in what will leave, and the one change that accepts it: the head edited and signed, the facts, the events,
//! the recipients that wait.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::decide::Decision;
use super::receiving::Arrived;
use super::refusal::Refusal;
use super::signers::Digest;
use super::{Inner, Sender};
use crate::mail::event::{Bounce, BounceEnd, BounceType, Send};
use crate::mail::{
    Body, Domain, EnhancedStatus, Envelope, Event, EventKind, Facts, Mailbox, Message, MessageId,
    Reply,
};
use crate::message::dkim::{self, DkimKey};
use crate::message::edit::feedback_id;
use crate::message::{Block, Head, Hop, Stamp};
use crate::store::{Change, MemoryPlace, NewWaiting};
use crate::suppression::Entry;

/// A message that needs only to be committed.
pub(super) struct Assembled {
    pub(super) change: Change,
    /// Recipients that are suppressed, with what we say of each; their end is in the change.
    pub(super) suppressed: Vec<(u32, Reply)>,
    pub(super) message: Arc<Message>,
    /// Held until the commit.
    pub(super) places: Vec<MemoryPlace>,
}

/// All that the head is made of, so that it can be made on another thread.
struct Recipe {
    head: Vec<u8>,
    id: MessageId,
    hostname: Domain,
    now_ms: u64,
    protocol: &'static str,
    client: Option<(String, IpAddr)>,
    feedback_id: String,
    keys: Vec<Arc<DkimKey>>,
}

/// What is known of a message when it is accepted.
#[derive(Clone, Copy)]
struct Accepting<'a> {
    id: MessageId,
    now_ms: u64,
    sender: &'a Sender,
    decision: &'a Decision,
}

impl Inner {
    /// Assembles a message.
    pub(super) async fn assemble(
        &self,
        sender: &Sender,
        envelope: Envelope,
        arrived: Arrived,
    ) -> Result<Assembled, Refusal> {
        let Arrived { id, head, decision, received } = arrived;
        let now_ms = self.clock.now_ms();
        let suppressed = self.suppressed(&envelope)?;
        let digest = match (&received.body, received.hash) {
            (_, Some(hash)) => Digest::Done(hash),
            (Body::Memory(octets), None) => Digest::Octets(octets.clone()),
            // Hashed while it was written, whenever it will be signed.
            (Body::File { .. }, None) => Digest::Octets(Bytes::new()),
        };
        let accepting = Accepting { id, now_ms, sender, decision: &decision };
        let recipe = self.recipe(head, accepting);
        let head = self.compose(recipe, digest).await?;
        let facts = self.facts(envelope, accepting);
        let message = Arc::new(Message { facts: Arc::new(facts), head, body: received.body });
        let change = change(&message, sender, &decision, &suppressed);
        let suppressed =
            suppressed.iter().map(|(n, entry)| (*n, suppressed_reply(entry))).collect();
        Ok(Assembled { change, suppressed, message, places: received.places })
    }

    /// The numbers of the recipients that must not be mailed, with why.
    fn suppressed(&self, envelope: &Envelope) -> Result<Vec<(u32, Entry)>, Refusal> {
        let mut suppressed = Vec::new();
        for (n, recipient) in (0u32..).zip(&envelope.recipients) {
            if let Some(entry) = self.suppression.lookup(&recipient.mailbox)? {
                suppressed.push((n, entry));
            }
        }
        Ok(suppressed)
    }

    fn recipe(&self, head: Vec<u8>, accepting: Accepting<'_>) -> Recipe {
        let Accepting { id, now_ms, sender, decision } = accepting;
        let set = decision.set.as_ref();
        let pool = self.pools.get(decision.pool).map_or("", |pool| &pool.name);
        let set_name = set.map_or("", |set| &set.name);
        let identity = decision.identity.name.to_string();
        Recipe {
            head,
            id,
            hostname: self.hostname.clone(),
            now_ms,
            protocol: sender.protocol,
            client: set
                .filter(|set| set.options.show_client)
                .map(|_| (sender.helo.clone(), sender.client)),
            feedback_id: feedback_id(set_name, &identity, pool, &self.instance),
            keys: decision.keys.clone(),
        }
    }

    /// Unsigned heads are made at once: a hop to another thread would cost more than they do.
    async fn compose(&self, recipe: Recipe, digest: Digest) -> Result<Bytes, Refusal> {
        if recipe.keys.is_empty() {
            return recipe.compose(&digest);
        }
        let made = self.signers.run(move || recipe.compose(&digest)).await;
        made.unwrap_or(Err(Refusal::SigningFailed))
    }

    fn facts(&self, envelope: Envelope, accepting: Accepting<'_>) -> Facts {
        let Accepting { id, now_ms, sender, decision } = accepting;
        let set = decision.set.as_ref();
        let usual_ms = u64::try_from(self.limits.age_max.as_millis()).unwrap_or(u64::MAX);
        let age_max_ms = set.and_then(|set| set.options.max_age_ms).unwrap_or(usual_ms);
        // What was held is as old as its release: its recipients get their full time.
        let released_ms = envelope.hold_until_ms.unwrap_or_default().max(now_ms);
        // What needs no SMTPUTF8 may go to hosts that do not offer it, whatever the client said (RFC 6531 §3.2).
        let utf8 = decision.inspected.needs_utf8
            || envelope.from.mailbox().is_some_and(Mailbox::needs_utf8);
        Facts {
            id,
            tenant: sender.credential.tenant,
            credential: sender.credential.number,
            identity: decision.identity.number,
            config_set: set.map_or(0, |set| set.number),
            pool: decision.pool,
            class: set.map(|set| set.options.class).unwrap_or_default(),
            tls: set.map(|set| set.options.tls).unwrap_or_default(),
            accepted_ms: now_ms,
            expires_ms: released_ms.saturating_add(age_max_ms),
            tags: decision.tags.clone(),
            envelope: Envelope { utf8, ..envelope },
            feedback_forwarding: decision.identity.feedback_forwarding,
            client: Some(sender.client),
            unknown: Vec::new(),
        }
    }
}

impl Recipe {
    fn compose(&self, digest: &Digest) -> Result<Bytes, Refusal> {
        let block = Block::parse(&self.head).map_err(|error| Refusal::Head(error.into()))?;
        let stamp = Stamp {
            id: self.id,
            hostname: &self.hostname,
            now_ms: self.now_ms,
            hop: Hop {
                with: self.protocol,
                client: self.client.as_ref().map(|(helo, address)| (helo.as_str(), *address)),
            },
            feedback_id: &self.feedback_id,
        };
        let head = Head::new(&block, &stamp);
        if self.keys.is_empty() {
            return Ok(head.finish(&[]));
        }
        let signed = dkim::sign(head.fields(), &digest.hash(), &self.keys, self.now_ms / 1_000);
        let signatures = signed.map_err(|error| {
            tracing::error!(message.id = %self.id, "a message could not be signed: {error}");
            Refusal::SigningFailed
        })?;
        Ok(head.finish(&signatures))
    }
}

/// The change that accepts a message. One whose recipients are all suppressed is told in events alone: nothing of it waits, so
/// nothing of it is kept.
fn change(
    message: &Arc<Message>,
    sender: &Sender,
    decision: &Decision,
    suppressed: &[(u32, Entry)],
) -> Change {
    let facts = &message.facts;
    let due_ms = facts.envelope.hold_until_ms.unwrap_or_default().max(facts.accepted_ms);
    let count = u32::try_from(facts.envelope.recipients.len()).unwrap_or(u32::MAX);
    let waiting: Vec<NewWaiting> = (0..count)
        .filter(|n| suppressed.iter().all(|(other, _)| other != n))
        .map(|n| NewWaiting { n, due_ms })
        .collect();
    let mut events = Vec::with_capacity(1 + suppressed.len());
    events.push(event(facts, None, EventKind::Send(send(message, sender, decision))));
    for (n, entry) in suppressed {
        if let Some(recipient) = facts.envelope.recipients.get(*n as usize) {
            let recipient = Some((*n, recipient.mailbox.to_string()));
            events.push(event(facts, recipient, EventKind::Bounce(suppressed_bounce(entry))));
        }
    }
    let message = (!waiting.is_empty()).then(|| Arc::clone(message));
    Change { message, waiting, events, ..Change::default() }
}

fn event(facts: &Facts, recipient: Option<(u32, String)>, kind: EventKind) -> Event {
    Event {
        at_ms: facts.accepted_ms,
        tenant: facts.tenant,
        message: facts.id,
        recipient,
        config_set: facts.config_set,
        pool: facts.pool,
        kind,
        unknown: Vec::new(),
    }
}

fn send(message: &Message, sender: &Sender, decision: &Decision) -> Send {
    let envelope = &message.facts.envelope;
    let headers = message.head.get(..Send::HEADERS_OCTETS_MAX).unwrap_or(&message.head);
    Send {
        from: envelope.from.mailbox().map(Mailbox::to_string).unwrap_or_default(),
        header_from: decision.inspected.header_from.iter().map(Mailbox::to_string).collect(),
        recipients: envelope
            .recipients
            .iter()
            .take(Send::RECIPIENTS_MAX)
            .map(|recipient| recipient.mailbox.to_string())
            .collect(),
        recipients_count: u32::try_from(envelope.recipients.len()).unwrap_or(u32::MAX),
        headers: headers.to_vec(),
        headers_truncated: headers.len() < message.head.len(),
        tags: message.facts.tags.clone(),
        identity: decision.identity.name.to_string(),
        config_set: decision.set.as_ref().map(|set| set.name.clone()).unwrap_or_default(),
        credential: sender.credential.name.clone(),
        client: sender.client.to_string(),
        octets: message.len(),
        signatures: decision
            .keys
            .iter()
            .map(|key| format!("{} {}", key.algorithm(), key.selector()))
            .collect(),
    }
}

fn suppressed_bounce(entry: &Entry) -> Bounce {
    Bounce {
        kind: BounceType::Permanent,
        sub_type: entry.reason.bounce_sub_type().to_owned(),
        end: BounceEnd::Suppressed,
        class: None,
        reply: Some(suppressed_reply(entry)),
        host: String::new(),
        provider: String::new(),
        exit: String::new(),
    }
}

/// What we say of a suppressed recipient (RFC 3463 §3.2).
fn suppressed_reply(entry: &Entry) -> Reply {
    let text = format!(
        "not sent: the address is suppressed ({}), remove it from the suppression list to mail it again",
        entry.reason
    );
    Reply::local(EnhancedStatus::new(5, 1, 1), &text)
}
