//! A key that signs: RSA or Ed25519, with the domain and selector under which it is published.

use std::fmt;

use data_encoding::BASE64;
use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256, SigningKey as _};
use rustls_pki_types::PrivateKeyDer;

use crate::mail::Domain;

/// Octets of a selector: one or more labels of a name in DNS (RFC 6376 §3.1).
pub const SELECTOR_OCTETS_MAX: usize = 63;

/// SubjectPublicKeyInfo of an RSA key up to its length octets (RFC 3279 §2.3.1): the algorithm and no parameters.
const RSA_ALGORITHM: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// A DKIM key, parsed and ready. Holds a secret: its `Debug` shows the name only.
pub struct DkimKey {
    domain: Domain,
    selector: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKey<Sha256>>),
    Ed25519(Ed25519Key),
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// The selector is no name of lower-case letters, digits, hyphens and dots, or too long.
    Selector(String),
    /// The octets are no key of that kind.
    Octets(String),
    /// The key would not sign.
    Signing(String),
}

impl DkimKey {
    /// An RSA key from its private key in PKCS#1 or PKCS#8 (RFC 8017 §A.1.2, RFC 5958 §2).
    pub fn rsa(domain: Domain, selector: &str, der: &[u8]) -> Result<DkimKey, KeyError> {
        let der = PrivateKeyDer::try_from(der).map_err(|text| KeyError::Octets(text.into()))?;
        let pair = RsaKey::from_key_der(der).map_err(|e| KeyError::Octets(e.to_string()))?;
        DkimKey::new(domain, selector, Pair::Rsa(Box::new(pair)))
    }

    /// An Ed25519 key from its private key in PKCS#8 (RFC 8410 §7).
    pub fn ed25519(domain: Domain, selector: &str, der: &[u8]) -> Result<DkimKey, KeyError> {
        let pair = Ed25519Key::from_pkcs8_maybe_unchecked_der(der)
            .map_err(|e| KeyError::Octets(e.to_string()))?;
        DkimKey::new(domain, selector, Pair::Ed25519(pair))
    }

    fn new(domain: Domain, selector: &str, pair: Pair) -> Result<DkimKey, KeyError> {
        let label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        if selector.len() > SELECTOR_OCTETS_MAX || !selector.split('.').all(label) {
            return Err(KeyError::Selector(selector.to_owned()));
        }
        Ok(DkimKey { domain, selector: selector.to_owned(), pair })
    }

    /// The domain it signs for, `d=`.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Its selector, `s=`.
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// Its algorithm as `a=` has it (RFC 6376 §3.3, RFC 8463 §3).
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "rsa-sha256",
            Pair::Ed25519(_) => "ed25519-sha256",
        }
    }

    /// Where its record stands in DNS (RFC 6376 §3.6.2.1).
    pub fn record_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// What its TXT record says (RFC 6376 §3.6.1, RFC 8463 §4).
    pub fn record_value(&self) -> String {
        match &self.pair {
            Pair::Rsa(pair) => {
                format!("v=DKIM1; k=rsa; p={}", BASE64.encode(&rsa_spki(&pair.public_key())))
            }
            Pair::Ed25519(pair) => {
                format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(&pair.public_key()))
            }
        }
    }

    /// The signature of `data` in base64. RSA takes most of a millisecond: call it off the reactor.
    pub(super) fn sign(&self, data: &[u8]) -> Result<String, KeyError> {
        let signature = match &self.pair {
            Pair::Rsa(pair) => pair.sign(data),
            Pair::Ed25519(pair) => pair.sign(data),
        };
        let signature = signature.map_err(|e| KeyError::Signing(e.to_string()))?;
        Ok(BASE64.encode(&signature))
    }
}

/// Wraps an RSAPublicKey (RFC 8017 §A.1.1) the way verifiers expect it in DNS.
fn rsa_spki(public: &[u8]) -> Vec<u8> {
    let mut bits = vec![0];
    bits.extend_from_slice(public);
    let mut inner = RSA_ALGORITHM.to_vec();
    inner.extend(der(0x03, &bits));
    der(0x30, &inner)
}

/// One DER value of fewer than 65,536 octets.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [_, _, _, _, _, _, high, low] = (content.len() as u64).to_be_bytes();
    let mut out = vec![tag];
    match (high, low) {
        (0, 0..=0x7f) => out.push(low),
        (0, _) => out.extend([0x81, low]),
        (_, _) => out.extend([0x82, high, low]),
    }
    out.extend_from_slice(content);
    out
}

impl fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DkimKey({} {})", self.algorithm(), self.record_name())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Selector(selector) => write!(
                f,
                "{selector:?} is no DKIM selector: use lower-case letters, digits, hyphens and dots, at most {SELECTOR_OCTETS_MAX} octets"
            ),
            KeyError::Octets(text) => write!(f, "not a DKIM key: {text}"),
            KeyError::Signing(text) => write!(f, "the DKIM key did not sign: {text}"),
        }
    }
}

impl std::error::Error for KeyError {}
