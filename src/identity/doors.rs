//! What people can do with identities: add, change, remove. Each is one commit and then one new book, in this order, so
//! that an identity that speaks is on disk.

use std::sync::{Arc, OnceLock};

use super::book::Book;
use super::entry::{Identity, Verification};
use super::error::IdentityError;
use super::key;
use super::name::IdentityName;
use super::{IDENTITIES_MAX, Identities};
use crate::mail::Domain;
use crate::store::{Change, kind};
use crate::supervise;

/// Records to put or delete.
pub(super) type Records = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The turn to change something.
pub(super) type Door = tokio::sync::OwnedMutexGuard<()>;

/// An identity to be added.
#[derive(Debug, Clone)]
pub struct NewIdentity {
    /// Who it is.
    pub name: IdentityName,
    /// The tenant's number; 0 is the owner.
    pub tenant: u32,
    /// Where its bounces go, if not to the domain of all.
    pub bounce: Option<Domain>,
    /// Whether failures without NOTIFY are told to the sender.
    pub feedback_forwarding: bool,
}

impl NewIdentity {
    /// One of the owner's, with feedback forwarding as SES has it: on.
    pub fn named(name: IdentityName) -> NewIdentity {
        NewIdentity { name, tenant: 0, bounce: None, feedback_forwarding: true }
    }
}

/// What to change; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct IdentityEdit {
    /// Where its bounces go; `Some(None)` goes back to the domain of all.
    pub bounce: Option<Option<Domain>>,
    /// Whether failures without NOTIFY are told to the sender.
    pub feedback_forwarding: Option<bool>,
    /// Whether its records were found in DNS.
    pub verification: Option<Verification>,
}

impl Identities {
    /// Adds an identity. A domain gets an RSA and an Ed25519 key, which takes up to some seconds on a thread of its own.
    pub async fn add(&self, new: NewIdentity) -> Result<Arc<Identity>, IdentityError> {
        let door = self.door().await;
        let book = self.book();
        if book.named(&new.name).is_some() {
            return Err(IdentityError::Taken(new.name.to_string()));
        }
        if book.identities.len() >= IDENTITIES_MAX {
            return Err(IdentityError::Full);
        }
        let highest = book.identities.keys().next_back().copied();
        let number = self.next_number(kind::IDENTITY, highest)?;
        let mut identity = Identity {
            number,
            tenant: new.tenant,
            name: new.name,
            bounce: new.bounce,
            feedback_forwarding: new.feedback_forwarding,
            verification: Verification::Pending,
            created_ms: self.clock.now_ms(),
            unknown: Vec::new(),
            sealed: Vec::new(),
            opened: OnceLock::new(),
        };
        let mut records = vec![
            (kind::key(kind::IDENTITY, &number.to_be_bytes()), Some(identity.encode())),
            last_number(kind::IDENTITY, number),
        ];
        if matches!(identity.name, IdentityName::Domain(_)) {
            records.extend(self.make_keys(&book, &mut identity).await?);
        }
        let identity = Arc::new(identity);
        let put = Arc::clone(&identity);
        self.write(door, records, move |book| book.put_identity(put)).await?;
        Ok(identity)
    }

    /// Gives an identity its keys; the records to write with it.
    async fn make_keys(
        &self,
        book: &Book,
        identity: &mut Identity,
    ) -> Result<Records, IdentityError> {
        let made = supervise::blocking("dkim key", key::make).await.ok_or_else(|| {
            IdentityError::KeyMade("its maker panicked, see the log".to_owned())
        })??;
        let keys = book.identities.values().flat_map(|identity| &identity.sealed);
        let mut number = self.next_number(kind::DKIM_KEY, keys.map(|key| key.number).max())?;
        let mut records = Vec::new();
        for key in made {
            let key = key.seal(number, identity.number, identity.created_ms, &self.vault)?;
            records.push((kind::key(kind::DKIM_KEY, &number.to_be_bytes()), Some(key.encode())));
            records.push(last_number(kind::DKIM_KEY, number));
            identity.sealed.push(key);
            number = number.checked_add(1).ok_or(IdentityError::Full)?;
        }
        Ok(records)
    }

    /// Changes an identity.
    pub async fn set(
        &self,
        name: &str,
        edit: IdentityEdit,
    ) -> Result<Arc<Identity>, IdentityError> {
        let door = self.door().await;
        let changed = self.named(name)?.with(|identity| {
            identity.bounce = edit.bounce.unwrap_or(identity.bounce.take());
            identity.feedback_forwarding =
                edit.feedback_forwarding.unwrap_or(identity.feedback_forwarding);
            identity.verification = edit.verification.unwrap_or(identity.verification);
        });
        let key = kind::key(kind::IDENTITY, &changed.number.to_be_bytes());
        let records = vec![(key, Some(changed.encode()))];
        let changed = Arc::new(changed);
        let put = Arc::clone(&changed);
        self.write(door, records, move |book| book.put_identity(put)).await?;
        Ok(changed)
    }

    /// Removes an identity and its keys for good: what was accepted is still delivered, as it was signed then. Its number
    /// is never given out again.
    pub async fn remove(&self, name: &str) -> Result<(), IdentityError> {
        let door = self.door().await;
        let identity = self.named(name)?;
        let mut records = vec![(kind::key(kind::IDENTITY, &identity.number.to_be_bytes()), None)];
        for key in &identity.sealed {
            records.push((kind::key(kind::DKIM_KEY, &key.number.to_be_bytes()), None));
        }
        self.write(door, records, move |book| book.drop_identity(&identity)).await
    }

    /// The next number of a kind: above the last one given out, and above `highest` in use should the counter be lost.
    pub(super) fn next_number(&self, kind: u8, highest: Option<u32>) -> Result<u32, IdentityError> {
        let last = self.store.get(&kind::key(kind::LAST_NUMBER, &[kind]))?;
        let last = last.and_then(|octets| octets.try_into().ok()).map_or(0, u64::from_be_bytes);
        let last = last.max(u64::from(highest.unwrap_or_default()));
        u32::try_from(last + 1).map_err(|_| IdentityError::Full)
    }

    /// Waits for the turn to change something.
    pub(super) async fn door(&self) -> Door {
        Arc::clone(&self.doors).lock_owned().await
    }

    /// Commits records and then changes the book, in a task of its own: a caller that gives up half-way must not leave
    /// the book behind the store.
    pub(super) async fn write(
        &self,
        door: Door,
        records: Records,
        change: impl FnOnce(&mut Book) + Send + 'static,
    ) -> Result<(), IdentityError> {
        let (store, book) = (self.store.clone(), Arc::clone(&self.book));
        let task = supervise::spawn("identity door", async move {
            store.commit(Change { records, ..Change::default() }).await?;
            change(Arc::make_mut(&mut book.write()));
            drop(door);
            Ok(())
        });
        task.await.ok().flatten().unwrap_or(Err(IdentityError::Panicked))
    }
}

/// The record of the last number given out of a kind.
pub(super) fn last_number(kind: u8, number: u32) -> (Vec<u8>, Option<Vec<u8>>) {
    (kind::key(kind::LAST_NUMBER, &[kind]), Some(u64::from(number).to_be_bytes().to_vec()))
}
