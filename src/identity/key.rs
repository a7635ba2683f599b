//! DKIM keys as they lie in the store: sealed, each under a number of its own.

use crate::mail::Domain;
use crate::mail::record::{Reader, RecordError, Writer};
use crate::message::dkim::DkimKey;
use crate::store::vault::{Vault, chance};
use data_encoding::BASE32_NOPAD;
use mail_auth::dkim::generate::DkimKeyPair;

use super::error::IdentityError;

/// Bits of an RSA key: every receiver takes it (RFC 8301 §3.2), and DNS carries it in one record.
const RSA_BITS: usize = 2048;
/// Random octets of a selector, so that two servers that sign for one domain do not meet: 8 characters.
const SELECTOR_CHANCE: usize = 5;

/// What signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rsa,
    Ed25519,
}

/// One key's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyRecord {
    pub(super) number: u32,
    pub(super) identity: u32,
    pub(super) algorithm: Algorithm,
    pub(super) selector: String,
    pub(super) sealed: Vec<u8>,
    pub(super) created_ms: u64,
    pub(super) unknown: Vec<u8>,
}

/// A key pair that was just made and has no number yet.
pub(super) struct Made {
    pub(super) algorithm: Algorithm,
    pub(super) selector: String,
    private: Vec<u8>,
}

mod field {
    pub(super) const IDENTITY: u32 = 1;
    pub(super) const ALGORITHM: u32 = 2;
    pub(super) const SELECTOR: u32 = 3;
    pub(super) const SEALED: u32 = 4;
    pub(super) const CREATED: u32 = 5;
}

/// Makes an RSA and an Ed25519 key. Takes up to some seconds of computing: never on the reactor.
pub(super) fn make() -> Result<[Made; 2], IdentityError> {
    let made = |pair: mail_auth::Result<DkimKeyPair>| {
        pair.map(|pair| pair.private_key().to_vec())
            .map_err(|error| IdentityError::KeyMade(error.to_string()))
    };
    let rsa = made(DkimKeyPair::generate_rsa(RSA_BITS))?;
    let ed25519 = made(DkimKeyPair::generate_ed25519())?;
    let mark = BASE32_NOPAD.encode(&chance::<SELECTOR_CHANCE>()?).to_ascii_lowercase();
    Ok([
        Made { algorithm: Algorithm::Rsa, selector: format!("pr-{mark}-r"), private: rsa },
        Made { algorithm: Algorithm::Ed25519, selector: format!("pr-{mark}-e"), private: ed25519 },
    ])
}

impl Made {
    /// Seals it into the record of a number.
    pub(super) fn seal(
        self,
        number: u32,
        identity: u32,
        created_ms: u64,
        vault: &Vault,
    ) -> Result<KeyRecord, IdentityError> {
        let sealed = vault.seal(&context(number), &self.private)?;
        Ok(KeyRecord {
            number,
            identity,
            algorithm: self.algorithm,
            selector: self.selector,
            sealed,
            created_ms,
            unknown: Vec::new(),
        })
    }
}

impl KeyRecord {
    /// Opens and parses it, to sign for `domain`.
    pub(super) fn open(&self, domain: &Domain, vault: &Vault) -> Result<DkimKey, IdentityError> {
        let unusable = |why: String| IdentityError::KeyUnusable(self.selector.clone(), why);
        let private = vault
            .unseal(&context(self.number), &self.sealed)
            .map_err(|error| unusable(error.to_string()))?;
        let key = match self.algorithm {
            Algorithm::Rsa => DkimKey::rsa(domain.clone(), &self.selector, private.reveal()),
            Algorithm::Ed25519 => {
                DkimKey::ed25519(domain.clone(), &self.selector, private.reveal())
            }
        };
        key.map_err(|error| unusable(error.to_string()))
    }

    /// As a record; the number is in its key.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.number(field::IDENTITY, u64::from(self.identity))
            .number(field::ALGORITHM, if self.algorithm == Algorithm::Rsa { 1 } else { 2 })
            .octets(field::SELECTOR, &self.selector)
            .octets(field::SEALED, &self.sealed)
            .number(field::CREATED, self.created_ms)
            .raw(&self.unknown);
        w.finish()
    }

    /// From a record.
    pub(super) fn decode(number: u32, octets: &[u8]) -> Result<KeyRecord, RecordError> {
        let (mut identity, mut algorithm, mut created_ms) = (None, None, 0);
        let (mut selector, mut sealed, mut unknown) = (String::new(), Vec::new(), Vec::new());
        let mut reader = Reader::new(octets);
        while let Some(f) = reader.field()? {
            match f.number {
                field::IDENTITY => identity = Some(f.as_small()?),
                field::ALGORITHM => {
                    algorithm = Some(match f.as_number()? {
                        1 => Algorithm::Rsa,
                        2 => Algorithm::Ed25519,
                        _ => return Err(RecordError),
                    });
                }
                field::SELECTOR => f.as_text()?.clone_into(&mut selector),
                field::SEALED => sealed = f.as_octets()?.to_vec(),
                field::CREATED => created_ms = f.as_number()?,
                _ => f.keep(&mut unknown),
            }
        }
        Ok(KeyRecord {
            number,
            identity: identity.ok_or(RecordError)?,
            algorithm: algorithm.ok_or(RecordError)?,
            selector,
            sealed,
            created_ms,
            unknown,
        })
    }
}

/// What a sealed key belongs to: moved to another key's record it does not open.
fn context(number: u32) -> Vec<u8> {
    format!("dkim key {number} private").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sealed_at_rest_and_open_only_as_themselves() {
        let vault = Vault::of_key([1; 32]).unwrap();
        let domain = Domain::parse("example.org").unwrap();
        let [rsa, ed] = make().unwrap();
        assert_ne!(rsa.selector, ed.selector);
        for (number, made) in [(1, rsa), (2, ed)] {
            let private = made.private.clone();
            let record = made.seal(number, 7, 3, &vault).unwrap();
            let octets = record.encode();
            assert!(octets.len() < 4096 && !octets.windows(32).any(|w| w == &private[..32]));
            assert_eq!(KeyRecord::decode(number, &octets), Ok(record.clone()));
            assert!(record.open(&domain, &vault).is_ok());
            let moved = KeyRecord { number: 9, ..record.clone() };
            assert!(moved.open(&domain, &vault).is_err());
            assert!(record.open(&domain, &Vault::of_key([2; 32]).unwrap()).is_err());
        }
    }
}
