//! What a header block says that decides something: who is written in From, which configuration set and tags it asks
//! for, how often it has been received.
//!
//! Decides nothing itself and changes nothing. Refuses what cannot be decided about.

use std::fmt;

use super::address::{self, AddressError};
use super::header::{Block, Field, HeaderError};
use crate::mail::{EnhancedStatus, Mailbox};

/// Received fields, after which a message runs in circles (RFC 5321 §6.3).
pub const HOPS_MAX: usize = 50;
/// Tags of a message, as SES has it.
pub const TAGS_MAX: usize = 50;
/// Characters of a tag's name or value, as SES has it.
pub const TAG_CHARS_MAX: usize = 256;

/// Fields that may stand once (RFC 5322 §3.6). Large receivers refuse mail that repeats one.
const ONCE: [&str; 10] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject",
    "Date",
];

/// What a header block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Every address of From, in order; at least one.
    pub header_from: Vec<Mailbox>,
    /// The address of Sender.
    pub sender: Option<Mailbox>,
    /// Received fields.
    pub hops: usize,
    /// What `X-SES-*` fields ask for.
    pub asks: Asks,
    /// Whether it holds octets beyond ASCII, so that every hop must offer SMTPUTF8 (RFC 6531 §3.1).
    pub needs_utf8: bool,
}

/// What a message asks for in `X-SES-*` fields, which never leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asks {
    /// `X-SES-CONFIGURATION-SET`: a name, unchecked.
    pub configuration_set: Option<String>,
    /// `X-SES-MESSAGE-TAGS`: names and values, checked, each name once.
    pub tags: Vec<(String, String)>,
    /// `X-SES-LIST-MANAGEMENT-OPTIONS`, unchecked.
    pub list_management: Option<String>,
    /// `X-SES-TENANT`, unchecked.
    pub tenant: Option<String>,
}

/// Why a header block is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadError {
    /// It is not a header block.
    Block(HeaderError),
    /// There is no From.
    FromMissing,
    /// From holds no address: a group of nobody.
    FromEmpty,
    /// A field that may stand once stands again.
    Repeated(&'static str),
    /// A field that decides something cannot be read.
    Address(&'static str, AddressError),
    /// Sender holds another number of addresses than one (RFC 5322 §3.6.2).
    SenderCount(usize),
    /// [`HOPS_MAX`] Received fields or more.
    Loop(usize),
    /// Octets beyond ASCII in a field, and SMTPUTF8 was not given.
    Utf8NotSaid(String),
    /// Octets in a field that are no UTF-8 (RFC 6532 §3.1).
    NotUtf8(String),
    /// A tag that is not `name=value` of letters, digits, `_` and `-` (in a value also `.` and `@`).
    Tag(String),
    /// A tag's name twice.
    TagRepeated(String),
    /// Over [`TAGS_MAX`].
    TagsMany,
}

/// Reads a header block for what decides. `utf8`: SMTPUTF8 was given with MAIL.
pub fn inspect(block: &Block<'_>, utf8: bool) -> Result<Inspected, HeadError> {
    for name in ONCE {
        if block.named(name).nth(1).is_some() {
            return Err(HeadError::Repeated(name));
        }
    }
    let hops = block.named("Received").count();
    if hops >= HOPS_MAX {
        return Err(HeadError::Loop(hops));
    }
    let needs_utf8 = check_octets(block, utf8)?;
    let from = block.first("From").ok_or(HeadError::FromMissing)?;
    let header_from = addresses(from, "From")?;
    if header_from.is_empty() {
        return Err(HeadError::FromEmpty);
    }
    Ok(Inspected { header_from, sender: sender(block)?, hops, asks: asks(block)?, needs_utf8 })
}

fn sender(block: &Block<'_>) -> Result<Option<Mailbox>, HeadError> {
    let Some(field) = block.first("Sender") else { return Ok(None) };
    let mut list = addresses(field, "Sender")?;
    match (list.pop(), list.len()) {
        (Some(sender), 0) => Ok(Some(sender)),
        (found, others) => Err(HeadError::SenderCount(others + usize::from(found.is_some()))),
    }
}

fn addresses(field: Field<'_>, name: &'static str) -> Result<Vec<Mailbox>, HeadError> {
    address::parse_list(field.value()).map_err(|error| HeadError::Address(name, error))
}

/// Whether there are octets beyond ASCII; an error where they may not be.
fn check_octets(block: &Block<'_>, utf8: bool) -> Result<bool, HeadError> {
    let mut found = false;
    for field in block.fields().iter().filter(|field| !field.raw().is_ascii()) {
        if !utf8 {
            return Err(HeadError::Utf8NotSaid(field.name().to_owned()));
        }
        if std::str::from_utf8(field.raw()).is_err() {
            return Err(HeadError::NotUtf8(field.name().to_owned()));
        }
        found = true;
    }
    Ok(found)
}

fn asks(block: &Block<'_>) -> Result<Asks, HeadError> {
    let one = |name: &'static str| match block.named(name).nth(1) {
        Some(_) => Err(HeadError::Repeated(name)),
        None => Ok(block.first(name).map(|field| field.unfolded()).filter(|text| !text.is_empty())),
    };
    let mut tags = Vec::new();
    for field in block.named("X-SES-MESSAGE-TAGS") {
        read_tags(&field.unfolded(), &mut tags)?;
    }
    Ok(Asks {
        configuration_set: one("X-SES-CONFIGURATION-SET")?,
        tags,
        list_management: one("X-SES-LIST-MANAGEMENT-OPTIONS")?,
        tenant: one("X-SES-TENANT")?,
    })
}

/// `name=value, name=value`.
fn read_tags(text: &str, tags: &mut Vec<(String, String)>) -> Result<(), HeadError> {
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let bad = || HeadError::Tag(part.chars().take(40).collect());
        let (name, value) = part.split_once('=').ok_or_else(bad)?;
        let (name, value) = (name.trim(), value.trim());
        if !is_tag(name, value) {
            return Err(bad());
        }
        if tags.iter().any(|(other, _)| other == name) {
            return Err(HeadError::TagRepeated(name.to_owned()));
        }
        if tags.len() == TAGS_MAX {
            return Err(HeadError::TagsMany);
        }
        tags.push((name.to_owned(), value.to_owned()));
    }
    Ok(())
}

/// Whether a tag is one that SES would take: the rule also for tags that come by other ways than a header field.
pub fn is_tag(name: &str, value: &str) -> bool {
    let name_octet = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
    let value_octet = |octet: u8| name_octet(octet) || matches!(octet, b'.' | b'@');
    (1..=TAG_CHARS_MAX).contains(&name.len())
        && (1..=TAG_CHARS_MAX).contains(&value.len())
        && name.bytes().all(name_octet)
        && value.bytes().all(value_octet)
}

impl HeadError {
    /// The SMTP reply's code and enhanced code; the text is the error's own.
    pub fn reply(&self) -> (u16, EnhancedStatus) {
        match self {
            HeadError::Block(error) => error.reply(),
            // A routing loop (RFC 3463 §3.5).
            HeadError::Loop(_) => (554, EnhancedStatus::new(5, 4, 6)),
            // RFC 6531 §3.5, last row of the table.
            HeadError::Utf8NotSaid(_) | HeadError::NotUtf8(_) => {
                (554, EnhancedStatus::new(5, 6, 9))
            }
            HeadError::FromMissing
            | HeadError::FromEmpty
            | HeadError::Repeated(_)
            | HeadError::Address(..)
            | HeadError::SenderCount(_)
            | HeadError::Tag(_)
            | HeadError::TagRepeated(_)
            | HeadError::TagsMany => (550, EnhancedStatus::new(5, 6, 0)),
        }
    }
}

impl From<HeaderError> for HeadError {
    fn from(error: HeaderError) -> HeadError {
        HeadError::Block(error)
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadError::Block(error) => error.fmt(f),
            HeadError::FromMissing => f.write_str("the message has no From field, add one"),
            HeadError::FromEmpty => f.write_str("From holds no address, write the author's"),
            HeadError::Repeated(name) => {
                write!(f, "field {name} stands more than once, RFC 5322 allows one")
            }
            HeadError::Address(name, error) => write!(f, "field {name} cannot be read: {error}"),
            HeadError::SenderCount(count) => {
                write!(f, "field Sender holds {count} addresses, RFC 5322 allows one")
            }
            HeadError::Loop(hops) => {
                write!(f, "the message has been received {hops} times, it runs in circles")
            }
            HeadError::Utf8NotSaid(name) => write!(
                f,
                "field {name} holds octets beyond ASCII, give SMTPUTF8 with MAIL or encode it (RFC 2047)"
            ),
            HeadError::NotUtf8(name) => {
                write!(f, "field {name} is not UTF-8, encode it (RFC 2047)")
            }
            HeadError::Tag(text) => write!(
                f,
                "X-SES-MESSAGE-TAGS: {text:?} is no tag, write name=value of letters, digits, _ and -, in values also . and @, at most {TAG_CHARS_MAX} each"
            ),
            HeadError::TagRepeated(name) => {
                write!(f, "X-SES-MESSAGE-TAGS: tag {name} stands more than once")
            }
            HeadError::TagsMany => {
                write!(f, "X-SES-MESSAGE-TAGS: more than {TAGS_MAX} tags, send fewer")
            }
        }
    }
}

impl std::error::Error for HeadError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str, utf8: bool) -> Result<Inspected, HeadError> {
        inspect(&Block::parse(head.as_bytes()).unwrap(), utf8)
    }

    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "tables read better so")]
    fn refuse(head: &str, want: HeadError, reply: &str) {
        let error = read(head, false).unwrap_err();
        assert_eq!(error, want, "for {head:?}");
        let (code, status) = error.reply();
        assert_eq!(format!("{code} {status}"), reply);
    }

    fn mailbox(text: &str) -> Mailbox {
        Mailbox::parse(text).unwrap()
    }

    #[test]
    fn a_message_without_one_clear_author_is_refused() {
        refuse("Subject: x\r\n\r\n", HeadError::FromMissing, "550 5.6.0");
        refuse("\r\n", HeadError::FromMissing, "550 5.6.0");
        refuse(
            "From: a@b.example\r\nFROM: c@d.example\r\n",
            HeadError::Repeated("From"),
            "550 5.6.0",
        );
        refuse("From: nobody:;\r\n", HeadError::FromEmpty, "550 5.6.0");
        refuse("From:\r\n", HeadError::Address("From", AddressError::Missing), "550 5.6.0");
        let two = "From: a@b.example\r\nSender: a@b.example, c@d.example\r\n";
        refuse(two, HeadError::SenderCount(2), "550 5.6.0");
    }

    #[test]
    fn every_author_and_the_sender_are_told() {
        let head = "from: Ann <a@b.example>, c@d.example\r\nSender: s@b.example\r\n\r\n";
        let got = read(head, false).unwrap();
        assert_eq!(got.header_from, [mailbox("a@b.example"), mailbox("c@d.example")]);
        assert_eq!(got.sender, Some(mailbox("s@b.example")));
    }

    #[test]
    fn a_message_that_runs_in_circles_is_refused_at_fifty_hops() {
        let head = |hops: usize| format!("{}From: a@b.example\r\n", "Received: x\r\n".repeat(hops));
        assert_eq!(read(&head(49), false).unwrap().hops, 49);
        refuse(&head(50), HeadError::Loop(50), "554 5.4.6");
        refuse(&head(65), HeadError::Loop(65), "554 5.4.6");
    }

    #[test]
    fn octets_beyond_ascii_need_smtputf8_and_must_be_utf8() {
        let head = "From: a@b.example\r\nSubject: ü\r\n";
        refuse(head, HeadError::Utf8NotSaid("Subject".into()), "554 5.6.9");
        assert!(read(head, true).unwrap().needs_utf8);
        assert!(!read("From: a@b.example\r\n", true).unwrap().needs_utf8);
        let latin = b"From: a@b.example\r\nSubject: \xfc\r\n";
        let error = inspect(&Block::parse(latin).unwrap(), true).unwrap_err();
        assert_eq!(error, HeadError::NotUtf8("Subject".into()));
    }

    #[test]
    fn what_ses_fields_ask_for_is_read() {
        let got = read(
            "From: a@b.example\r\nX-SES-Configuration-Set: bulk\r\nX-SES-MESSAGE-TAGS: a=1,\r\n b = x@y.z\r\nx-ses-tenant: t1\r\n",
            false,
        )
        .unwrap();
        assert_eq!(got.asks.configuration_set.as_deref(), Some("bulk"));
        assert_eq!(got.asks.tags, [("a".into(), "1".into()), ("b".into(), "x@y.z".into())]);
        assert_eq!(got.asks.tenant.as_deref(), Some("t1"));
    }

    #[test]
    fn tags_that_ses_would_not_take_are_refused() {
        let from = "From: a@b.example\r\nX-SES-MESSAGE-TAGS: ";
        let check =
            |tags: &str, want: HeadError| refuse(&format!("{from}{tags}\r\n"), want, "550 5.6.0");
        check("a", HeadError::Tag("a".into()));
        check("a=", HeadError::Tag("a=".into()));
        check("=b", HeadError::Tag("=b".into()));
        check("a b=c", HeadError::Tag("a b=c".into()));
        check("a=b=c", HeadError::Tag("a=b=c".into()));
        check("a=1, a=2", HeadError::TagRepeated("a".into()));
        let many: Vec<String> = (0..51).map(|n| format!("t{n}=x")).collect();
        check(&many.join(","), HeadError::TagsMany);
    }
}
