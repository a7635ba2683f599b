//! `/domains`: identities, and what their domains must say in DNS.

use axum::Json;

use crate::events::json::timestamp;
use crate::identity::{
    DnsKind, DnsRecord, Identity, IdentityError, IdentityName, Need, NewIdentity,
};
use crate::mail::Domain;

use super::error::{ApiError, Code};
use super::extract::{Name, Posted};
use super::shapes::{DnsRecordShape, Done, IdentityShape, NewIdentityShape, Page};
use super::{AdminState, Answer, State};

pub(super) async fn list(state: State) -> Answer<Page<IdentityShape>> {
    let list = state.identities.list();
    let items = list.iter().map(|identity| shape(&state, identity)).collect();
    Ok(Json(Page { items, next: None }))
}

pub(super) async fn show(state: State, Name(name): Name) -> Answer<IdentityShape> {
    let identity = state.identities.named(&name).map_err(|error| refuse(&error))?;
    Ok(Json(shape(&state, &identity)))
}

pub(super) async fn add(
    state: State,
    Posted(new): Posted<NewIdentityShape>,
) -> Answer<IdentityShape> {
    let bounce = new.bounce_domain.as_deref().map(bounce).transpose()?;
    let named = NewIdentity::named(IdentityName::parse(&new.name).map_err(|error| refuse(&error))?);
    let feedback_forwarding = new.feedback_forwarding.unwrap_or(named.feedback_forwarding);
    let new = NewIdentity { bounce, feedback_forwarding, ..named };
    let identity = state.identities.add(new).await.map_err(|error| refuse(&error))?;
    Ok(Json(shape(&state, &identity)))
}

pub(super) async fn remove(state: State, Name(name): Name) -> Answer<Done> {
    state.identities.remove(&name).await.map_err(|error| refuse(&error))?;
    Ok(Json(Done {}))
}

pub(super) async fn records(state: State, Name(name): Name) -> Answer<Page<DnsRecordShape>> {
    let records = super::blocking("list the records", move || {
        let identity = state.identities.named(&name).map_err(|error| refuse(&error))?;
        let pools = state.pools.all().iter();
        let exits: Vec<_> =
            pools.flat_map(|pool| pool.exits.iter().filter_map(|exit| exit.source)).collect();
        state
            .identities
            .dns_records(&identity, &state.hostname, &exits)
            .map_err(|error| refuse(&error))
    });
    let items = records.await?.iter().map(record).collect();
    Ok(Json(Page { items, next: None }))
}

fn bounce(text: &str) -> Result<Domain, ApiError> {
    Domain::parse(text)
        .map_err(|error| ApiError::invalid("bounce_domain", format!("{text:?}: {error}")))
}

fn shape(state: &AdminState, identity: &Identity) -> IdentityShape {
    IdentityShape {
        name: identity.name.to_string(),
        number: identity.number,
        verification: identity.verification.word().to_owned(),
        bounce_domain: state.identities.bounce_domain(identity).to_string(),
        feedback_forwarding: identity.feedback_forwarding,
        selectors: identity.selectors().map(str::to_owned).collect(),
        created: timestamp(identity.created_ms),
    }
}

fn record(record: &DnsRecord) -> DnsRecordShape {
    let kind = match record.kind {
        DnsKind::Txt => "TXT",
        DnsKind::Mx => "MX",
    };
    DnsRecordShape {
        name: record.name.clone(),
        kind: kind.to_owned(),
        value: record.value.clone(),
        required: record.need == Need::Required,
        purpose: record.purpose.to_owned(),
        zone: record.zone_line(),
    }
}

/// What a caller hears of an error about identities or configuration sets.
pub(super) fn refuse(error: &IdentityError) -> ApiError {
    let message = error.to_string();
    match error {
        IdentityError::Name(..) | IdentityError::SetName(_) => ApiError::invalid("name", message),
        IdentityError::MaxAge => ApiError::invalid("max_age_seconds", message),
        IdentityError::Tag(_) => ApiError::invalid("tags", message),
        IdentityError::Unknown(_) | IdentityError::SetUnknown(_) => ApiError::not_found(message),
        IdentityError::Taken(_) | IdentityError::SetTaken(_) => {
            ApiError { field: Some("name".into()), ..ApiError::new(Code::Conflict, message) }
        }
        IdentityError::Full | IdentityError::SetsFull => ApiError::new(Code::Conflict, message),
        IdentityError::KeyMade(_)
        | IdentityError::KeyUnusable(..)
        | IdentityError::Panicked
        | IdentityError::Vault(_)
        | IdentityError::Store(_) => ApiError::internal("do that with the identity", &message),
    }
}
