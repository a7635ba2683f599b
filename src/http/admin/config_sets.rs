//! `/config-sets`: what mail is told to be by name.

use axum::Json;

use crate::events::json::timestamp;
use crate::identity::{ConfigSet, IdentityError, SetOptions};
use crate::mail::Class;
use crate::mail::facts::TlsPolicy;

use super::domains::refuse;
use super::error::ApiError;
use super::extract::{Name, Posted};
use super::shapes::{ConfigSetEdit, ConfigSetShape, Done, NewConfigSet, Page};
use super::{AdminState, Answer, State};

pub(super) async fn list(state: State) -> Answer<Page<ConfigSetShape>> {
    let sets = state.identities.config_sets();
    let items = sets.iter().map(|set| shape(&state, set)).collect();
    Ok(Json(Page { items, next: None }))
}

pub(super) async fn show(state: State, Name(name): Name) -> Answer<ConfigSetShape> {
    let set = state.identities.config_set(&name);
    let set = set.ok_or_else(|| refuse(&IdentityError::SetUnknown(name)))?;
    Ok(Json(shape(&state, &set)))
}

pub(super) async fn create(
    state: State,
    Posted(new): Posted<NewConfigSet>,
) -> Answer<ConfigSetShape> {
    let change = Change::read(&new.options, &state)?;
    let mut options = SetOptions::default();
    change.make(&mut options);
    let set = state
        .identities
        .add_config_set(&new.name, 0, options)
        .await
        .map_err(|error| refuse(&error))?;
    Ok(Json(shape(&state, &set)))
}

pub(super) async fn set(
    state: State,
    Name(name): Name,
    Posted(edit): Posted<ConfigSetEdit>,
) -> Answer<ConfigSetShape> {
    let change = Change::read(&edit, &state)?;
    let set = state.identities.set_config_set(&name, |options| change.make(options));
    Ok(Json(shape(&state, &*set.await.map_err(|error| refuse(&error))?)))
}

pub(super) async fn remove(state: State, Name(name): Name) -> Answer<Done> {
    state.identities.remove_config_set(&name).await.map_err(|error| refuse(&error))?;
    Ok(Json(Done {}))
}

/// An edit whose words are understood.
struct Change {
    pool: Option<u16>,
    tls: Option<TlsPolicy>,
    class: Option<Class>,
    sending: Option<bool>,
    /// Nought takes the limit away.
    max_age_ms: Option<u64>,
    tags: Option<Vec<(String, String)>>,
    show_client: Option<bool>,
}

impl Change {
    fn read(edit: &ConfigSetEdit, state: &AdminState) -> Result<Change, ApiError> {
        let pairs = |tags: &std::collections::BTreeMap<String, String>| {
            tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        Ok(Change {
            pool: edit.pool.as_deref().map(|text| state.pool(text)).transpose()?,
            tls: edit.tls.as_deref().map(tls).transpose()?,
            class: edit.class.as_deref().map(class).transpose()?,
            sending: edit.sending,
            max_age_ms: edit.max_age_seconds.map(|seconds| seconds.saturating_mul(1000)),
            tags: edit.tags.as_ref().map(pairs),
            show_client: edit.show_client,
        })
    }

    fn make(self, options: &mut SetOptions) {
        options.pool = self.pool.unwrap_or(options.pool);
        options.tls = self.tls.unwrap_or(options.tls);
        options.class = self.class.unwrap_or(options.class);
        options.sending = self.sending.unwrap_or(options.sending);
        if let Some(age_ms) = self.max_age_ms {
            options.max_age_ms = (age_ms > 0).then_some(age_ms);
        }
        if let Some(tags) = self.tags {
            options.tags = tags;
        }
        options.show_client = self.show_client.unwrap_or(options.show_client);
    }
}

fn tls(word: &str) -> Result<TlsPolicy, ApiError> {
    TlsPolicy::of_word(word).ok_or_else(|| {
        let known = TlsPolicy::ALL.map(TlsPolicy::word).join(", ");
        ApiError::invalid("tls", format!("{word:?} is no TLS policy"))
            .hint(format!("policies are {known}"))
    })
}

const CLASSES: [(Class, &str); 3] =
    [(Class::High, "high"), (Class::Normal, "normal"), (Class::Bulk, "bulk")];

fn class(word: &str) -> Result<Class, ApiError> {
    let found = CLASSES.iter().find(|(_, known)| *known == word);
    found.map(|(class, _)| *class).ok_or_else(|| {
        ApiError::invalid("class", format!("{word:?} is no class"))
            .hint("classes are high, normal and bulk")
    })
}

fn shape(state: &AdminState, set: &ConfigSet) -> ConfigSetShape {
    let options = &set.options;
    let pool = state.pools.get(options.pool).map(|pool| pool.name.clone());
    let class = CLASSES.iter().find(|(class, _)| *class == options.class);
    ConfigSetShape {
        name: set.name.clone(),
        number: set.number,
        pool: pool.unwrap_or_else(|| options.pool.to_string()),
        tls: options.tls.word().to_owned(),
        class: class.map_or("normal", |(_, word)| word).to_owned(),
        sending: options.sending,
        max_age_seconds: options.max_age_ms.map(|ms| ms / 1000),
        tags: options.tags.iter().cloned().collect(),
        show_client: options.show_client,
        created: timestamp(set.created_ms),
    }
}
