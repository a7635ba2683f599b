//! Who may use this server: credentials, their quotas, and the lock-out of those who guess.
//!
//! Never tells a known user from an unknown one, neither in text nor in time; never keeps a secret where it could be printed;
//! never waits on the disk to look a credential up. Submission and the HTTP faces authenticate here, intake asks for quotas.

pub mod credential;
mod denied;
mod doors;
mod lockout;
mod quota;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use ring::hmac;
use subtle::ConstantTimeEq as _;

use crate::clock::Clock;
use crate::mail::record::{Reader, RecordError, Writer};
use crate::store::vault::Vault;
use crate::store::{Store, kind};
use crate::telemetry::Secret;

pub use credential::{Credential, Pattern, PatternError, Scope};
pub use denied::{AccessError, Denied, OverQuota};
pub use doors::{Created, Edit, NewCredential, Used};
use lockout::Lockout;
use quota::{Usage, hour_of};

/// Octets of an HMAC-SHA-256.
const VERIFIER_OCTETS: usize = 32;

/// Credentials, quotas and lock-out. Look-ups are answered from memory.
pub struct Access {
    store: Store,
    vault: Vault,
    clock: Arc<dyn Clock>,
    verifying: hmac::Key,
    /// What an unknown user's password is compared with, so that the comparison takes its time.
    nobody: [u8; VERIFIER_OCTETS],
    book: RwLock<Book>,
    lockout: Mutex<Lockout>,
    /// One change to the book at a time, from its reading to its commit.
    doors: tokio::sync::Mutex<()>,
    failures: AtomicU64,
    locked: AtomicU64,
}

/// Every credential, as look-ups need it.
#[derive(Default)]
struct Book {
    by_number: HashMap<u32, Arc<Holder>>,
    by_user: HashMap<String, u32>,
}

struct Holder {
    credential: Arc<Credential>,
    /// The sealed secret, to be written back when the credential changes.
    sealed: Vec<u8>,
    /// HMAC of the secret; `None` where the secret does not open, so that nothing matches.
    verifier: Option<[u8; VERIFIER_OCTETS]>,
    usage: Arc<Mutex<Usage>>,
}

/// Counts since start, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessCounts {
    /// Wrong users and passwords.
    pub failures: u64,
    /// Attempts that met a lock and were not checked.
    pub locked: u64,
}

impl Access {
    /// Reads all credentials and what they used in the last day. A record that cannot be read is logged and left alone; its
    /// credential does not work.
    pub fn open(store: Store, vault: Vault, clock: Arc<dyn Clock>) -> Result<Access, AccessError> {
        let access = Access {
            verifying: vault.hmac_key("credential verifier"),
            nobody: vault.derive("credential nobody"),
            book: RwLock::default(),
            lockout: Mutex::new(Lockout::new()),
            doors: tokio::sync::Mutex::new(()),
            failures: AtomicU64::new(0),
            locked: AtomicU64::new(0),
            store,
            vault,
            clock,
        };
        access.read_credentials()?;
        access.read_usage()?;
        Ok(access)
    }

    /// Checks a user and a password that `client` gave over TLS. Takes the same work for every user; never blocks.
    pub fn authenticate(
        &self,
        user: &str,
        password: &[u8],
        client: IpAddr,
    ) -> Result<Arc<Credential>, Denied> {
        let now = self.clock.uptime();
        if let Err(retry_after) = self.lockout.lock().check(now, client, user) {
            self.locked.fetch_add(1, Ordering::Relaxed);
            return Err(Denied::Locked { retry_after });
        }
        let holder = self.holder_of_user(user);
        let expected = holder.as_ref().and_then(|holder| holder.verifier);
        let given = hmac::sign(&self.verifying, password);
        let same: bool = given.as_ref().ct_eq(&expected.unwrap_or(self.nobody)).into();
        let Some(holder) = holder.filter(|_| same && expected.is_some()) else {
            self.failures.fetch_add(1, Ordering::Relaxed);
            self.lockout.lock().failed(now, client, user);
            tracing::warn!(client.address = %client, "authentication failed from {client}");
            return Err(Denied::Wrong);
        };
        self.lockout.lock().succeeded(now, client, user);
        self.admit(&holder, client)
    }

    /// The credential of a name, for a trusted listener, whose clients are known by their addresses alone. Its switch and its
    /// sources hold there too.
    pub fn trusted(&self, name: &str, client: IpAddr) -> Result<Arc<Credential>, Denied> {
        let book = self.book.read();
        let holder = book.by_number.values().find(|holder| holder.credential.name == name);
        let holder = Arc::clone(holder.ok_or(Denied::Off)?);
        drop(book);
        self.admit(&holder, client)
    }

    /// The credential of a number as it stands now; `None` if it was revoked or switched off.
    pub fn current(&self, number: u32) -> Option<Arc<Credential>> {
        let holder = self.holder(number)?;
        holder.credential.enabled.then(|| Arc::clone(&holder.credential))
    }

    /// Whether the credential may send a message now: at MAIL, before anything is known of it.
    pub fn may_send(&self, number: u32) -> Result<(), OverQuota> {
        let holder = self.holder(number).ok_or(OverQuota::Off)?;
        let used = holder.usage.lock();
        self.allows(&holder.credential, &used, 1)
    }

    /// Takes `recipients` from the credential's quotas; of them, `counted` go into the 24 hours (a simulator's do not).
    /// Dropping the result gives the latter back.
    pub fn take(&self, number: u32, recipients: u32, counted: u32) -> Result<Taken, OverQuota> {
        let holder = self.holder(number).ok_or(OverQuota::Off)?;
        let now_ms = self.clock.now_ms();
        let mut used = holder.usage.lock();
        self.allows(&holder.credential, &used, u64::from(counted))?;
        used.charge_rate(self.clock.uptime(), holder.credential.rate_per_second, recipients);
        let (hour, counted) = (hour_of(now_ms), u64::from(counted));
        used.add(hour, counted);
        used.last_used_ms = now_ms;
        drop(used);
        Ok(Taken { usage: Arc::clone(&holder.usage), number, hour, counted, kept: false })
    }

    /// Counts since start.
    pub fn counts(&self) -> AccessCounts {
        AccessCounts {
            failures: self.failures.load(Ordering::Relaxed),
            locked: self.locked.load(Ordering::Relaxed),
        }
    }

    fn allows(&self, credential: &Credential, used: &Usage, counted: u64) -> Result<(), OverQuota> {
        if !credential.enabled {
            return Err(OverQuota::Off);
        }
        if let Some(per_second) = credential.rate_per_second
            && !used.rate_allows(self.clock.uptime(), Some(per_second))
        {
            return Err(OverQuota::Rate { per_second });
        }
        match credential.recipients_per_day {
            Some(per_day) if used.in_window(self.clock.now_ms()) + counted > per_day => {
                Err(OverQuota::Daily { per_day })
            }
            _ => Ok(()),
        }
    }

    fn admit(&self, holder: &Holder, client: IpAddr) -> Result<Arc<Credential>, Denied> {
        if !holder.credential.enabled {
            return Err(Denied::Off);
        }
        if !holder.credential.admits(client) {
            return Err(Denied::Source(client));
        }
        holder.usage.lock().last_used_ms = self.clock.now_ms();
        Ok(Arc::clone(&holder.credential))
    }

    fn holder(&self, number: u32) -> Option<Arc<Holder>> {
        self.book.read().by_number.get(&number).map(Arc::clone)
    }

    fn holder_of_user(&self, user: &str) -> Option<Arc<Holder>> {
        let book = self.book.read();
        let number = book.by_user.get(user)?;
        book.by_number.get(number).map(Arc::clone)
    }

    fn verifier(&self, secret: &Secret) -> Option<[u8; VERIFIER_OCTETS]> {
        hmac::sign(&self.verifying, secret.reveal()).as_ref().try_into().ok()
    }
}

/// Recipients taken from a credential's quotas, until their message is committed or given up.
#[derive(Debug)]
#[must_use = "dropping it gives the recipients back"]
pub struct Taken {
    usage: Arc<Mutex<Usage>>,
    number: u32,
    hour: u64,
    counted: u64,
    kept: bool,
}

impl Taken {
    /// The records that belong into the message's own commit, so that the count survives a restart. They hold the hour's
    /// whole count: of two messages that commit at the same time either may write the other's too, never less than was
    /// counted when it asked.
    pub fn records(&self, now_ms: u64) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let mut usage = self.usage.lock();
        let gone = usage.expire(now_ms);
        let value = encode_usage(usage.of_hour(self.hour), usage.last_used_ms);
        drop(usage);
        let mut records = vec![(usage_key(self.number, self.hour), Some(value))];
        records.extend(gone.into_iter().map(|hour| (usage_key(self.number, hour), None)));
        records
    }

    /// The message is accepted: its recipients stay counted.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.kept {
            self.usage.lock().give_back(self.hour, self.counted);
        }
    }
}

/// `x ‖ kind ‖ credential ‖ hour`.
fn usage_key(number: u32, hour: u64) -> Vec<u8> {
    [b"x", &[kind::counter::USAGE][..], &number.to_be_bytes(), &hour.to_be_bytes()].concat()
}

fn encode_usage(recipients: u64, last_used_ms: u64) -> Vec<u8> {
    let mut w = Writer::new();
    w.number(1, recipients).number(2, last_used_ms);
    w.finish()
}

/// Credential and hour of the key, recipients and last use of the value.
fn decode_usage(key: &[u8], value: &[u8]) -> Result<(u32, u64, u64, u64), RecordError> {
    let key: &[u8; 14] = key.try_into().map_err(|_| RecordError)?;
    let [_, _, a, b, c, d, hour @ ..] = *key;
    let (mut recipients, mut last_used_ms) = (0, 0);
    let mut reader = Reader::new(value);
    while let Some(f) = reader.field()? {
        match f.number {
            1 => recipients = f.as_number()?,
            2 => last_used_ms = f.as_number()?,
            _ => {}
        }
    }
    Ok((u32::from_be_bytes([a, b, c, d]), u64::from_be_bytes(hour), recipients, last_used_ms))
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("credentials", &self.book.read().by_number.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
