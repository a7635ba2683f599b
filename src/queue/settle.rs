//! From an outcome to the one change that makes it true. Pure: clocks, store and notices are its caller's.
//!
//! Never suppresses for anything but a bounce of class recipient, never writes a recipient's record for what was its whole
//! destination's failure, tells a delay once.

use super::courier::Report;
use super::expiry::Moments;
use super::options::QueueOptions;
use super::schedule;
use super::time::QueueTime;
use super::words;
use crate::mail::event::{Attempt, Bounce, BounceEnd, Delay, Delivery};
use crate::mail::{Event, EventKind, Facts, Failure, FailureClass, Mailbox, Outcome, Reply, reply};
use crate::store::{Change, Settled, WaitKey, Waiting};

/// A recipient about which something was decided.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Which one.
    pub key: &'a WaitKey,
    /// Its record.
    pub waiting: &'a Waiting,
    /// Its message.
    pub facts: &'a Facts,
    /// What time it is.
    pub time: &'a QueueTime,
    /// How the queue paces itself.
    pub options: &'a QueueOptions,
}

/// What follows for a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it reached its end.
    Done,
    /// It waits until this queue time, Unix milliseconds.
    At(u64),
    /// It waits as it did; its whole destination failed.
    Unchanged,
}

/// A notice that may be owed, for the caller to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owed {
    /// See [`super::Fate::Failed`].
    Failed(BounceEnd, Reply),
    /// See [`super::Fate::Delayed`]; the expiry is wall time.
    Delayed(Option<Reply>, u64),
    /// See [`super::Fate::Relayed`].
    Relayed(Reply),
}

/// All that follows from an outcome.
#[derive(Debug)]
pub struct Settlement {
    /// What is to be committed, without notice and suppression.
    pub change: Change,
    /// What follows for the recipient.
    pub next: Next,
    /// The verdict that suppresses it.
    pub suppress: Option<Failure>,
    /// The notice to ask for, and the host that spoke.
    pub owed: Option<Owed>,
}

/// After a try.
pub fn attempted(case: &Case<'_>, report: Report) -> Settlement {
    let Report { outcome, mut attempt, dsn_passed_on } = report;
    label(&mut attempt, &outcome, case.waiting.attempts);
    let mut events = vec![event(case, EventKind::Attempt(attempt.clone()))];
    let mut settlement = match outcome {
        Outcome::Delivered(reply) => delivered(case, reply, &attempt, dsn_passed_on),
        Outcome::Bounced(failure) => {
            let mut settlement =
                ended(case, BounceEnd::Receiver, &failure.reply, Some((failure.class, &attempt)));
            settlement.suppress = (failure.class == FailureClass::Recipient).then_some(failure);
            settlement
        }
        Outcome::Deferred(failure) => deferred(case, &failure, &attempt),
    };
    events.append(&mut settlement.change.events);
    settlement.change.events = events;
    settlement
}

/// Ends a recipient without delivery. `said` is the failure's class and the attempt it came from, if it did.
pub fn ended(
    case: &Case<'_>,
    end: BounceEnd,
    reply: &Reply,
    said: Option<(FailureClass, &Attempt)>,
) -> Settlement {
    let class = said.map(|(class, _)| class);
    let (kind, sub_type) = words::bounce(end, class, reply);
    let of =
        |field: fn(&Attempt) -> &String| said.map(|(_, a)| field(a).clone()).unwrap_or_default();
    let bounce = Bounce {
        kind,
        sub_type: sub_type.to_owned(),
        end,
        class,
        reply: Some(reply.clone()),
        host: of(|a| &a.host),
        provider: of(|a| &a.provider),
        exit: of(|a| &a.exit),
    };
    Settlement {
        change: Change {
            settled: vec![settled(case, None)],
            events: vec![event(case, EventKind::Bounce(bounce))],
            ..Change::default()
        },
        next: Next::Done,
        suppress: None,
        owed: Some(Owed::Failed(end, reply.clone())),
    }
}

/// Ends a recipient as [`ended`] does, with SES's sub type given: the suppression list says which of them it is.
pub fn suppressed(case: &Case<'_>, sub_type: &str, reply: &Reply) -> Settlement {
    let mut settlement = ended(case, BounceEnd::Suppressed, reply, None);
    for event in &mut settlement.change.events {
        if let EventKind::Bounce(bounce) = &mut event.kind {
            sub_type.clone_into(&mut bounce.sub_type);
        }
    }
    settlement
}

/// Looks at a recipient whose whole destination failed at `probed_ms` of queue time: its expiry or delay, if it is time for one.
pub fn waited(case: &Case<'_>, probed_ms: u64, why: &Reply) -> Option<Settlement> {
    let moments = Moments::of(case.facts, case.time, case.options);
    if moments.is_last_try(probed_ms) {
        return Some(ended(case, BounceEnd::Expired, why, None));
    }
    if !moments.is_delayed(case.time.now_ms(), case.waiting.delay_told) {
        return None;
    }
    let mut waiting = case.waiting.clone();
    let (delay, owed) = tell_delay(case, &moments, &mut waiting, Some(why));
    Some(Settlement {
        change: Change {
            // The due time stays: the record changes for the flag alone.
            settled: vec![settled(case, Some((case.key.due_ms, waiting)))],
            events: vec![delay],
            ..Change::default()
        },
        next: Next::Unchanged,
        suppress: None,
        owed: Some(owed),
    })
}

fn delivered(case: &Case<'_>, reply: Reply, attempt: &Attempt, dsn_passed_on: bool) -> Settlement {
    let moments = Moments::of(case.facts, case.time, case.options);
    let delivery = Delivery {
        processing_ms: case.time.now_ms().saturating_sub(moments.since_ms),
        reply: Some(reply.clone()),
        host: attempt.host.clone(),
        provider: attempt.provider.clone(),
        exit: attempt.exit.clone(),
    };
    Settlement {
        change: Change {
            settled: vec![settled(case, None)],
            events: vec![event(case, EventKind::Delivery(delivery))],
            ..Change::default()
        },
        next: Next::Done,
        suppress: None,
        owed: (!dsn_passed_on).then_some(Owed::Relayed(reply)),
    }
}

fn deferred(case: &Case<'_>, failure: &Failure, attempt: &Attempt) -> Settlement {
    let now_ms = case.time.now_ms();
    let moments = Moments::of(case.facts, case.time, case.options);
    if moments.is_last_try(now_ms) {
        return ended(case, BounceEnd::Expired, &failure.reply, Some((failure.class, attempt)));
    }
    if failure.whole_destination {
        return waited(case, now_ms, &failure.reply).unwrap_or(Settlement {
            change: Change::default(),
            next: Next::Unchanged,
            suppress: None,
            owed: None,
        });
    }
    let mut waiting = case.waiting.clone();
    waiting.attempts = waiting.attempts.saturating_add(1);
    waiting.last_class = Some(failure.class);
    let text = failure.reply.to_string();
    waiting.last_reply = Some(reply::cut(&text, Waiting::REPLY_OCTETS_MAX).to_owned());
    let tries = u32::from(waiting.attempts);
    let chance = schedule::chance(case.key.id, case.key.n, tries);
    let wait = schedule::wait(tries, case.options.retry_first, case.options.retry_max, chance);
    let due_ms = moments.bound(now_ms.saturating_add(super::options::ms(wait)), now_ms);
    let (mut events, mut owed) = (Vec::new(), None);
    if moments.is_delayed(now_ms, waiting.delay_told) {
        let (delay, notice) = tell_delay(case, &moments, &mut waiting, Some(&failure.reply));
        events.push(delay);
        owed = Some(notice);
    }
    let stored_ms = case.time.write(due_ms, case.key.id.unix_ms());
    Settlement {
        change: Change {
            settled: vec![settled(case, Some((stored_ms, waiting)))],
            events,
            ..Change::default()
        },
        next: Next::At(due_ms),
        suppress: None,
        owed,
    }
}

fn tell_delay(
    case: &Case<'_>,
    moments: &Moments,
    waiting: &mut Waiting,
    reply: Option<&Reply>,
) -> (Event, Owed) {
    waiting.delay_told = true;
    // Events are read by people, so their times are wall time.
    let left_ms = moments.expires_ms.saturating_sub(case.time.now_ms());
    let expires_ms = case.time.wall_ms().saturating_add(left_ms);
    let answered = reply.is_some_and(|reply| reply.code != 0);
    let class = waiting.last_class.or(Some(FailureClass::Infrastructure));
    let delay = Delay {
        delay_type: words::delay(class, answered).to_owned(),
        reply: reply.cloned(),
        expires_ms,
        provider: String::new(),
    };
    (event(case, EventKind::DeliveryDelay(delay)), Owed::Delayed(reply.cloned(), expires_ms))
}

/// Writes the verdict into the event of the attempt, so that both always say the same.
fn label(attempt: &mut Attempt, outcome: &Outcome, tries_before: u16) {
    attempt.number = u32::from(tries_before) + 1;
    let (result, class, reply) = match outcome {
        Outcome::Delivered(reply) => ("delivered", None, reply),
        Outcome::Deferred(failure) => ("deferred", Some(failure.class), &failure.reply),
        Outcome::Bounced(failure) => ("bounced", Some(failure.class), &failure.reply),
    };
    result.clone_into(&mut attempt.result);
    attempt.class = class;
    attempt.reply = Some(reply.clone());
}

fn settled(case: &Case<'_>, next: Option<(u64, Waiting)>) -> Settled {
    Settled { key: *case.key, place: case.waiting.place, next }
}

/// An event about the case's recipient.
pub fn event(case: &Case<'_>, kind: EventKind) -> Event {
    let address = case.facts.envelope.recipients.get(case.key.n as usize);
    let address = address.map(|r| r.mailbox.as_str()).unwrap_or_default();
    Event {
        at_ms: case.time.wall_ms(),
        tenant: case.facts.tenant,
        message: case.key.id,
        recipient: Some((case.key.n, address.to_owned())),
        config_set: case.facts.config_set,
        pool: case.facts.pool,
        kind,
        unknown: Vec::new(),
    }
}

/// The recipient's mailbox; `None` for a number that is none of the message's.
pub fn mailbox(facts: &Facts, n: u32) -> Option<&Mailbox> {
    facts.envelope.recipients.get(n as usize).map(|recipient| &recipient.mailbox)
}
