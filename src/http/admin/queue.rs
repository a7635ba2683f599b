//! `/queue`: who waits, for what, until when.

use axum::Json;
use data_encoding::BASE32_NOPAD;

use crate::events::json::timestamp;
use crate::mail::{Domain, Facts, Lane, MessageId};
use crate::queue::{Ending, Filter};
use crate::store::{ReadError, Store, StoreFailed, WaitKey, Waiting};

use super::error::{ApiError, Code};
use super::extract::{Name, Params, Posted};
use super::shapes::{Acted, Page, QueueAction, QueueQuery, WaitingShape};
use super::{Answer, State};

/// Recipients of a page where none is said, and at most.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 1000;
/// Waiting recipients that one request looks at: past it the page is short and has a cursor.
const LOOKED_AT_MAX: usize = 20_000;
/// What event and notice say where the operator gave no reason.
const REASON: &str = "given up by the operator";
/// Read from the store at a time.
const STEP: usize = 500;

/// The queue, lane by lane, in the order of due times within each.
pub(super) async fn list(
    state: State,
    Params(query): Params<QueueQuery>,
) -> Answer<Page<WaitingShape>> {
    let after = query.cursor.as_deref().map(key_of).transpose()?;
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let page = super::blocking("read the queue", move || {
        let wanted = |facts: &Facts, key: &WaitKey| wants(&query, facts, key);
        read(&state.store, after, limit, &wanted)
    });
    Ok(Json(page.await?))
}

/// Recipients of one message that wait.
pub(super) async fn show(state: State, Name(text): Name) -> Answer<Page<WaitingShape>> {
    let id: MessageId = text.parse().map_err(|e| ApiError::invalid("id", format!("{e}")))?;
    let page = super::blocking("read the queue", move || {
        read(&state.store, None, LIMIT_MAX, &|facts, _| facts.id == id)
    });
    Ok(Json(page.await?))
}

/// Has waiting recipients tried now.
pub(super) async fn flush(state: State, Posted(action): Posted<QueueAction>) -> Answer<Acted> {
    let flushed = state.queue.flush(&filter(&action)?).await;
    let recipients = flushed.map_err(|error| ApiError::internal("flush the queue", &error))?;
    Ok(Json(Acted { recipients }))
}

/// Ends waiting recipients, with their events and notices.
pub(super) async fn bounce(state: State, Posted(action): Posted<QueueAction>) -> Answer<Acted> {
    let reason = action.reason.clone().unwrap_or_else(|| REASON.to_owned());
    let bounced = state.queue.bounce(&filter(&action)?, &Ending { reason }).await;
    let recipients = bounced.map_err(|error| ApiError::internal("bounce the queue", &error))?;
    Ok(Json(Acted { recipients }))
}

/// Nobody means the whole queue by leaving something out.
fn filter(action: &QueueAction) -> Result<Filter, ApiError> {
    let QueueAction { message, domain, from, all, .. } = action;
    if !all && message.is_none() && domain.is_none() && from.is_none() {
        return Err(ApiError::new(Code::Invalid, "no recipients are named")
            .hint("give a message, a domain or a sender, or say that all are meant"));
    }
    let message = message.as_deref().map(str::parse::<MessageId>).transpose();
    let domain = domain.as_deref().map(Domain::parse).transpose();
    Ok(Filter {
        message: message.map_err(|e| ApiError::invalid("message", e.to_string()))?,
        domain: domain.map_err(|e| ApiError::invalid("domain", e.to_string()))?,
        from: from.clone(),
    })
}

fn wants(query: &QueueQuery, facts: &Facts, key: &WaitKey) -> bool {
    let recipient = facts.envelope.recipients.get(key.n as usize);
    let domain = query.domain.as_ref().is_none_or(|want| {
        recipient.is_some_and(|r| r.mailbox.domain().as_str().eq_ignore_ascii_case(want))
    });
    let address = query.recipient.as_ref().is_none_or(|want| {
        recipient.is_some_and(|r| r.mailbox.as_str().eq_ignore_ascii_case(want))
    });
    domain && address
}

fn read(
    store: &Store,
    mut after: Option<WaitKey>,
    limit: usize,
    wanted: &dyn Fn(&Facts, &WaitKey) -> bool,
) -> Result<Page<WaitingShape>, ApiError> {
    let (mut items, mut looked_at) = (Vec::new(), 0);
    loop {
        let step = store.waiting_after(after.as_ref(), STEP).map_err(|error| failed(&error))?;
        if step.is_empty() {
            return Ok(Page { items, next: None });
        }
        for (key, waiting) in step {
            after = Some(key);
            looked_at += 1;
            items.extend(shape(store, &key, &waiting, wanted)?);
            if items.len() >= limit || looked_at >= LOOKED_AT_MAX {
                return Ok(Page { items, next: Some(text_of(&key)) });
            }
        }
    }
}

/// A waiting recipient as shown; `None` if it is not wanted or done meanwhile.
fn shape(
    store: &Store,
    key: &WaitKey,
    waiting: &Waiting,
    wanted: &dyn Fn(&Facts, &WaitKey) -> bool,
) -> Result<Option<WaitingShape>, ApiError> {
    let facts = match store.facts(waiting.place) {
        Ok(facts) => facts,
        Err(ReadError::Gone) => return Ok(None),
        Err(ReadError::Damaged(what)) => {
            tracing::warn!(message.id = %key.id, "a waiting message is damaged: {what}");
            return Ok(None);
        }
        Err(ReadError::Store(error)) => return Err(failed(&error)),
    };
    if !wanted(&facts, key) {
        return Ok(None);
    }
    let recipient = facts.envelope.recipients.get(key.n as usize);
    Ok(Some(WaitingShape {
        message_id: key.id.to_string(),
        recipient_number: key.n,
        recipient: recipient.map(|r| r.mailbox.to_string()).unwrap_or_default(),
        from: facts.envelope.from.mailbox().map(ToString::to_string).unwrap_or_default(),
        pool: key.lane.pool,
        accepted: timestamp(facts.accepted_ms),
        due: timestamp(key.due_ms),
        expires: timestamp(facts.expires_ms),
        attempts: u32::from(waiting.attempts),
        last_class: waiting.last_class.map(|class| class.word().to_owned()),
        last_reply: waiting.last_reply.clone(),
    }))
}

fn failed(error: &StoreFailed) -> ApiError {
    ApiError::internal("read the queue", error)
}

/// A cursor is the key of the last recipient looked at.
fn text_of(key: &WaitKey) -> String {
    let mut octets = key.lane.octets().to_vec();
    octets.extend(key.due_ms.to_be_bytes());
    octets.extend(key.id.octets());
    octets.extend(key.n.to_be_bytes());
    BASE32_NOPAD.encode(&octets).to_ascii_lowercase()
}

fn key_of(text: &str) -> Result<WaitKey, ApiError> {
    parse_key(text).ok_or_else(|| {
        ApiError::invalid("cursor", "this is no cursor of ours")
            .hint("give back `next` of the page before")
    })
}

fn parse_key(text: &str) -> Option<WaitKey> {
    let octets = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
    let (lane, rest) = octets.split_first_chunk::<{ Lane::OCTETS }>()?;
    let (due, rest) = rest.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    Some(WaitKey {
        lane: Lane::from_octets(lane),
        due_ms: u64::from_be_bytes(*due),
        id: MessageId::from_octets(*id),
        n: u32::from_be_bytes(rest.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Class;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_survives_being_written_and_read(pool: u16, class in 0u8..3, tenant: u32, domain: u64, due_ms: u64, ms in 0u64..1 << 48, unique: u64, n: u32) {
            let lane = Lane { pool, class: Class::of_number(class), tenant, domain };
            let key = WaitKey { lane, due_ms, id: MessageId::new(ms, 1, unique), n };
            prop_assert_eq!(parse_key(&text_of(&key)), Some(key));
        }

        #[test]
        fn no_text_makes_the_cursors_reader_panic(text: String) {
            let _ = parse_key(&text);
        }
    }
}
