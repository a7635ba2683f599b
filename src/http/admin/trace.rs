//! Where each recipient of a message stands, read off its events. Pure.

use std::collections::BTreeMap;

use crate::mail::event::{Attempt, Bounce, Delay, Delivery};
use crate::mail::{Event, EventKind, Reply};

use super::shapes::TraceRecipient;

/// Each recipient that events speak of, in the envelope's order. `events` are in the order of the log.
pub(super) fn recipients(events: &[(u64, Event)]) -> Vec<TraceRecipient> {
    let mut found: BTreeMap<u32, TraceRecipient> = BTreeMap::new();
    for (_, event) in events {
        if let EventKind::Send(send) = &event.kind {
            for (number, address) in (0u32..).zip(&send.recipients) {
                found.entry(number).or_insert_with(|| waiting(number, address));
            }
        }
        if let Some((number, address)) = &event.recipient {
            let one = found.entry(*number).or_insert_with(|| waiting(*number, address));
            hear(one, &event.kind);
        }
    }
    found.into_values().collect()
}

fn waiting(number: u32, address: &str) -> TraceRecipient {
    TraceRecipient {
        number,
        address: address.to_owned(),
        state: "waiting".to_owned(),
        attempts: 0,
        last_reply: None,
    }
}

fn hear(one: &mut TraceRecipient, kind: &EventKind) {
    match kind {
        EventKind::Attempt(Attempt { number, reply, .. }) => {
            one.attempts = one.attempts.max(*number);
            answer(one, reply.as_ref());
        }
        EventKind::Delivery(Delivery { reply, .. }) => {
            "delivered".clone_into(&mut one.state);
            answer(one, reply.as_ref());
        }
        EventKind::Bounce(Bounce { end, reply, .. }) => {
            end.word().clone_into(&mut one.state);
            answer(one, reply.as_ref());
        }
        EventKind::DeliveryDelay(Delay { reply, .. }) => answer(one, reply.as_ref()),
        EventKind::Reject { reason } => {
            "rejected".clone_into(&mut one.state);
            one.last_reply = Some(reason.clone());
        }
        EventKind::Send(_) | EventKind::Unknown(_) => {}
    }
}

fn answer(one: &mut TraceRecipient, reply: Option<&Reply>) {
    if let Some(reply) = reply {
        one.last_reply = Some(reply.to_string());
    }
}
