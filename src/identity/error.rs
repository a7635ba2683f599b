//! Why something about identities or configuration sets was not done.

use std::fmt;

use super::config_set::{MAX_AGE_MS_MAX, MAX_AGE_MS_MIN};
use super::{CONFIG_SETS_MAX, IDENTITIES_MAX};
use crate::message::inspect::{TAG_CHARS_MAX, TAGS_MAX};
use crate::store::StoreFailed;
use crate::store::vault::VaultError;

/// Why it was not done.
#[derive(Debug)]
pub enum IdentityError {
    /// The text is no identity: the text, and why.
    Name(String, String),
    /// An identity of this name exists.
    Taken(String),
    /// No identity has this name.
    Unknown(String),
    /// [`IDENTITIES_MAX`] identities exist.
    Full,
    /// The name is none of a configuration set.
    SetName(String),
    /// A configuration set of this name exists.
    SetTaken(String),
    /// No configuration set has this name.
    SetUnknown(String),
    /// [`CONFIG_SETS_MAX`] configuration sets exist.
    SetsFull,
    /// The maximum age is out of bounds.
    MaxAge,
    /// A default tag that SES would not take, or one too many.
    Tag(String),
    /// A DKIM key could not be made: what the library says.
    KeyMade(String),
    /// A DKIM key cannot be used: its selector, and why.
    KeyUnusable(String, String),
    /// The task that wrote it panicked; the log says where.
    Panicked,
    /// The vault.
    Vault(VaultError),
    /// The store.
    Store(StoreFailed),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityError::Name(text, why) => write!(f, "{text:?} is no identity: {why}"),
            IdentityError::Taken(name) => write!(f, "identity {name} exists already"),
            IdentityError::Unknown(name) => {
                write!(f, "there is no identity {name}, see the list of identities")
            }
            IdentityError::Full => {
                write!(f, "there are {IDENTITIES_MAX} identities, remove one first")
            }
            IdentityError::SetName(name) => write!(
                f,
                "{name:?} is no name of a configuration set: use 1 to 64 letters, digits, _ and -"
            ),
            IdentityError::SetTaken(name) => write!(f, "configuration set {name} exists already"),
            IdentityError::SetUnknown(name) => {
                write!(f, "there is no configuration set {name}, see the list of sets")
            }
            IdentityError::SetsFull => {
                write!(f, "there are {CONFIG_SETS_MAX} configuration sets, remove one first")
            }
            IdentityError::MaxAge => write!(
                f,
                "the maximum age is between {} minutes and {} days",
                MAX_AGE_MS_MIN / 60_000,
                MAX_AGE_MS_MAX / 86_400_000
            ),
            IdentityError::Tag(text) => write!(
                f,
                "{text:?} cannot be a default tag: at most {TAGS_MAX}, each once, of letters, digits, _ and -, in values also . and @, at most {TAG_CHARS_MAX} characters"
            ),
            IdentityError::KeyMade(why) => write!(f, "no DKIM key could be made: {why}"),
            IdentityError::KeyUnusable(selector, why) => {
                write!(f, "the DKIM key of selector {selector} cannot be used: {why}")
            }
            IdentityError::Panicked => {
                f.write_str("writing it ended in a panic, see the log and report it")
            }
            IdentityError::Vault(error) => error.fmt(f),
            IdentityError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for IdentityError {}

impl From<StoreFailed> for IdentityError {
    fn from(error: StoreFailed) -> IdentityError {
        IdentityError::Store(error)
    }
}

impl From<VaultError> for IdentityError {
    fn from(error: VaultError) -> IdentityError {
        IdentityError::Vault(error)
    }
}
