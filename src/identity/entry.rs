//! One identity: its record, and its keys once they were needed.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::error::IdentityError;
use super::key::KeyRecord;
use super::name::IdentityName;
use crate::mail::Domain;
use crate::mail::record::{Reader, RecordError, Writer};
use crate::message::dkim::DkimKey;
use crate::store::vault::Vault;

/// Whether its DNS records were found published, as SES's `VerificationStatus` has it. It informs people: who may send
/// is decided by the identity's being there and by the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Verification {
    /// Not looked for, or not found yet.
    #[default]
    Pending,
    /// Found.
    Success,
    /// Looked for long enough.
    Failed,
}

impl Verification {
    /// All of them, in the order of their numbers.
    pub const ALL: [Verification; 3] =
        [Verification::Pending, Verification::Success, Verification::Failed];

    /// SES's word.
    pub const fn word(self) -> &'static str {
        match self {
            Verification::Pending => "PENDING",
            Verification::Success => "SUCCESS",
            Verification::Failed => "FAILED",
        }
    }
}

/// An identity.
pub struct Identity {
    /// Its number, never given to another.
    pub number: u32,
    /// The tenant's number; 0 is the owner.
    pub tenant: u32,
    /// Who it is.
    pub name: IdentityName,
    /// Where its bounces go, if not to the domain of all.
    pub bounce: Option<Domain>,
    /// Whether a failure without NOTIFY makes a notice to the sender, as SES's feedback forwarding.
    pub feedback_forwarding: bool,
    /// Whether its records were found in DNS.
    pub verification: Verification,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// Fields that a later release wrote, kept as they were.
    pub unknown: Vec<u8>,
    /// Its keys as they lie in the store, RSA first; an address has none.
    pub(super) sealed: Vec<KeyRecord>,
    /// The same, opened at the first signature: a thousand identities must not make a start slow.
    pub(super) opened: OnceLock<Vec<Arc<DkimKey>>>,
}

mod field {
    pub(super) const TENANT: u32 = 1;
    pub(super) const NAME: u32 = 2;
    pub(super) const BOUNCE: u32 = 3;
    pub(super) const FEEDBACK_FORWARDING: u32 = 4;
    pub(super) const VERIFICATION: u32 = 5;
    pub(super) const CREATED: u32 = 6;
}

impl Identity {
    /// Its keys, opened and parsed, RSA first. The first call takes some tenths of a millisecond.
    pub(super) fn keys(&self, vault: &Vault) -> Result<&[Arc<DkimKey>], IdentityError> {
        if let Some(keys) = self.opened.get() {
            return Ok(keys);
        }
        let opened = self
            .sealed
            .iter()
            .map(|record| record.open(self.name.domain(), vault).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(self.opened.get_or_init(|| opened))
    }

    /// Selectors of its keys, RSA first.
    pub fn selectors(&self) -> impl Iterator<Item = &str> {
        self.sealed.iter().map(|key| key.selector.as_str())
    }

    /// The same identity with other settings; its keys stay open.
    pub(super) fn with(&self, change: impl FnOnce(&mut Identity)) -> Identity {
        let mut changed = Identity {
            number: self.number,
            tenant: self.tenant,
            name: self.name.clone(),
            bounce: self.bounce.clone(),
            feedback_forwarding: self.feedback_forwarding,
            verification: self.verification,
            created_ms: self.created_ms,
            unknown: self.unknown.clone(),
            sealed: self.sealed.clone(),
            opened: self.opened.clone(),
        };
        change(&mut changed);
        changed
    }

    /// As a record; the number is in its key.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.number(field::TENANT, u64::from(self.tenant))
            .octets(field::NAME, self.name.to_string())
            .maybe(field::BOUNCE, self.bounce.as_ref().map(Domain::as_str))
            .number(field::FEEDBACK_FORWARDING, u64::from(self.feedback_forwarding))
            .number(field::VERIFICATION, self.verification as u64)
            .number(field::CREATED, self.created_ms)
            .raw(&self.unknown);
        w.finish()
    }

    /// From a record.
    pub(super) fn decode(number: u32, octets: &[u8]) -> Result<Identity, RecordError> {
        let (mut tenant, mut name, mut bounce, mut created_ms) = (0, None, None, 0);
        let (mut feedback_forwarding, mut verification) = (true, Verification::Pending);
        let mut unknown = Vec::new();
        let mut reader = Reader::new(octets);
        while let Some(f) = reader.field()? {
            match f.number {
                field::TENANT => tenant = f.as_small()?,
                field::NAME => {
                    name = Some(IdentityName::parse(f.as_text()?).map_err(|_| RecordError)?);
                }
                field::BOUNCE => {
                    bounce = Some(Domain::parse(f.as_text()?).map_err(|_| RecordError)?);
                }
                field::FEEDBACK_FORWARDING => feedback_forwarding = f.as_number()? != 0,
                field::VERIFICATION => {
                    let number = f.as_small::<usize>()?;
                    verification = Verification::ALL.get(number).copied().unwrap_or_default();
                }
                field::CREATED => created_ms = f.as_number()?,
                _ => f.keep(&mut unknown),
            }
        }
        Ok(Identity {
            number,
            tenant,
            name: name.ok_or(RecordError)?,
            bounce,
            feedback_forwarding,
            verification,
            created_ms,
            unknown,
            sealed: Vec::new(),
            opened: OnceLock::new(),
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} {})", self.number, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_being_written_and_read_with_what_a_later_release_added() {
        let mut later = Writer::new();
        later.number(99, 7);
        let identity = Identity {
            number: 5,
            tenant: 3,
            name: IdentityName::parse("ann@example.org").unwrap(),
            bounce: Some(Domain::parse("bounce.example.org").unwrap()),
            feedback_forwarding: false,
            verification: Verification::Failed,
            created_ms: 1_700_000_000_000,
            unknown: later.finish(),
            sealed: Vec::new(),
            opened: OnceLock::new(),
        };
        let again = Identity::decode(5, &identity.encode()).unwrap();
        assert_eq!(again.encode(), identity.encode());
        assert_eq!((again.number, again.tenant, again.verification), (5, 3, Verification::Failed));
        assert_eq!(again.name, identity.name);
        assert!(Identity::decode(5, b"").is_err());
    }
}
