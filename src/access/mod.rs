//! Who may use this server: credentials, their quotas, and the lock-out of those who guess.
//!
//! Never tells a known user from an unknown one, neither in text nor in time; never keeps a secret where it could be printed;
//! never waits on the disk to look a credential up. Submission and the HTTP faces authenticate here, intake asks for quotas.

pub mod credential;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::mail::{EnhancedStatus, Reply};

pub use credential::{Credential, Pattern, Scope};

/// Credentials, quotas and lock-out. Look-ups are answered from memory.
#[derive(Debug)]
pub struct Access {}

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
    /// What the client hears (RFC 4954 §6).
    pub fn reply(&self) -> Reply {
        match self {
            Denied::Wrong => Reply {
                code: 535,
                enhanced: Some(EnhancedStatus::new(5, 7, 8)),
                text: "Authentication Credentials Invalid".into(),
            },
            Denied::Locked { retry_after } => Reply {
                code: 454,
                enhanced: Some(EnhancedStatus::new(4, 7, 0)),
                text: format!(
                    "Temporary authentication failure: too many failed attempts from your address, try again in {} seconds",
                    retry_after.as_secs().max(1)
                ),
            },
            Denied::Off => Reply {
                code: 535,
                enhanced: Some(EnhancedStatus::new(5, 7, 8)),
                text: "Authentication Credentials Invalid: this credential is switched off".into(),
            },
            Denied::Source(client) => Reply {
                code: 535,
                enhanced: Some(EnhancedStatus::new(5, 7, 8)),
                text: format!(
                    "Authentication Credentials Invalid: this credential may not be used from {client}"
                ),
            },
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reply().text)
    }
}

impl std::error::Error for Denied {}

impl Access {
    /// Checks a user and a password that `client` gave over TLS.
    pub fn authenticate(
        &self,
        _user: &str,
        _password: &[u8],
        _client: IpAddr,
    ) -> Result<Arc<Credential>, Denied> {
        Err(Denied::Wrong)
    }

    /// The credential of a name, for a trusted listener, whose clients are known by their addresses alone. Its switch and its
    /// sources hold there too.
    pub fn trusted(&self, _name: &str, _client: IpAddr) -> Result<Arc<Credential>, Denied> {
        Err(Denied::Wrong)
    }
}
