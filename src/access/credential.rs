//! A credential: who may submit, as which identities, from where and how much. Data only; it decides nothing about mail.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::mail::mailbox::MailboxError;
use crate::mail::network::Network;
use crate::mail::record::{Reader, RecordError, Writer};
use crate::mail::{Domain, DomainError, Mailbox};

/// A credential as everyone but its owner sees it: without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its number, never reused; 0 is mail of our own and no credential.
    pub number: u32,
    /// Its name, unique among those that were not revoked.
    pub name: String,
    /// The tenant's number; 0 is the owner.
    pub tenant: u32,
    /// The SMTP user, generated.
    pub user: String,
    /// As whom it may send.
    pub scope: Scope,
    /// From where it may be used; empty is everywhere.
    pub sources: Vec<Network>,
    /// Recipients per second; `None` is without bound.
    pub rate_per_second: Option<u32>,
    /// Recipients in 24 hours; `None` is without bound.
    pub recipients_per_day: Option<u64>,
    /// Whether it may be used now.
    pub enabled: bool,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// Fields that a later release wrote, kept as they were.
    pub unknown: Vec<u8>,
}

/// As whom a credential may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// As every identity of its tenant.
    All,
    /// As those that one of the patterns names; at most [`Scope::PATTERNS_MAX`].
    Only(Vec<Pattern>),
}

/// One address, or a domain with all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// This address alone.
    Address(Mailbox),
    /// Every address at this domain or below it, as SES lets a verified domain send.
    Domain(Domain),
}

/// A text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// It has an `@` and is no address.
    Address(MailboxError),
    /// It has none and is no domain.
    Domain(DomainError),
}

impl Scope {
    /// So that a credential's record stays below a store value's 4 KiB.
    pub const PATTERNS_MAX: usize = 50;

    /// Whether it allows this address.
    pub fn allows(&self, address: &Mailbox) -> bool {
        match self {
            Scope::All => true,
            Scope::Only(patterns) => patterns.iter().any(|pattern| pattern.matches(address)),
        }
    }
}

impl Pattern {
    /// Whether it names this address.
    pub fn matches(&self, address: &Mailbox) -> bool {
        match self {
            Pattern::Address(own) => own.identity() == address.identity(),
            Pattern::Domain(domain) => address.domain().is_within(domain),
        }
    }
}

impl Credential {
    /// Longest name, in octets.
    pub const NAME_OCTETS_MAX: usize = 64;
    /// Networks of one credential.
    pub const SOURCES_MAX: usize = 50;

    /// Whether it may be used from this address.
    pub fn admits(&self, client: IpAddr) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|network| network.contains(client))
    }
}

mod field {
    pub(super) const NUMBER: u32 = 1;
    pub(super) const NAME: u32 = 2;
    pub(super) const TENANT: u32 = 3;
    pub(super) const USER: u32 = 4;
    pub(super) const PATTERN: u32 = 5;
    pub(super) const SOURCE: u32 = 6;
    pub(super) const RATE: u32 = 7;
    pub(super) const PER_DAY: u32 = 8;
    pub(super) const ENABLED: u32 = 9;
    pub(super) const CREATED: u32 = 10;
    pub(super) const SECRET: u32 = 11;
    pub(super) const SCOPE_ONLY: u32 = 12;
}

/// A credential and its sealed secret, as the store holds them.
pub(super) fn encode(credential: &Credential, sealed_secret: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.number(field::NUMBER, u64::from(credential.number))
        .octets(field::NAME, &credential.name)
        .number(field::TENANT, u64::from(credential.tenant))
        .octets(field::USER, &credential.user)
        .number(field::ENABLED, u64::from(credential.enabled))
        .number(field::CREATED, credential.created_ms)
        .octets(field::SECRET, sealed_secret);
    if let Scope::Only(patterns) = &credential.scope {
        w.number(field::SCOPE_ONLY, 1);
        for pattern in patterns {
            w.octets(field::PATTERN, pattern.to_string());
        }
    }
    for source in &credential.sources {
        w.octets(field::SOURCE, source.to_string());
    }
    if let Some(rate) = credential.rate_per_second {
        w.number(field::RATE, u64::from(rate));
    }
    if let Some(per_day) = credential.recipients_per_day {
        w.number(field::PER_DAY, per_day);
    }
    w.raw(&credential.unknown);
    w.finish()
}

/// The other way. A scope or source that cannot be read is an error: reading less of it would allow more.
pub(super) fn decode(octets: &[u8]) -> Result<(Credential, Vec<u8>), RecordError> {
    let mut credential = blank();
    let (mut secret, mut patterns, mut only) = (Vec::new(), Vec::new(), false);
    let mut reader = Reader::new(octets);
    while let Some(f) = reader.field()? {
        match f.number {
            field::NUMBER => credential.number = f.as_small()?,
            field::NAME => f.as_text()?.clone_into(&mut credential.name),
            field::TENANT => credential.tenant = f.as_small()?,
            field::USER => f.as_text()?.clone_into(&mut credential.user),
            field::PATTERN => patterns.push(f.as_text()?.parse().map_err(|_| RecordError)?),
            field::SOURCE => {
                credential.sources.push(f.as_text()?.parse().map_err(|_| RecordError)?);
            }
            field::RATE => credential.rate_per_second = Some(f.as_small()?),
            field::PER_DAY => credential.recipients_per_day = Some(f.as_number()?),
            field::ENABLED => credential.enabled = f.as_number()? != 0,
            field::CREATED => credential.created_ms = f.as_number()?,
            field::SECRET => f.as_octets()?.clone_into(&mut secret),
            field::SCOPE_ONLY => only = f.as_number()? != 0,
            _ => f.keep(&mut credential.unknown),
        }
    }
    if only {
        credential.scope = Scope::Only(patterns);
    }
    if credential.number == 0 || credential.user.is_empty() {
        return Err(RecordError);
    }
    Ok((credential, secret))
}

fn blank() -> Credential {
    Credential {
        number: 0,
        name: String::new(),
        tenant: 0,
        user: String::new(),
        scope: Scope::All,
        sources: Vec::new(),
        rate_per_second: None,
        recipients_per_day: None,
        enabled: false,
        created_ms: 0,
        unknown: Vec::new(),
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    /// Reads `ann@example.org` or `example.org`.
    fn from_str(text: &str) -> Result<Pattern, PatternError> {
        if text.contains('@') {
            Mailbox::parse(text).map(Pattern::Address).map_err(PatternError::Address)
        } else {
            Domain::parse(text).map(Pattern::Domain).map_err(PatternError::Domain)
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Address(address) => address.fmt(f),
            Pattern::Domain(domain) => domain.fmt(f),
        }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatternError::Address(error) => error.fmt(f),
            PatternError::Domain(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, address: &str, want: bool) {
        let pattern: Pattern = pattern.parse().unwrap();
        let address = Mailbox::parse(address).unwrap();
        assert_eq!(pattern.matches(&address), want, "{address} by {pattern}");
    }

    #[test]
    fn a_pattern_names_an_address_or_a_domain_with_all_below_it() {
        check("example.org", "ann@example.org", true);
        check("Example.ORG", "ann@mail.example.org", true);
        check("example.org", "ann@badexample.org", false);
        check("ann@example.org", "ann@EXAMPLE.org", true);
        check("ann@example.org", "\"ann\"@example.org", true);
        check("ann@example.org", "bob@example.org", false);
        check("ann@example.org", "ann@mail.example.org", false);
    }

    #[test]
    fn a_pattern_refuses_what_names_nobody() {
        for text in ["", "*", "@example.org", "ann@", "exam ple.org"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_credential_survives_being_written_and_read() {
        let mut credential = Credential {
            number: 7,
            name: "app".into(),
            tenant: 3,
            user: "PRABCDEF".into(),
            scope: Scope::Only(vec!["example.org".parse().unwrap(), "a@b.c".parse().unwrap()]),
            sources: vec!["192.0.2.0/24".parse().unwrap()],
            rate_per_second: Some(14),
            recipients_per_day: Some(50_000),
            enabled: true,
            created_ms: 1_700_000_000_000,
            unknown: vec![0xa1, 0x38, 0x01, b'x'],
        };
        let sealed = b"sealed".to_vec();
        assert_eq!(decode(&encode(&credential, &sealed)), Ok((credential.clone(), sealed.clone())));
        credential.scope = Scope::All;
        assert_eq!(decode(&encode(&credential, &sealed)), Ok((credential.clone(), sealed.clone())));
        credential.scope = Scope::Only(Vec::new());
        let (read, _) = decode(&encode(&credential, &sealed)).unwrap();
        assert!(
            !read.scope.allows(&Mailbox::parse("a@b.c").unwrap()),
            "an empty list allows nobody"
        );
    }

    #[test]
    fn a_credential_is_used_only_from_its_sources() {
        let mut credential = Credential { enabled: true, ..blank() };
        let client: IpAddr = [192, 0, 2, 9].into();
        assert!(credential.admits(client));
        credential.sources = vec!["198.51.100.0/24".parse().unwrap()];
        assert!(!credential.admits(client));
        credential.sources.push("192.0.2.0/28".parse().unwrap());
        assert!(credential.admits(client));
    }
}
