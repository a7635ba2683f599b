//! `/credentials`: who may submit.

use std::str::FromStr;

use axum::Json;

use crate::access::{AccessError, Credential, NewCredential, Scope, Used};
use crate::events::json::timestamp;

use super::error::{ApiError, Code};
use super::extract::{Name, Posted};
use super::shapes::{CreatedCredential, CredentialShape, Done, NewCredentialShape, Page};
use super::{Answer, State};

pub(super) async fn list(state: State) -> Answer<Page<CredentialShape>> {
    let list = state.access.list();
    let items = list.iter().map(|(credential, used)| shape(credential, used)).collect();
    Ok(Json(Page { items, next: None }))
}

pub(super) async fn create(
    state: State,
    Posted(new): Posted<NewCredentialShape>,
) -> Answer<CreatedCredential> {
    let new = NewCredential {
        name: new.name,
        tenant: 0,
        scope: scope(&new.identities)?,
        sources: parse_all("sources", &new.sources)?,
        rate_per_second: new.rate_per_second,
        recipients_per_day: new.recipients_per_day,
    };
    let created = state.access.create(new).await.map_err(refuse)?;
    let unused = Used { recipients_24h: 0, last_used_ms: 0 };
    Ok(Json(CreatedCredential {
        credential: shape(&created.credential, &unused),
        password: String::from_utf8_lossy(created.secret.reveal()).into_owned(),
    }))
}

/// By name, by user or by number.
pub(super) async fn revoke(state: State, Name(name): Name) -> Answer<Done> {
    let list = state.access.list();
    let found = list.iter().map(|(credential, _)| credential).find(|credential| {
        credential.name == name || credential.user == name || credential.number.to_string() == name
    });
    let Some(credential) = found else {
        return Err(ApiError::not_found(format!("there is no credential {name:?}"))
            .hint("see `postrider credential ls`"));
    };
    state.access.revoke(credential.number).await.map_err(refuse)?;
    Ok(Json(Done {}))
}

fn scope(identities: &[String]) -> Result<Scope, ApiError> {
    if identities.is_empty() {
        return Ok(Scope::All);
    }
    Ok(Scope::Only(parse_all("identities", identities)?))
}

fn parse_all<T: FromStr<Err: std::fmt::Display>>(
    field: &str,
    texts: &[String],
) -> Result<Vec<T>, ApiError> {
    let parse = |text: &String| {
        text.parse().map_err(|error| ApiError::invalid(field, format!("{text:?}: {error}")))
    };
    texts.iter().map(parse).collect()
}

fn shape(credential: &Credential, used: &Used) -> CredentialShape {
    CredentialShape {
        number: credential.number,
        name: credential.name.clone(),
        user: credential.user.clone(),
        identities: match &credential.scope {
            Scope::All => Vec::new(),
            Scope::Only(patterns) => patterns.iter().map(ToString::to_string).collect(),
        },
        sources: credential.sources.iter().map(ToString::to_string).collect(),
        rate_per_second: credential.rate_per_second,
        recipients_per_day: credential.recipients_per_day,
        enabled: credential.enabled,
        created: timestamp(credential.created_ms),
        last_used: (used.last_used_ms > 0).then(|| timestamp(used.last_used_ms)),
        recipients_24h: used.recipients_24h,
    }
}

fn refuse(error: AccessError) -> ApiError {
    let message = error.to_string();
    match error {
        AccessError::NameTaken(_) => {
            ApiError { field: Some("name".into()), ..ApiError::new(Code::Conflict, message) }
        }
        AccessError::Name => ApiError::invalid("name", message),
        AccessError::TooMany(..) | AccessError::Nought(_) => ApiError::new(Code::Invalid, message),
        AccessError::Unknown(_) => ApiError::not_found(message),
        AccessError::Full => ApiError::new(Code::Conflict, message),
        AccessError::Store(error) => ApiError::internal("write the credential", &error),
        AccessError::Vault(error) => ApiError::internal("seal the credential", &error),
    }
}
