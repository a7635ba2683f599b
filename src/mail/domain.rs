//! A domain name as SMTP and DNS use it: A-labels, lower case, no final dot.

use std::fmt;
use std::sync::Arc;

/// A domain name in its A-label form, in lower case (RFC 5890 §2.3.2.1, RFC 5321 §4.1.2). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

/// Why a text is not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainError {
    /// Nothing there.
    Empty,
    /// Over 255 octets (RFC 5321 §4.5.3.1.2) or a label over 63 (RFC 1035 §2.3.4).
    Long,
    /// A label is empty, begins or ends with a hyphen, or holds something that is no letter, digit or hyphen.
    Label,
}

/// RFC 5321 §4.5.3.1.2.
const OCTETS_MAX: usize = 255;
/// RFC 1035 §2.3.4.
const LABEL_OCTETS_MAX: usize = 63;

impl Domain {
    /// Reads a domain name, in A-labels or U-labels; one final dot is forgiven.
    pub fn parse(text: &str) -> Result<Domain, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        // Four times the limit is more than any U-label form of a valid name needs.
        if text.len() > OCTETS_MAX * 4 {
            return Err(DomainError::Long);
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| DomainError::Label)?
        };
        if ascii.len() > OCTETS_MAX {
            return Err(DomainError::Long);
        }
        ascii.split('.').try_for_each(check_label)?;
        Ok(Domain(ascii.into()))
    }

    /// The name in A-labels, lower case, without a final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `parent` or a name below it.
    pub fn is_within(&self, parent: &Domain) -> bool {
        match self.0.strip_suffix(parent.as_str()) {
            Some("") => true,
            Some(rest) => rest.ends_with('.'),
            None => false,
        }
    }
}

/// Letters, digits, hyphens and, since real mail hosts have them, underscores.
fn check_label(label: &str) -> Result<(), DomainError> {
    if label.len() > LABEL_OCTETS_MAX {
        return Err(DomainError::Long);
    }
    let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if label.is_empty() || !plain || label.starts_with('-') || label.ends_with('-') {
        return Err(DomainError::Label);
    }
    Ok(())
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DomainError::Empty => "the domain is empty",
            DomainError::Long => "the domain is longer than 255 octets or one of its labels longer than 63",
            DomainError::Label => {
                "a label of the domain is empty or holds something other than letters, digits and hyphens"
            }
        })
    }
}

impl std::error::Error for DomainError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<&str, DomainError>) {
        assert_eq!(
            Domain::parse(text).as_ref().map(Domain::as_str),
            want.as_ref().map(|s| *s),
            "for {text:?}"
        );
    }

    #[test]
    fn a_domain_is_folded_to_lower_case_a_labels() {
        check("Example.ORG", Ok("example.org"));
        check("example.org.", Ok("example.org"));
        check("bücher.example", Ok("xn--bcher-kva.example"));
        check("localhost", Ok("localhost"));
        check("_dmarc.example.org", Ok("_dmarc.example.org"));
    }

    #[test]
    fn a_domain_refuses_what_dns_cannot_hold() {
        check("", Err(DomainError::Empty));
        check(".", Err(DomainError::Empty));
        check("a..b", Err(DomainError::Label));
        check("-a.b", Err(DomainError::Label));
        check("a b", Err(DomainError::Label));
        check("a>b", Err(DomainError::Label));
        check(&format!("{}.org", "a".repeat(64)), Err(DomainError::Long));
        check(&"a.".repeat(200), Err(DomainError::Long));
    }

    #[test]
    fn a_name_below_another_is_within_it() {
        let parent = Domain::parse("example.org").unwrap();
        assert!(Domain::parse("mail.example.org").unwrap().is_within(&parent));
        assert!(parent.is_within(&parent));
        assert!(!Domain::parse("badexample.org").unwrap().is_within(&parent));
    }
}
