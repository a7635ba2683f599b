//! Configuration sets: how the mail that names one is sent.

use super::error::IdentityError;
use super::name::check_set_name;
use crate::mail::Class;
use crate::mail::facts::TlsPolicy;
use crate::mail::record::{Reader, RecordError, Writer};
use crate::message::inspect::{TAGS_MAX, is_tag};

/// Least maximum age, as SES's `MaxDeliverySeconds` has it: 5 minutes.
pub const MAX_AGE_MS_MIN: u64 = 5 * 60 * 1000;
/// Greatest maximum age: 30 days, as long as mail may be held.
pub const MAX_AGE_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;
/// The pool of sets that name none.
pub const POOL_DEFAULT: u16 = 1;

/// What a configuration set says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetOptions {
    /// The pool's number. Whether there is such a pool is the caller's to know.
    pub pool: u16,
    /// Demand on TLS.
    pub tls: TlsPolicy,
    /// Urgency.
    pub class: Class,
    /// Whether mail of this set is sent; if not, it is rejected.
    pub sending: bool,
    /// How long recipients are tried, milliseconds; `None` as long as all mail.
    pub max_age_ms: Option<u64>,
    /// Tags of mail that does not set them itself.
    pub tags: Vec<(String, String)>,
    /// Whether Received shows the client's name and address.
    pub show_client: bool,
}

impl Default for SetOptions {
    fn default() -> SetOptions {
        SetOptions {
            pool: POOL_DEFAULT,
            tls: TlsPolicy::Opportunistic,
            class: Class::Normal,
            sending: true,
            max_age_ms: None,
            tags: Vec::new(),
            show_client: false,
        }
    }
}

/// A configuration set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSet {
    /// Its number, never given to another.
    pub number: u32,
    /// The tenant's number; 0 is the owner.
    pub tenant: u32,
    /// Its name.
    pub name: String,
    /// What it says.
    pub options: SetOptions,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// Fields that a later release wrote, kept as they were.
    pub unknown: Vec<u8>,
}

mod field {
    pub(super) const TENANT: u32 = 1;
    pub(super) const NAME: u32 = 2;
    pub(super) const POOL: u32 = 3;
    pub(super) const TLS: u32 = 4;
    pub(super) const CLASS: u32 = 5;
    pub(super) const SENDING: u32 = 6;
    pub(super) const MAX_AGE: u32 = 7;
    pub(super) const TAG_NAME: u32 = 8;
    pub(super) const TAG_VALUE: u32 = 9;
    pub(super) const SHOW_CLIENT: u32 = 10;
    pub(super) const CREATED: u32 = 11;
}

impl ConfigSet {
    /// Checks what a person gave.
    pub(super) fn check(&self) -> Result<(), IdentityError> {
        check_set_name(&self.name)?;
        let options = &self.options;
        if options.max_age_ms.is_some_and(|age| !(MAX_AGE_MS_MIN..=MAX_AGE_MS_MAX).contains(&age)) {
            return Err(IdentityError::MaxAge);
        }
        for (index, (name, value)) in options.tags.iter().enumerate() {
            let again = options.tags.iter().take(index).any(|(other, _)| other == name);
            if index == TAGS_MAX || again || !is_tag(name, value) {
                return Err(IdentityError::Tag(
                    format!("{name}={value}").chars().take(40).collect(),
                ));
            }
        }
        Ok(())
    }

    /// As a record; the number is in its key.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.number(field::TENANT, u64::from(self.tenant))
            .octets(field::NAME, &self.name)
            .number(field::POOL, u64::from(self.options.pool))
            .number(field::TLS, self.options.tls as u64)
            .number(field::CLASS, u64::from(self.options.class.number()))
            .number(field::SENDING, u64::from(self.options.sending))
            .number(field::SHOW_CLIENT, u64::from(self.options.show_client))
            .number(field::CREATED, self.created_ms);
        if let Some(age) = self.options.max_age_ms {
            w.number(field::MAX_AGE, age);
        }
        for (name, value) in &self.options.tags {
            w.octets(field::TAG_NAME, name).octets(field::TAG_VALUE, value);
        }
        w.raw(&self.unknown);
        w.finish()
    }

    /// From a record.
    pub(super) fn decode(number: u32, octets: &[u8]) -> Result<ConfigSet, RecordError> {
        let (mut tenant, mut name, mut created_ms) = (0, None, 0);
        let (mut options, mut unknown) = (SetOptions::default(), Vec::new());
        let mut reader = Reader::new(octets);
        while let Some(f) = reader.field()? {
            match f.number {
                field::TENANT => tenant = f.as_small()?,
                field::NAME => name = Some(f.as_text()?.to_owned()),
                field::POOL => options.pool = f.as_small()?,
                // A policy we do not know came from a later release: the strictest one is the safe reading.
                field::TLS => {
                    options.tls =
                        *TlsPolicy::ALL.get(f.as_small::<usize>()?).unwrap_or(&TlsPolicy::Verify);
                }
                field::CLASS => options.class = Class::of_number(f.as_small()?),
                field::SENDING => options.sending = f.as_number()? != 0,
                field::MAX_AGE => options.max_age_ms = Some(f.as_number()?),
                field::TAG_NAME => options.tags.push((f.as_text()?.to_owned(), String::new())),
                field::TAG_VALUE => {
                    let (_, value) = options.tags.last_mut().ok_or(RecordError)?;
                    f.as_text()?.clone_into(value);
                }
                field::SHOW_CLIENT => options.show_client = f.as_number()? != 0,
                field::CREATED => created_ms = f.as_number()?,
                _ => f.keep(&mut unknown),
            }
        }
        let name = name.ok_or(RecordError)?;
        Ok(ConfigSet { number, tenant, name, options, created_ms, unknown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> ConfigSet {
        let mut later = Writer::new();
        later.octets(99, "later");
        ConfigSet {
            number: 4,
            tenant: 2,
            name: "bulk".into(),
            options: SetOptions {
                pool: 3,
                tls: TlsPolicy::Verify,
                class: Class::Bulk,
                sending: false,
                max_age_ms: Some(MAX_AGE_MS_MIN),
                tags: vec![("a".into(), "1".into()), ("b".into(), "2".into())],
                show_client: true,
            },
            created_ms: 1_700_000_000_000,
            unknown: later.finish(),
        }
    }

    #[test]
    fn a_configuration_set_survives_being_written_and_read() {
        assert_eq!(ConfigSet::decode(4, &set().encode()), Ok(set()));
        assert!(ConfigSet::decode(4, b"").is_err());
    }

    #[test]
    fn a_configuration_set_refuses_what_could_not_be_meant() {
        let check = |change: &dyn Fn(&mut ConfigSet)| {
            let mut set = set();
            change(&mut set);
            set.check()
        };
        assert!(check(&|_| {}).is_ok());
        assert!(matches!(check(&|set| set.name = "a b".into()), Err(IdentityError::SetName(_))));
        for age in [0, MAX_AGE_MS_MIN - 1, MAX_AGE_MS_MAX + 1] {
            let got = check(&|set| set.options.max_age_ms = Some(age));
            assert!(matches!(got, Err(IdentityError::MaxAge)), "{age}");
        }
        let tags = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        for bad in [tags(&[("a", "")]), tags(&[("a b", "c")]), tags(&[("a", "1"), ("a", "2")])] {
            let got = check(&|set| set.options.tags.clone_from(&bad));
            assert!(matches!(got, Err(IdentityError::Tag(_))), "{bad:?}");
        }
    }
}
