//! Why a client is not let in or may not send more, and what it hears.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::mail::{EnhancedStatus, Reply};
use crate::store::StoreFailed;
use crate::store::vault::VaultError;

/// Why an authentication was refused. Text and time are the same for a user we know and one we don't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No such user with this password.
    Wrong,
    /// Too many failures came from this client; nothing was checked.
    Locked {
        /// How long the lock still holds.
        retry_after: Duration,
    },
    /// The password is right, the credential is switched off.
    Off,
    /// The password is right, the credential may not be used from this address.
    Source(IpAddr),
}

impl Denied {
    /// What the client hears (RFC 4954 §6); the first words are those that SES's users match on.
    pub fn reply(&self) -> Reply {
        let (code, status) = match self {
            Denied::Locked { .. } => (454, EnhancedStatus::new(4, 7, 0)),
            Denied::Wrong | Denied::Off | Denied::Source(_) => (535, EnhancedStatus::new(5, 7, 8)),
        };
        Reply { code, enhanced: Some(status), text: self.to_string() }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Wrong => f.write_str("Authentication Credentials Invalid"),
            Denied::Locked { retry_after } => write!(
                f,
                "Temporary authentication failure: too many failed attempts from your address, try again in {} seconds",
                retry_after.as_secs() + 1
            ),
            Denied::Off => {
                f.write_str("Authentication Credentials Invalid: this credential is switched off")
            }
            Denied::Source(client) => write!(
                f,
                "Authentication Credentials Invalid: this credential may not be used from {client}"
            ),
        }
    }
}

impl std::error::Error for Denied {}

/// Why a credential may not send now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverQuota {
    /// It was switched off or revoked.
    Off,
    /// More recipients per second than it may have.
    Rate {
        /// What it may have.
        per_second: u32,
    },
    /// More recipients in 24 hours than it may have.
    Daily {
        /// What it may have.
        per_day: u64,
    },
}

/// Why a change to the credentials was not made.
#[derive(Debug)]
pub enum AccessError {
    /// A credential of this name exists.
    NameTaken(String),
    /// The name is empty, too long, or not printable ASCII.
    Name,
    /// More patterns or networks than a credential may have.
    TooMany(&'static str, usize),
    /// A limit of nought: switch the credential off instead.
    Nought(&'static str),
    /// There is no credential of this number.
    Unknown(u32),
    /// There are as many credentials as there may be.
    Full,
    /// The store failed.
    Store(StoreFailed),
    /// The secret could not be made or sealed.
    Vault(VaultError),
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessError::NameTaken(name) => {
                write!(f, "a credential named {name} exists, choose another name or revoke it")
            }
            AccessError::Name => {
                f.write_str("a credential's name has 1 to 64 printable ASCII characters")
            }
            AccessError::TooMany(what, max) => write!(f, "a credential has at most {max} {what}"),
            AccessError::Nought(what) => {
                write!(f, "{what} of 0 lets nothing through, switch the credential off instead")
            }
            AccessError::Unknown(number) => write!(f, "there is no credential {number}"),
            AccessError::Full => f.write_str("there are too many credentials, revoke some"),
            AccessError::Store(error) => error.fmt(f),
            AccessError::Vault(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AccessError {}

impl From<StoreFailed> for AccessError {
    fn from(error: StoreFailed) -> AccessError {
        AccessError::Store(error)
    }
}

impl From<VaultError> for AccessError {
    fn from(error: VaultError) -> AccessError {
        AccessError::Vault(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(denied: Denied, want: &str) {
        assert_eq!(denied.reply().to_string(), want);
    }

    #[test]
    fn a_denial_says_what_to_do_and_nothing_about_who_exists() {
        check(Denied::Wrong, "535 5.7.8 Authentication Credentials Invalid");
        check(
            Denied::Locked { retry_after: Duration::from_millis(14_200) },
            "454 4.7.0 Temporary authentication failure: too many failed attempts from your address, try again in 15 seconds",
        );
    }
}
