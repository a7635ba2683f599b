//! A mailbox: the address that is safe to write into an SMTP command.

use std::fmt;
use std::sync::Arc;

use super::domain::{Domain, DomainError};

/// An address that is safe in an SMTP command: no control characters, one domain (RFC 5321 §4.1.2, RFC 6531 §3.3).
///
/// The domain is in A-labels and lower case; the local part is kept as it came. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mailbox {
    text: Arc<str>,
    at: u16,
    domain: Domain,
}

/// Why a text is not a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailboxError {
    /// No `@`, or nothing before it.
    Shape,
    /// A control character, which could end a command.
    Control,
    /// The local part is over 64 octets (RFC 5321 §4.5.3.1.1).
    LocalLong,
    /// The local part is no dot-string and no quoted string.
    Local,
    /// The domain part.
    Domain(DomainError),
    /// An address literal (RFC 5321 §4.1.3): we deliver to domains only.
    Literal,
}

/// RFC 5321 §4.5.3.1.1.
const LOCAL_OCTETS_MAX: usize = 64;

impl Mailbox {
    /// Reads `local@domain`: the one place that checks.
    pub fn parse(text: &str) -> Result<Mailbox, MailboxError> {
        if text.chars().any(char::is_control) {
            return Err(MailboxError::Control);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(MailboxError::Shape)?;
        if local.is_empty() {
            return Err(MailboxError::Shape);
        }
        if local.len() > LOCAL_OCTETS_MAX {
            return Err(MailboxError::LocalLong);
        }
        if !is_dot_string(local) && !is_quoted_string(local) {
            return Err(MailboxError::Local);
        }
        if domain.starts_with('[') {
            return Err(MailboxError::Literal);
        }
        let domain = Domain::parse(domain).map_err(MailboxError::Domain)?;
        let at = u16::try_from(local.len()).map_err(|_| MailboxError::LocalLong)?;
        Ok(Mailbox { text: format!("{local}@{domain}").into(), at, domain })
    }

    /// `local@domain`, as it goes between the angle brackets of a command.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The local part as it was given, with its quotes if it had them.
    pub fn local(&self) -> &str {
        self.text.get(..usize::from(self.at)).unwrap_or_default()
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether the next hop must offer SMTPUTF8 (RFC 6531 §3.1) for this mailbox.
    pub fn needs_utf8(&self) -> bool {
        !self.local().is_ascii()
    }

    /// What two spellings of one mailbox share: the domain folded (it is already), the local part unquoted where the
    /// quotes say nothing (RFC 5321 §4.1.2). Case in the local part is kept: only the receiving host may fold it.
    pub fn identity(&self) -> String {
        let local = self.local();
        let plain = local
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .map(unescape)
            .filter(|inner| is_dot_string(inner));
        match plain {
            Some(inner) => format!("{inner}@{}", self.domain),
            None => self.text.to_string(),
        }
    }
}

fn unescape(quoted: &str) -> String {
    let mut out = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    out
}

/// RFC 5321 §4.1.2 `Dot-string`, with RFC 6531 §3.3's letters beyond ASCII.
fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

/// RFC 5321 §4.1.2 `Quoted-string`; control characters were refused before.
fn is_quoted_string(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return false,
            '\\' if chars.next().is_none() => return false,
            _ => {}
        }
    }
    true
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

impl fmt::Display for MailboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MailboxError::Shape => f.write_str("an address is local-part@domain"),
            MailboxError::Control => f.write_str("the address holds a control character"),
            MailboxError::LocalLong => f.write_str("the local part is longer than 64 octets"),
            MailboxError::Local => f.write_str("the local part needs quotes or is not valid"),
            MailboxError::Domain(error) => error.fmt(f),
            MailboxError::Literal => {
                f.write_str("an address literal cannot be mailed, use a domain")
            }
        }
    }
}

impl std::error::Error for MailboxError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, want: Result<(), MailboxError>) {
        assert_eq!(Mailbox::parse(text).map(|_| ()), want, "for {text:?}");
    }

    #[test]
    fn a_mailbox_refuses_what_could_end_a_command() {
        check("ann@example.org", Ok(()));
        check("ann@example.org\r\nRCPT TO:<bob@example.org>", Err(MailboxError::Control));
        check("ann@example.org>", Err(MailboxError::Domain(DomainError::Label)));
        check("a\0b@example.org", Err(MailboxError::Control));
        check("a>b@example.org", Err(MailboxError::Local));
        check("a b@example.org", Err(MailboxError::Local));
    }

    #[test]
    fn a_mailbox_follows_the_grammar() {
        check("\"a b\"@example.org", Ok(()));
        check("\"a\\\"b\"@example.org", Ok(()));
        check("\"a\"b\"@example.org", Err(MailboxError::Local));
        check("\"a\\\"@example.org", Err(MailboxError::Local));
        check(".a@example.org", Err(MailboxError::Local));
        check("a..b@example.org", Err(MailboxError::Local));
        check("@example.org", Err(MailboxError::Shape));
        check("ann", Err(MailboxError::Shape));
        check("ann@[127.0.0.1]", Err(MailboxError::Literal));
        check("ann@", Err(MailboxError::Domain(DomainError::Empty)));
        check("jürgen@bücher.example", Ok(()));
        check(&format!("{}@example.org", "a".repeat(65)), Err(MailboxError::LocalLong));
    }

    #[test]
    fn two_spellings_of_one_mailbox_share_an_identity() {
        let of = |text| Mailbox::parse(text).unwrap().identity();
        assert_eq!(of("\"ann\"@Example.org"), of("ann@example.ORG"));
        assert_eq!(of("\"a\\nn\"@example.org"), of("ann@example.org"));
        assert_ne!(of("Ann@example.org"), of("ann@example.org"));
        assert_ne!(of("\"a n\"@example.org"), of("an@example.org"));
    }

    proptest! {
        #[test]
        fn no_mailbox_holds_an_octet_that_ends_a_command(text in "\\PC{0,20}[\\r\\n<> \\PC]{0,4}@\\PC{0,20}") {
            if let Ok(mailbox) = Mailbox::parse(&text) {
                prop_assert!(!mailbox.as_str().chars().any(char::is_control));
                prop_assert_eq!(Mailbox::parse(mailbox.as_str()).unwrap(), mailbox);
            }
        }
    }
}
