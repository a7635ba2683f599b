//! What people can do with configuration sets: add, change, remove. As with identities: one commit, then one new book.

use std::sync::Arc;

use super::config_set::{ConfigSet, SetOptions};
use super::doors::{Door, last_number};
use super::error::IdentityError;
use super::{CONFIG_SETS_MAX, Identities};
use crate::store::kind;

impl Identities {
    /// Adds a configuration set. The pool must exist: the caller turned its name into its number.
    pub async fn add_config_set(
        &self,
        name: &str,
        tenant: u32,
        options: SetOptions,
    ) -> Result<Arc<ConfigSet>, IdentityError> {
        let door = self.door().await;
        let book = self.book();
        if book.set_named(name).is_some() {
            return Err(IdentityError::SetTaken(name.to_owned()));
        }
        if book.sets.len() >= CONFIG_SETS_MAX {
            return Err(IdentityError::SetsFull);
        }
        let highest = book.sets.keys().next_back().copied();
        let set = ConfigSet {
            number: self.next_number(kind::CONFIG_SET, highest)?,
            tenant,
            name: name.to_owned(),
            options,
            created_ms: self.clock.now_ms(),
            unknown: Vec::new(),
        };
        self.put_config_set(door, set, true).await
    }

    /// Changes a configuration set: `change` gets what it says now. Mail that was accepted keeps what it said then.
    pub async fn set_config_set(
        &self,
        name: &str,
        change: impl FnOnce(&mut SetOptions),
    ) -> Result<Arc<ConfigSet>, IdentityError> {
        let door = self.door().await;
        let mut set = ConfigSet::clone(&*self.existing(name)?);
        change(&mut set.options);
        self.put_config_set(door, set, false).await
    }

    /// Removes a configuration set. Mail that was accepted under it is sent; its number is never given out again.
    pub async fn remove_config_set(&self, name: &str) -> Result<(), IdentityError> {
        let door = self.door().await;
        let set = self.existing(name)?;
        let records = vec![(kind::key(kind::CONFIG_SET, &set.number.to_be_bytes()), None)];
        self.write(door, records, move |book| book.drop_set(&set)).await
    }

    async fn put_config_set(
        &self,
        door: Door,
        set: ConfigSet,
        new: bool,
    ) -> Result<Arc<ConfigSet>, IdentityError> {
        set.check()?;
        let key = kind::key(kind::CONFIG_SET, &set.number.to_be_bytes());
        let mut records = vec![(key, Some(set.encode()))];
        if new {
            records.push(last_number(kind::CONFIG_SET, set.number));
        }
        let set = Arc::new(set);
        let put = Arc::clone(&set);
        self.write(door, records, move |book| book.put_set(put)).await?;
        Ok(set)
    }

    fn existing(&self, name: &str) -> Result<Arc<ConfigSet>, IdentityError> {
        let unknown = || IdentityError::SetUnknown(name.chars().take(64).collect());
        self.config_set(name).ok_or_else(unknown)
    }
}
