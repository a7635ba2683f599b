//! `GET /events` and `GET /messages/{id}`: what happened.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use crate::events::{Events, Filter, Order, QueryError, Types, json};
use crate::mail::event::Send;
use crate::mail::{Event, EventKind, MessageId};

use super::error::ApiError;
use super::extract::{Name, Params};
use super::shapes::{EventsQuery, Page, Trace};
use super::{AdminState, Answer, State, follow, trace, when};

/// Events of a page where none is said.
const LIMIT: usize = 50;

pub(super) async fn list(
    state: State,
    Params(query): Params<EventsQuery>,
) -> Result<Response, ApiError> {
    let asked = Asked::read(&query, &state)?;
    if query.follow == Some(true) {
        let from = asked.cursor.unwrap_or_else(|| state.events.next_event());
        return Ok(follow::stream(state.events.clone(), asked.filter, from));
    }
    let page = super::blocking("read the events", move || {
        let page = state
            .events
            .query(&asked.filter, asked.cursor, asked.limit, asked.order)
            .map_err(|error| failed(&error))?;
        let mut sends = Sends::new(&state.events);
        let items = page.events.iter().map(|(seq, event)| sends.shape(*seq, event)).collect();
        Ok(Page::<Value> { items, next: page.next.map(cursor_text) })
    });
    Ok(Json(page.await?).into_response())
}

/// The life of a message.
pub(super) async fn trace(state: State, Name(text): Name) -> Answer<Trace> {
    let id: MessageId = text.parse().map_err(|e| ApiError::invalid("id", format!("{e}")))?;
    let trace = super::blocking("read the message's events", move || {
        let events = state.events.of_message(id).map_err(|error| failed(&error))?;
        if events.is_empty() {
            let known = state.events.status().oldest_ms.map(json::timestamp);
            return Err(ApiError::not_found(format!("no event speaks of message {id}")).hint(
                known.map_or("the log is empty".to_owned(), |known| {
                    format!("the log reaches back to {known}")
                }),
            ));
        }
        let mut sends = Sends::new(&state.events);
        let shown = events.iter().map(|(seq, event)| sends.shape(*seq, event)).collect();
        Ok(Trace {
            message_id: id.to_string(),
            accepted: json::timestamp(id.unix_ms()),
            recipients: trace::recipients(&events),
            events: shown,
        })
    });
    Ok(Json(trace.await?))
}

/// A query as the log understands it.
struct Asked {
    filter: Filter,
    cursor: Option<u64>,
    limit: usize,
    order: Order,
}

impl Asked {
    fn read(query: &EventsQuery, state: &AdminState) -> Result<Asked, ApiError> {
        let now_ms = state.clock.now_ms();
        let time = |field: &str, text: &Option<String>| {
            text.as_ref().map(|text| when::parse(field, text, now_ms)).transpose()
        };
        let message = query.message.as_ref().map(|text| text.parse::<MessageId>()).transpose();
        let filter = Filter {
            tenant: None,
            message: message.map_err(|e| ApiError::invalid("message", e.to_string()))?,
            recipient: query.recipient.clone(),
            domain: query.domain.clone(),
            from: query.from.clone(),
            tag: query.tag.as_deref().map(tag),
            types: query.types.as_deref().map_or(Ok(Types::ALL), types)?,
            pool: query.pool.as_deref().map(|text| state.pool(text)).transpose()?,
            config_set: query.config_set.as_deref().map(|n| config_set(n, state)).transpose()?,
            exit: query.exit.clone(),
            provider: query.provider.clone(),
            since_ms: time("since", &query.since)?.unwrap_or(0),
            until_ms: time("until", &query.until)?.unwrap_or(u64::MAX),
        };
        let order = match query.order.as_deref() {
            None | Some("newest") => Order::NewestFirst,
            Some("oldest") => Order::OldestFirst,
            Some(other) => {
                return Err(ApiError::invalid("order", format!("{other:?} is no order"))
                    .hint("newest or oldest"));
            }
        };
        let cursor = query.cursor.as_deref().map(cursor_of).transpose()?;
        Ok(Asked { filter, cursor, limit: query.limit.unwrap_or(LIMIT), order })
    }
}

fn tag(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

fn types(text: &str) -> Result<Types, ApiError> {
    text.split(',').try_fold(Types::NONE, |types, word| {
        let one = Types::of_word(word.trim()).ok_or_else(|| {
            let known = Types::NAMED.map(|(_, word)| word).join(", ");
            ApiError::invalid("type", format!("{word:?} is no type of event"))
                .hint(format!("types are {known}"))
        })?;
        Ok(types.with(one))
    })
}

fn config_set(name: &str, state: &AdminState) -> Result<u32, ApiError> {
    state.identities.config_set(name).map(|set| set.number).ok_or_else(|| {
        ApiError::invalid("config_set", format!("there is no configuration set {name:?}"))
            .hint("see `postrider config-set ls`")
    })
}

/// A cursor is a number of the log, written so that nobody takes it for a count.
fn cursor_text(seq: u64) -> String {
    format!("e{seq:x}")
}

fn cursor_of(text: &str) -> Result<u64, ApiError> {
    let digits = text.strip_prefix('e').and_then(|digits| u64::from_str_radix(digits, 16).ok());
    digits.ok_or_else(|| {
        ApiError::invalid("cursor", "this is no cursor of ours")
            .hint("give back `next` of the page before")
    })
}

pub(super) fn failed(error: &QueryError) -> ApiError {
    ApiError::internal("read the events", error)
}

/// The Sends that a page's events need for their `mail`, each read once.
pub(super) struct Sends<'a> {
    events: &'a Events,
    known: HashMap<MessageId, Option<Arc<Send>>>,
}

/// Past this a long stream forgets what it knew.
const SENDS_MAX: usize = 1000;

impl<'a> Sends<'a> {
    pub(super) fn new(events: &'a Events) -> Sends<'a> {
        Sends { events, known: HashMap::new() }
    }

    /// The event as JSON, its `mail` from its message's Send. Blocks.
    pub(super) fn shape(&mut self, seq: u64, event: &Event) -> Value {
        if self.known.len() > SENDS_MAX {
            self.known.clear();
        }
        if let EventKind::Send(send) = &event.kind {
            self.known.insert(event.message, Some(Arc::new(send.clone())));
            return json::of_event(seq, event, None);
        }
        let events = self.events;
        let send = self.known.entry(event.message).or_insert_with(|| {
            // A log that cannot be read fails the query itself; here it costs the `mail` object its detail.
            events.send_of(seq, event.message).ok().flatten().map(Arc::new)
        });
        json::of_event(seq, event, send.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_written_and_read() {
        for seq in [0, 1, 4711, u64::MAX] {
            assert_eq!(cursor_of(&cursor_text(seq)), Ok(seq));
        }
        for text in ["", "12", "ex", "e-1", "e10000000000000000"] {
            assert!(cursor_of(text).is_err(), "for {text:?}");
        }
    }

    #[test]
    fn an_unknown_type_is_named_with_those_there_are() {
        assert_eq!(types("send"), Ok(Types::SEND));
        let error = types("Send,Opened").unwrap_err();
        assert_eq!(error.field.as_deref(), Some("type"));
        assert!(error.message.contains("Opened") && error.hint.unwrap().contains("Bounce"));
    }
}
