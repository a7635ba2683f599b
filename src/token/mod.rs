//! Signed return paths: the address that a bounce comes back to names the message and the recipient, and only we can
//! have written it.
//!
//! Pure: keys are given, nothing is stored. A report without a valid token is never believed (it suppresses nobody).
//! Every name is `b+` and 52 characters of lower-case base32 (RFC 4648 §6, without padding) over
//! `key number(2) ‖ message id(16) ‖ recipient number(4) ‖ mac(10)`, 54 octets of the 64 that RFC 5321 §4.5.3.1.1 allows.

use std::fmt;

use data_encoding::{Encoding, Specification};
use ring::hmac;
use subtle::ConstantTimeEq as _;

use crate::mail::{Domain, Mailbox, MailboxError, MessageId};

/// What begins the local part of every return path of ours.
pub const PREFIX: &str = "b+";
/// Octets of a key: as many as the hash gives (RFC 2104 §3).
pub const KEY_OCTETS: usize = 32;
/// Keys held at once; an old one stays until the last report on mail that it signed can have come.
pub const KEYS_MAX: usize = 16;

/// 80 bits: out of reach of guessing over SMTP, and short enough for a local part.
const MAC_OCTETS: usize = 10;
const SIGNED_OCTETS: usize = 2 + 16 + 4;
const TOKEN_OCTETS: usize = SIGNED_OCTETS + MAC_OCTETS;
const TOKEN_CHARS: usize = 52;
/// Keeps this use of the key apart from every other.
const CONTEXT: &[u8] = b"postrider return path 1";

/// What a return path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReturnPath {
    /// The message.
    pub message: MessageId,
    /// The recipient's number in its envelope.
    pub recipient: u32,
}

/// Why an address is no return path of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It does not have the form of one.
    Form,
    /// It names a key that we do not hold.
    KeyUnknown(u16),
    /// Its signature is not ours.
    Forged,
}

/// The keys that sign return paths, by number.
///
/// New mail is signed with the one of the highest number; the others still verify.
#[derive(Clone)]
pub struct Keys {
    keys: Vec<(u16, hmac::Key)>,
}

/// Why a set of keys cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysError {
    /// None was given, so nothing could be signed.
    Empty,
    /// Over [`KEYS_MAX`].
    Many,
    /// The same number twice.
    Repeated(u16),
}

impl Keys {
    /// Takes keys with their numbers, in any order.
    pub fn new(keys: &[(u16, [u8; KEY_OCTETS])]) -> Result<Keys, KeysError> {
        if keys.is_empty() {
            return Err(KeysError::Empty);
        }
        if keys.len() > KEYS_MAX {
            return Err(KeysError::Many);
        }
        let mut held: Vec<(u16, hmac::Key)> = keys
            .iter()
            .map(|(number, key)| (*number, hmac::Key::new(hmac::HMAC_SHA256, key)))
            .collect();
        held.sort_by_key(|(number, _)| *number);
        match held.array_windows().find(|[(a, _), (b, _)]| a == b) {
            Some([(number, _), _]) => Err(KeysError::Repeated(*number)),
            None => Ok(Keys { keys: held }),
        }
    }

    /// The return path of one recipient of one message, at `bounce` domain.
    ///
    /// Fails only where the domain makes no mailbox, which a [`Domain`] never does.
    pub fn return_path(&self, path: ReturnPath, bounce: &Domain) -> Result<Mailbox, MailboxError> {
        Mailbox::parse(&format!("{}@{bounce}", self.local_part(path)))
    }

    /// What stands before the `@`.
    pub fn local_part(&self, path: ReturnPath) -> String {
        let mut octets = Vec::with_capacity(TOKEN_OCTETS);
        // `new` refuses an empty set, so there always is a last key.
        if let Some((number, key)) = self.keys.last() {
            octets.extend_from_slice(&number.to_be_bytes());
            octets.extend_from_slice(&path.message.octets());
            octets.extend_from_slice(&path.recipient.to_be_bytes());
            let mac = mac(key, &octets);
            octets.extend_from_slice(&mac);
        }
        format!("{PREFIX}{}", base32().encode(&octets))
    }

    /// Reads a local part, in any case of letters: hosts on the way may have changed it.
    pub fn verify(&self, local: &str) -> Result<ReturnPath, TokenError> {
        let token = strip_prefix_any_case(local).ok_or(TokenError::Form)?;
        if token.len() != TOKEN_CHARS {
            return Err(TokenError::Form);
        }
        let octets =
            base32().decode(token.to_ascii_lowercase().as_bytes()).map_err(|_| TokenError::Form)?;
        let (signed, given) =
            octets.split_first_chunk::<SIGNED_OCTETS>().ok_or(TokenError::Form)?;
        let [k0, k1, id @ .., n0, n1, n2, n3] = *signed;
        let number = u16::from_be_bytes([k0, k1]);
        let (_, key) = self
            .keys
            .iter()
            .find(|(held, _)| *held == number)
            .ok_or(TokenError::KeyUnknown(number))?;
        if !bool::from(mac(key, signed).ct_eq(given)) {
            return Err(TokenError::Forged);
        }
        Ok(ReturnPath {
            message: MessageId::from_octets(id),
            recipient: u32::from_be_bytes([n0, n1, n2, n3]),
        })
    }
}

fn mac(key: &hmac::Key, signed: &[u8]) -> [u8; MAC_OCTETS] {
    let mut context = hmac::Context::with_key(key);
    context.update(CONTEXT);
    context.update(signed);
    let tag = context.sign();
    let mut out = [0; MAC_OCTETS];
    out.iter_mut().zip(tag.as_ref()).for_each(|(out, octet)| *out = *octet);
    out
}

fn strip_prefix_any_case(local: &str) -> Option<&str> {
    let (head, rest) = local.split_at_checked(PREFIX.len())?;
    head.eq_ignore_ascii_case(PREFIX).then_some(rest)
}

/// The lower-case alphabet of RFC 4648 §6; spare bits must be zero, so that a token has one spelling.
#[allow(
    clippy::expect_used,
    reason = "the specification is a constant, and a test encodes with it"
)]
fn base32() -> &'static Encoding {
    static BASE32: std::sync::OnceLock<Encoding> = std::sync::OnceLock::new();
    BASE32.get_or_init(|| {
        let mut spec = Specification::new();
        spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
        spec.encoding().expect("the alphabet has 32 different symbols")
    })
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(number, _)| number)).finish()
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::Form => f.write_str("not a return path of ours"),
            TokenError::KeyUnknown(number) => {
                write!(f, "the return path was signed with key {number}, which is not held")
            }
            TokenError::Forged => f.write_str("the return path is not signed by us"),
        }
    }
}

impl std::error::Error for TokenError {}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeysError::Empty => f.write_str("no key to sign return paths with: give one"),
            KeysError::Many => {
                write!(f, "more than {KEYS_MAX} keys for return paths: drop the oldest")
            }
            KeysError::Repeated(number) => {
                write!(f, "key {number} for return paths is given twice")
            }
        }
    }
}

impl std::error::Error for KeysError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(numbers: &[u16]) -> Keys {
        let keys: Vec<_> = numbers.iter().map(|n| (*n, [n.to_be_bytes()[1]; 32])).collect();
        Keys::new(&keys).unwrap()
    }

    fn path() -> ReturnPath {
        ReturnPath { message: MessageId::new(1_700_000_000_000, 7, 42), recipient: 999 }
    }

    #[test]
    fn a_return_path_fits_a_local_part_and_a_domain() {
        let bounce = Domain::parse("bounce.example.org").unwrap();
        let mailbox = keys(&[1]).return_path(path(), &bounce).unwrap();
        assert_eq!(mailbox.local().len(), PREFIX.len() + TOKEN_CHARS);
        assert!(mailbox.local().bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7' | b'+')));
        assert_eq!(mailbox.domain(), &bounce);
    }

    #[test]
    fn a_return_path_is_believed_in_any_case_of_letters() {
        let local = keys(&[1]).local_part(path());
        assert_eq!(keys(&[1]).verify(&local.to_ascii_uppercase()), Ok(path()));
    }

    #[test]
    fn an_old_key_verifies_after_a_new_one_signs() {
        let old = keys(&[1]).local_part(path());
        let both = keys(&[2, 1]);
        assert_eq!(both.verify(&old), Ok(path()));
        assert_eq!(keys(&[2]).verify(&old), Err(TokenError::KeyUnknown(1)));
        assert_eq!(keys(&[2]).verify(&both.local_part(path())), Ok(path()));
    }

    #[test]
    fn a_token_signed_with_another_key_is_forged() {
        let stranger = Keys::new(&[(1, [9; 32])]).unwrap();
        assert_eq!(keys(&[1]).verify(&stranger.local_part(path())), Err(TokenError::Forged));
    }

    #[test]
    fn keys_are_refused_that_could_not_sign_or_be_told_apart() {
        let check = |keys: &[(u16, [u8; 32])]| Keys::new(keys).map(|_| ()).unwrap_err();
        assert_eq!(check(&[]), KeysError::Empty);
        assert_eq!(check(&[(3, [0; 32]), (3, [1; 32])]), KeysError::Repeated(3));
        assert_eq!(check(&[(0, [0; 32]); KEYS_MAX + 1]), KeysError::Many);
    }

    proptest! {
        #[test]
        fn a_return_path_survives_being_written_and_read(ms in 0u64..(1 << 48), unique: u64, recipient: u32) {
            let path = ReturnPath { message: MessageId::new(ms, 1, unique), recipient };
            let keys = keys(&[1, 2]);
            prop_assert_eq!(keys.verify(&keys.local_part(path)), Ok(path));
        }

        #[test]
        fn a_changed_character_is_never_believed(place in 0usize..52, by in 1u8..32) {
            let keys = keys(&[1]);
            let mut local = keys.local_part(path()).into_bytes();
            let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
            let digit = alphabet.iter().position(|a| *a == local[PREFIX.len() + place]).unwrap();
            local[PREFIX.len() + place] = alphabet[(digit + usize::from(by)) % 32];
            prop_assert!(keys.verify(std::str::from_utf8(&local).unwrap()).is_err());
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,60}", tail in "[a-z2-7]{52}") {
            prop_assert!(keys(&[1]).verify(&text).is_err());
            let tail = format!("b+{tail}");
            prop_assert!(keys(&[1]).verify(&tail).is_err());
        }
    }
}
