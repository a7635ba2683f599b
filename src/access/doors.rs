//! What a person can do with credentials: create, list, change, revoke. Each is one commit and one change of the book, in this
//! order, so that a credential that works is on disk.

use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use parking_lot::Mutex;

use super::credential::{decode, encode};
use super::quota::Usage;
use super::{Access, AccessError, Credential, Holder, Scope, decode_usage, usage_key};
use crate::mail::network::Network;
use crate::store::vault::chance;
use crate::store::{Change, kind};
use crate::telemetry::Secret;

/// A page of a scan at start.
const PAGE: usize = 1_000;
/// Credentials that there may be; each costs about a kilobyte of memory.
const CREDENTIALS_MAX: usize = 10_000;
/// What every generated user begins with, so that it is known for what it is when it turns up in a log of somebody's.
const USER_HEAD: &str = "PR";
/// Random octets of a user: 16 characters.
const USER_CHANCE: usize = 10;
/// Random octets of a secret: 160 bits, 32 characters.
const SECRET_CHANCE: usize = 20;

/// A credential to be made.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// Its name.
    pub name: String,
    /// The tenant's number; 0 is the owner.
    pub tenant: u32,
    /// As whom it may send.
    pub scope: Scope,
    /// From where; empty is everywhere.
    pub sources: Vec<Network>,
    /// Recipients per second.
    pub rate_per_second: Option<u32>,
    /// Recipients in 24 hours.
    pub recipients_per_day: Option<u64>,
}

impl NewCredential {
    /// One of the owner's without bounds.
    pub fn named(name: impl Into<String>) -> NewCredential {
        NewCredential {
            name: name.into(),
            tenant: 0,
            scope: Scope::All,
            sources: Vec::new(),
            rate_per_second: None,
            recipients_per_day: None,
        }
    }
}

/// A credential that was just made.
#[derive(Debug)]
pub struct Created {
    /// The credential.
    pub credential: Arc<Credential>,
    /// Its secret, the SMTP password, in ASCII: shown this once.
    pub secret: Secret,
}

/// A change to a credential: what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// A new name.
    pub name: Option<String>,
    /// As whom it may send.
    pub scope: Option<Scope>,
    /// From where.
    pub sources: Option<Vec<Network>>,
    /// Recipients per second; `Some(None)` takes the bound away.
    pub rate_per_second: Option<Option<u32>>,
    /// Recipients in 24 hours; `Some(None)` takes the bound away.
    pub recipients_per_day: Option<Option<u64>>,
    /// Whether it may be used.
    pub enabled: Option<bool>,
}

/// What a credential has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Recipients in the last 24 hours.
    pub recipients_24h: u64,
    /// When it was last used, Unix milliseconds; 0 for never. Kept across restarts as of its last message.
    pub last_used_ms: u64,
}

impl Access {
    /// Makes a credential with a generated user and secret.
    pub async fn create(&self, new: NewCredential) -> Result<Created, AccessError> {
        let _one_at_a_time = self.doors.lock().await;
        let number = self.next_number()?;
        let secret = Secret::new(encode_secret(&chance::<SECRET_CHANCE>()?));
        let credential = Arc::new(Credential {
            number,
            name: new.name,
            tenant: new.tenant,
            user: format!("{USER_HEAD}{}", BASE32_NOPAD.encode(&chance::<USER_CHANCE>()?)),
            scope: new.scope,
            sources: new.sources,
            rate_per_second: new.rate_per_second,
            recipients_per_day: new.recipients_per_day,
            enabled: true,
            created_ms: self.clock.now_ms(),
            unknown: Vec::new(),
        });
        self.check(&credential)?;
        let sealed = self.vault.seal(&secret_context(number), secret.reveal())?;
        let counter = (last_number_key(), Some(u64::from(number).to_be_bytes().to_vec()));
        self.write(vec![(credential_key(number), Some(encode(&credential, &sealed))), counter])
            .await?;
        let holder = Holder {
            verifier: self.verifier(&secret),
            credential: Arc::clone(&credential),
            sealed,
            usage: Arc::new(Mutex::new(Usage::default())),
        };
        self.put(holder);
        Ok(Created { credential, secret })
    }

    /// All credentials by number, with their use.
    pub fn list(&self) -> Vec<(Arc<Credential>, Used)> {
        let holders: Vec<_> = self.book.read().by_number.values().map(Arc::clone).collect();
        let now_ms = self.clock.now_ms();
        let mut list: Vec<_> = holders
            .into_iter()
            .map(|holder| {
                let usage = holder.usage.lock();
                let used = Used {
                    recipients_24h: usage.in_window(now_ms),
                    last_used_ms: usage.last_used_ms,
                };
                (Arc::clone(&holder.credential), used)
            })
            .collect();
        list.sort_by_key(|(credential, _)| credential.number);
        list
    }

    /// A credential's secret: for signatures that need it back, and for `dev`, which shows it at each start.
    pub fn secret(&self, number: u32) -> Result<Secret, AccessError> {
        let holder = self.holder(number).ok_or(AccessError::Unknown(number))?;
        Ok(self.vault.unseal(&secret_context(number), &holder.sealed)?)
    }

    /// Changes a credential. Sessions that are open hear of it with their next message.
    pub async fn set(&self, number: u32, edit: Edit) -> Result<Arc<Credential>, AccessError> {
        let _one_at_a_time = self.doors.lock().await;
        let holder = self.holder(number).ok_or(AccessError::Unknown(number))?;
        let mut credential = Credential::clone(&holder.credential);
        credential.name = edit.name.unwrap_or(credential.name);
        credential.scope = edit.scope.unwrap_or(credential.scope);
        credential.sources = edit.sources.unwrap_or(credential.sources);
        credential.rate_per_second = edit.rate_per_second.unwrap_or(credential.rate_per_second);
        credential.recipients_per_day =
            edit.recipients_per_day.unwrap_or(credential.recipients_per_day);
        credential.enabled = edit.enabled.unwrap_or(credential.enabled);
        self.check(&credential)?;
        let record = encode(&credential, &holder.sealed);
        self.write(vec![(credential_key(number), Some(record))]).await?;
        let credential = Arc::new(credential);
        self.put(Holder {
            credential: Arc::clone(&credential),
            sealed: holder.sealed.clone(),
            verifier: holder.verifier,
            usage: Arc::clone(&holder.usage),
        });
        Ok(credential)
    }

    /// Ends a credential for good. Its number and user are never given out again.
    pub async fn revoke(&self, number: u32) -> Result<(), AccessError> {
        let _one_at_a_time = self.doors.lock().await;
        let holder = self.holder(number).ok_or(AccessError::Unknown(number))?;
        let usage = self.store.scan(&usage_prefix(number), None, PAGE)?;
        let gone = usage.into_iter().map(|(key, _)| (key, None));
        self.write(gone.chain([(credential_key(number), None)]).collect()).await?;
        let mut book = self.book.write();
        book.by_number.remove(&number);
        book.by_user.remove(&holder.credential.user);
        Ok(())
    }

    pub(super) fn read_credentials(&self) -> Result<(), AccessError> {
        self.each(&kind::key(kind::CREDENTIAL, &[]), |access, key, value| {
            let Ok((credential, sealed)) = decode(value) else {
                tracing::error!(record.key = ?key, "a credential cannot be read and does not work");
                return;
            };
            let secret = access.vault.unseal(&secret_context(credential.number), &sealed);
            if secret.is_err() {
                tracing::error!(
                    credential.number = credential.number,
                    "the secret of a credential does not open with the instance key: it does not work"
                );
            }
            access.put(Holder {
                verifier: secret.ok().and_then(|secret| access.verifier(&secret)),
                credential: Arc::new(credential),
                sealed,
                usage: Arc::new(Mutex::new(Usage::default())),
            });
        })
    }

    pub(super) fn read_usage(&self) -> Result<(), AccessError> {
        self.each(&[b'x', kind::counter::USAGE], |access, key, value| {
            let Ok((number, hour, recipients, last_used_ms)) = decode_usage(key, value) else {
                return;
            };
            if let Some(holder) = access.holder(number) {
                let mut usage = holder.usage.lock();
                usage.add(hour, recipients);
                usage.last_used_ms = usage.last_used_ms.max(last_used_ms);
            }
        })
    }

    fn each(&self, prefix: &[u8], take: impl Fn(&Access, &[u8], &[u8])) -> Result<(), AccessError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.store.scan(prefix, after.as_deref(), PAGE)?;
            for (key, value) in &page {
                take(self, key, value);
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => return Ok(()),
            }
        }
    }

    fn next_number(&self) -> Result<u32, AccessError> {
        let last = self.store.get(&last_number_key())?;
        let last = last.and_then(|octets| octets.try_into().ok()).map_or(0, u64::from_be_bytes);
        // A counter that was lost must not give a number out twice while its credential lives.
        let highest = self.book.read().by_number.keys().max().copied().unwrap_or_default();
        u32::try_from(last.max(u64::from(highest)) + 1).map_err(|_| AccessError::Full)
    }

    fn check(&self, credential: &Credential) -> Result<(), AccessError> {
        let name = &credential.name;
        if name.is_empty()
            || name.len() > Credential::NAME_OCTETS_MAX
            || !name.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ')
        {
            return Err(AccessError::Name);
        }
        if credential.sources.len() > Credential::SOURCES_MAX {
            return Err(AccessError::TooMany("source networks", Credential::SOURCES_MAX));
        }
        if matches!(&credential.scope, Scope::Only(patterns) if patterns.len() > Scope::PATTERNS_MAX)
        {
            return Err(AccessError::TooMany("identities", Scope::PATTERNS_MAX));
        }
        if credential.rate_per_second == Some(0) {
            return Err(AccessError::Nought("a rate"));
        }
        if credential.recipients_per_day == Some(0) {
            return Err(AccessError::Nought("a quota"));
        }
        let book = self.book.read();
        let mut others =
            book.by_number.values().filter(|h| h.credential.number != credential.number);
        if others.any(|holder| holder.credential.name == *name) {
            return Err(AccessError::NameTaken(name.clone()));
        }
        if book.by_number.len() >= CREDENTIALS_MAX
            && !book.by_number.contains_key(&credential.number)
        {
            return Err(AccessError::Full);
        }
        Ok(())
    }

    async fn write(&self, records: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), AccessError> {
        self.store.commit(Change { records, ..Change::default() }).await?;
        Ok(())
    }

    fn put(&self, holder: Holder) {
        let mut book = self.book.write();
        book.by_user.insert(holder.credential.user.clone(), holder.credential.number);
        book.by_number.insert(holder.credential.number, Arc::new(holder));
    }
}

fn credential_key(number: u32) -> Vec<u8> {
    kind::key(kind::CREDENTIAL, &number.to_be_bytes())
}

fn last_number_key() -> Vec<u8> {
    kind::key(kind::LAST_NUMBER, &[kind::CREDENTIAL])
}

pub(super) fn usage_prefix(number: u32) -> Vec<u8> {
    let mut key = usage_key(number, 0);
    key.truncate(6);
    key
}

/// What a sealed secret belongs to: moved to another credential's record it does not open.
fn secret_context(number: u32) -> Vec<u8> {
    format!("credential {number} secret").into_bytes()
}

/// Lower-case base32, which survives shells, URLs and being read aloud.
fn encode_secret(octets: &[u8]) -> Vec<u8> {
    BASE32_NOPAD.encode(octets).to_ascii_lowercase().into_bytes()
}
