//! `/suppressions`: who must not be mailed.

use axum::Json;

use crate::events::json::timestamp;
use crate::mail::Mailbox;
use crate::suppression::{Entry, Reason};

use super::error::ApiError;
use super::extract::{Name, Params, Posted};
use super::shapes::{Done, NewSuppression, Page, PageQuery, SuppressionShape};
use super::{Answer, State};

/// Entries of a page where none is said, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

pub(super) async fn list(
    state: State,
    Params(query): Params<PageQuery>,
) -> Answer<Page<SuppressionShape>> {
    let after = query.cursor.as_deref().map(|text| mailbox("cursor", text)).transpose()?;
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let page = state
        .suppression
        .list(after.as_ref(), limit)
        .await
        .map_err(|error| ApiError::internal("read the suppressions", &error))?;
    let next = (page.len() == limit).then(|| page.last().map(|(address, _)| address.clone()));
    let items = page.iter().map(|(address, entry)| shape(address, entry)).collect();
    Ok(Json(Page { items, next: next.flatten() }))
}

pub(super) async fn show(state: State, Name(address): Name) -> Answer<SuppressionShape> {
    let mailbox = mailbox("address", &address)?;
    let found = super::blocking("read the suppressions", move || {
        let entry = state.suppression.lookup(&mailbox);
        let entry = entry.map_err(|error| ApiError::internal("read the suppressions", &error))?;
        Ok(entry.map(|entry| shape(mailbox.as_str(), &entry)))
    });
    found.await?.map(Json).ok_or_else(|| not_suppressed(&address))
}

pub(super) async fn add(
    state: State,
    Posted(new): Posted<NewSuppression>,
) -> Answer<SuppressionShape> {
    let mailbox = mailbox("address", &new.address)?;
    let reason = match new.reason.as_deref() {
        None => Reason::Manual,
        Some(word) => Reason::of_word(word).ok_or_else(|| {
            let known = Reason::ALL.map(Reason::word).join(", ");
            ApiError::invalid("reason", format!("{word:?} is no reason"))
                .hint(format!("reasons are {known}"))
        })?,
    };
    let entry = Entry::new(reason, state.clock.now_ms(), None);
    state
        .suppression
        .add(&mailbox, &entry)
        .await
        .map_err(|error| ApiError::internal("write the suppression", &error))?;
    Ok(Json(shape(mailbox.as_str(), &entry)))
}

pub(super) async fn remove(state: State, Name(address): Name) -> Answer<Done> {
    let mailbox = mailbox("address", &address)?;
    let removed = state.suppression.remove(&mailbox).await;
    if removed.map_err(|error| ApiError::internal("remove the suppression", &error))? {
        return Ok(Json(Done {}));
    }
    Err(not_suppressed(&address))
}

fn not_suppressed(address: &str) -> ApiError {
    ApiError::not_found(format!("{address} is not suppressed"))
        .hint("case matters before the @: see `postrider suppression ls`")
}

pub(super) fn mailbox(field: &str, text: &str) -> Result<Mailbox, ApiError> {
    Mailbox::parse(text).map_err(|error| ApiError::invalid(field, format!("{text:?}: {error}")))
}

fn shape(address: &str, entry: &Entry) -> SuppressionShape {
    SuppressionShape {
        address: address.to_owned(),
        reason: entry.reason.word().to_owned(),
        since: timestamp(entry.at_ms),
        message: entry.source.map(|(id, _)| id.to_string()),
    }
}
