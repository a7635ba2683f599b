//! Names of identities and configuration sets, checked where they come in.

use std::fmt;

use super::error::IdentityError;
use crate::mail::{Domain, Mailbox};

/// Characters of a configuration set's name, as SES has it.
pub const SET_NAME_CHARS_MAX: usize = 64;

/// Who an identity is: a domain with all addresses at it and below it, or one address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IdentityName {
    /// A domain.
    Domain(Domain),
    /// One address.
    Address(Mailbox),
}

impl IdentityName {
    /// Reads `example.org` or `ann@example.org`.
    pub fn parse(text: &str) -> Result<IdentityName, IdentityError> {
        let text = text.trim();
        let bad = |why: &dyn fmt::Display| IdentityError::Name(text.to_owned(), why.to_string());
        if text.contains('@') {
            return Mailbox::parse(text).map(IdentityName::Address).map_err(|why| bad(&why));
        }
        let domain = Domain::parse(text).map_err(|why| bad(&why))?;
        let numbers =
            domain.as_str().split('.').all(|label| label.bytes().all(|b| b.is_ascii_digit()));
        if numbers {
            return Err(bad(&"an IP address is no identity, write a domain or an address"));
        }
        Ok(IdentityName::Domain(domain))
    }

    /// The domain, or the address's domain.
    pub fn domain(&self) -> &Domain {
        match self {
            IdentityName::Domain(domain) => domain,
            IdentityName::Address(mailbox) => mailbox.domain(),
        }
    }

    /// What two spellings of one name share.
    pub(super) fn key(&self) -> String {
        match self {
            IdentityName::Domain(domain) => domain.to_string(),
            IdentityName::Address(mailbox) => mailbox.identity(),
        }
    }
}

impl fmt::Display for IdentityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdentityName::Domain(domain) => domain.fmt(f),
            IdentityName::Address(mailbox) => mailbox.fmt(f),
        }
    }
}

/// Checks a configuration set's name: 1 to 64 letters, digits, `_` and `-`, as SES has it.
pub(super) fn check_set_name(name: &str) -> Result<(), IdentityError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if (1..=SET_NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(IdentityError::SetName(name.chars().take(SET_NAME_CHARS_MAX).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_a_domain_or_an_address() {
        let check = |text: &str, want: Option<&str>| {
            let got = IdentityName::parse(text).ok().map(|name| name.to_string());
            assert_eq!(got.as_deref(), want, "for {text:?}");
        };
        check("Example.ORG", Some("example.org"));
        check(" ann@Example.ORG ", Some("ann@example.org"));
        check("bücher.example", Some("xn--bcher-kva.example"));
        check("localhost", Some("localhost"));
        check("", None);
        check("192.0.2.1", None);
        check("ann@", None);
        check("a b.example", None);
        check("@example.org", None);
    }

    #[test]
    fn a_configuration_set_is_named_as_ses_would_take_it() {
        for name in ["a", "Bulk_mail-2", &"x".repeat(64)] {
            assert!(check_set_name(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "ü", "a.b", &"x".repeat(65)] {
            assert!(check_set_name(name).is_err(), "{name}");
        }
    }
}
