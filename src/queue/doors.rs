//! The operator's doors: see what waits, have it tried now, end it. Each exists once, for the API, the commands and the
//! console alike.
//!
//! They read the store, which knows everything that waits, and act through the board, which knows who is in flight.

use std::sync::Arc;

use super::disk::claim;
use super::hub::Hub;
use super::lane::Entry;
use super::{Queue, settle};
use crate::mail::event::BounceEnd;
use crate::mail::{
    Domain, EnhancedStatus, Facts, FailureClass, Lane, Mailbox, MessageId, Reply, ReversePath,
};
use crate::store::{ReadError, Settled, StoreFailed, WaitKey, Waiting};
use crate::supervise;

/// Records looked at in one step of a long walk, so that no read holds a thread for long.
const STEP: usize = 1000;

/// Which recipients are meant; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this message.
    pub message: Option<MessageId>,
    /// At this domain.
    pub domain: Option<Domain>,
    /// From this address (MAIL FROM).
    pub from: Option<String>,
}

impl Filter {
    fn admits_key(&self, key: &WaitKey) -> bool {
        self.message.is_none_or(|id| id == key.id)
            && self
                .domain
                .as_ref()
                .is_none_or(|domain| Lane::hash_domain(domain.as_str()) == key.lane.domain)
    }

    fn admits(&self, key: &WaitKey, facts: &Facts) -> bool {
        let to = settle::mailbox(facts, key.n);
        let at = |domain: &Domain| to.is_some_and(|to| to.domain() == domain);
        let from = facts.envelope.from.mailbox().map(Mailbox::as_str);
        self.domain.as_ref().is_none_or(at)
            && self.from.as_deref().is_none_or(|wanted| from == Some(wanted))
    }
}

/// One waiting recipient, for people.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Where it stands in the queue; a cursor for [`Queue::list`].
    pub key: WaitKey,
    /// The address.
    pub recipient: String,
    /// MAIL FROM; empty for the null path.
    pub from: String,
    /// Tries so far.
    pub attempts: u16,
    /// When the next one is due, Unix milliseconds.
    pub due_ms: u64,
    /// When it was accepted, Unix milliseconds.
    pub accepted_ms: u64,
    /// When it is given up, Unix milliseconds.
    pub expires_ms: u64,
    /// Held by the sender until then (FUTURERELEASE), Unix milliseconds.
    pub hold_until_ms: Option<u64>,
    /// What the last failure spoke of.
    pub last_class: Option<FailureClass>,
    /// What was said to the last try.
    pub last_reply: Option<String>,
}

/// Some of what waits, and where the next page begins.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In the queue's order: by pool, class, tenant, domain, due time.
    pub items: Vec<Shown>,
    /// Give it as `after` to go on; `None` at the end.
    pub next: Option<WaitKey>,
}

/// What becomes of recipients whom the operator ends.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Said in event and notice.
    pub reason: String,
}

/// The queue in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lanes known in memory.
    pub lanes: usize,
    /// Recipients ready in memory.
    pub ready: usize,
    /// Octets of messages in memory.
    pub memory_bytes: u64,
    /// Recipients being tried.
    pub in_flight: usize,
    /// Connections, also those being opened.
    pub connections: usize,
    /// Destinations that rest after a failure.
    pub resting: usize,
}

impl Queue {
    /// What the queue holds in memory now.
    pub fn counts(&self) -> Counts {
        let memory_bytes = self.0.memory.bytes();
        self.0.with(|board| Counts {
            lanes: board.lanes.len(),
            ready: board.entries,
            memory_bytes,
            in_flight: board.in_flight,
            connections: board.conns.len(),
            resting: board.lanes.values().filter(|lane| lane.rest.is_some()).count()
                + board.groups.values().filter(|group| group.rest.is_some()).count(),
        })
    }

    /// Up to `limit` waiting recipients that `filter` admits, after `after`.
    pub async fn list(
        &self,
        filter: &Filter,
        after: Option<WaitKey>,
        limit: usize,
    ) -> Result<Page, StoreFailed> {
        let mut page = Page::default();
        let mut after = after;
        loop {
            let (found, next) = step(&self.0, filter, after).await?;
            for (key, waiting, facts) in found {
                if page.items.len() == limit {
                    page.next = page.items.last().map(|last| last.key);
                    return Ok(page);
                }
                page.items.push(shown(key, &waiting, &facts));
            }
            let Some(next) = next else { return Ok(page) };
            after = Some(next);
        }
    }

    /// Has every waiting recipient that `filter` admits tried now, held ones too, and gives how many there were. Rests of
    /// their destinations end.
    pub async fn flush(&self, filter: &Filter) -> Result<u64, StoreFailed> {
        self.each(filter, &Act::Flush).await
    }

    /// Ends every waiting recipient that `filter` admits, with an event and, where one is owed, a notice; gives how many.
    /// One that is being tried at this moment is left to its attempt.
    pub async fn bounce(&self, filter: &Filter, ending: &Ending) -> Result<u64, StoreFailed> {
        let status = EnhancedStatus::new(5, 7, 1);
        let reply = Reply::local(status, &ending.reason);
        self.each(filter, &Act::Bounce(reply)).await
    }

    async fn each(&self, filter: &Filter, act: &Act) -> Result<u64, StoreFailed> {
        let (mut after, mut count) = (None, 0);
        // What is put back at another time must not be met again.
        let until_ms = self.0.time().wall_ms();
        loop {
            let (found, next) = step(&self.0, filter, after).await?;
            for item in found {
                if item.0.id.unix_ms() <= until_ms && act.on(&self.0, item).await? {
                    count += 1;
                }
            }
            let Some(next) = next else { return Ok(count) };
            after = Some(next);
        }
    }
}

type Item = (WaitKey, Waiting, Arc<Facts>);

/// What is done to each of many.
enum Act {
    Flush,
    Bounce(Reply),
}

impl Act {
    /// Whether it was done.
    async fn on(&self, hub: &Arc<Hub>, item: Item) -> Result<bool, StoreFailed> {
        match self {
            Act::Flush => flush_one(hub, item.0, item.1).await,
            Act::Bounce(reply) => bounce_one(hub, item, reply).await,
        }
    }
}

/// One step of a walk: what is admitted, and where the next step begins.
async fn step(
    hub: &Arc<Hub>,
    filter: &Filter,
    after: Option<WaitKey>,
) -> Result<(Vec<Item>, Option<WaitKey>), StoreFailed> {
    let (store, filter) = (hub.store.clone(), filter.clone());
    let read = supervise::blocking("queue-list", move || {
        let page = store.waiting_after(after.as_ref(), STEP)?;
        let next = page.last().map(|(key, _)| *key).filter(|_| page.len() == STEP);
        let mut found: Vec<Item> = Vec::new();
        for (key, waiting) in page.into_iter().filter(|(key, _)| filter.admits_key(key)) {
            let known = found.last().filter(|(other, _, _)| other.id == key.id);
            let facts = match known.map(|(_, _, facts)| Arc::clone(facts)) {
                Some(facts) => facts,
                None => match store.facts(waiting.place) {
                    Ok(facts) => Arc::new(facts),
                    Err(ReadError::Store(failed)) => return Err(failed),
                    Err(ReadError::Damaged(_)) => Arc::new(Facts::blank(key.id)),
                    Err(ReadError::Gone) => continue,
                },
            };
            if filter.admits(&key, &facts) {
                found.push((key, waiting, facts));
            }
        }
        Ok((found, next))
    });
    read.await.unwrap_or(Ok((Vec::new(), None)))
}

fn shown(key: WaitKey, waiting: &Waiting, facts: &Facts) -> Shown {
    let recipient = settle::mailbox(facts, key.n).map(ToString::to_string).unwrap_or_default();
    let from = match &facts.envelope.from {
        ReversePath::Null => String::new(),
        ReversePath::Mailbox(from) => from.to_string(),
    };
    Shown {
        key,
        recipient,
        from,
        attempts: waiting.attempts,
        due_ms: key.due_ms,
        accepted_ms: facts.accepted_ms,
        expires_ms: facts.expires_ms,
        hold_until_ms: facts.envelope.hold_until_ms,
        last_class: waiting.last_class,
        last_reply: waiting.last_reply.clone(),
    }
}

async fn flush_one(hub: &Arc<Hub>, key: WaitKey, waiting: Waiting) -> Result<bool, StoreFailed> {
    let now_ms = hub.time().wall_ms();
    let lane = hub.with(|board| {
        let id = board.lane_for(key.lane, None)?;
        board.lane_recovered(id);
        let way = board.lanes.get(&id).and_then(|lane| lane.way);
        if let Some(rest) = way.and_then(|way| board.groups.get_mut(&way)?.rest.as_mut()) {
            rest.until_ms = rest.until_ms.min(board.time.now_ms());
        }
        Some(id)
    });
    let Some(id) = lane else { return Ok(false) };
    if key.due_ms > now_ms {
        let held = hub
            .with(|board| board.lanes.get(&id).is_some_and(|lane| lane.is_held((key.id, key.n))));
        if held {
            return Ok(false);
        }
        let place = waiting.place;
        let settled = vec![Settled { key, place, next: Some((now_ms, waiting)) }];
        let change = crate::store::Change { settled, ..Default::default() };
        hub.store.commit(change).await?;
    }
    hub.with(|board| {
        let due_ms = board.time.now_ms();
        board.note(id, due_ms);
        board.arrange(id);
    });
    Ok(true)
}

async fn bounce_one(
    hub: &Arc<Hub>,
    (key, waiting, facts): Item,
    reply: &Reply,
) -> Result<bool, StoreFailed> {
    let to = settle::mailbox(&facts, key.n).map(|to| to.domain().clone());
    let Some(id) = hub.with(|board| board.lane_for(key.lane, to.as_ref())) else {
        return Ok(false);
    };
    let (reader, place) = (Arc::clone(hub), waiting.place);
    let read = supervise::blocking("queue-bounce", move || reader.store.message(place)).await;
    let message = match read {
        Some(Ok(message)) => message,
        // Its notice goes without the message's own text.
        _ => super::disk::without_text(facts),
    };
    let entry = Entry { key, waiting, kept: hub.memory.keep(Arc::new(message)) };
    if !claim(hub, id, &entry) {
        return Ok(false);
    }
    hub.end(id, &entry, BounceEnd::Operator, reply).await.map(|()| true)
}
