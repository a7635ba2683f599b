//! The header block, field by field, over the octets as they came.
//!
//! Copies nothing and repairs nothing: a block that two readers could read differently is refused, and the error names
//! the line. Called by intake for every message, and by the fuzzer.

use std::fmt;

use memchr::memchr;

use crate::mail::EnhancedStatus;

/// Octets of a header block, its last empty line included: more than any mailer writes, little enough to hold for every
/// session at once.
pub const HEAD_OCTETS_MAX: usize = 100 * 1024;
/// Fields of a header block.
pub const FIELDS_MAX: usize = 1_000;
/// Octets of a field's name.
pub const NAME_OCTETS_MAX: usize = 128;
/// Octets of a line without its CRLF (RFC 5322 §2.1.1).
pub const LINE_OCTETS_MAX: usize = 998;

/// One header field: all its lines, exactly as they came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    raw: &'a [u8],
    name_octets: usize,
}

impl<'a> Field<'a> {
    /// A field of ours: `raw` is `name: value` and CRLF, and begins with `name_octets` octets of name.
    pub(super) fn own(raw: &'a [u8], name_octets: usize) -> Field<'a> {
        Field { raw, name_octets }
    }

    /// Everything from the first octet of the name to the last CRLF.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The name as it was written.
    pub fn name(&self) -> &'a str {
        let name = self.raw.get(..self.name_octets).unwrap_or_default();
        // The parser took printable ASCII only.
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// Whether the field has this name, in any case of letters.
    pub fn is(&self, name: &str) -> bool {
        let own = self.raw.get(..self.name_octets).unwrap_or_default();
        own.eq_ignore_ascii_case(name.as_bytes())
    }

    /// What follows the colon, still folded, with the last CRLF.
    pub fn value(&self) -> &'a [u8] {
        self.raw.get(self.name_octets + 1..).unwrap_or_default()
    }

    /// The value on one line, trimmed (RFC 5322 §2.2.3). Octets that are no UTF-8 become U+FFFD.
    pub fn unfolded(&self) -> String {
        let value = self.value();
        let octets: Vec<u8> =
            value.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
        String::from_utf8_lossy(&octets).trim_matches([' ', '\t']).to_owned()
    }

    /// Whether the value says nothing.
    pub fn is_blank(&self) -> bool {
        self.value().iter().all(u8::is_ascii_whitespace)
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.name(), self.unfolded())
    }
}

/// A header block: its fields in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'a> {
    fields: Vec<Field<'a>>,
}

/// Why octets are not a header block that we take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// Over [`HEAD_OCTETS_MAX`].
    Long,
    /// Over [`FIELDS_MAX`].
    Many,
    /// A line that is neither `name: value` nor the continuation of one.
    Shape {
        /// The line, from 1.
        line: usize,
    },
    /// A name with an octet that no name holds (RFC 5322 §3.6.8), a space before the colon among them.
    Name {
        /// The line, from 1.
        line: usize,
    },
    /// Over [`LINE_OCTETS_MAX`].
    LineLong {
        /// The line, from 1.
        line: usize,
        /// The field it belongs to.
        field: String,
    },
    /// A continuation that is only spaces: some readers would take it for the end of the block (RFC 5322 §3.2.2).
    Blank {
        /// The line, from 1.
        line: usize,
        /// The field it belongs to.
        field: String,
    },
    /// NUL, a bare CR or a bare LF.
    Octet {
        /// The line, from 1.
        line: usize,
    },
}

impl<'a> Block<'a> {
    /// Reads a header block. `octets` end with the empty line, with the last field's CRLF, or, for a message of which the
    /// header block is all there is, without it.
    pub fn parse(octets: &'a [u8]) -> Result<Block<'a>, HeaderError> {
        if octets.len() > HEAD_OCTETS_MAX {
            return Err(HeaderError::Long);
        }
        let mut fields = Vec::with_capacity(24);
        let (mut rest, mut line) = (octets, 1);
        while !rest.is_empty() && rest != b"\r\n" {
            let (field, lines) = take_field(rest, line)?;
            if fields.len() == FIELDS_MAX {
                return Err(HeaderError::Many);
            }
            rest = rest.get(field.raw.len()..).unwrap_or_default();
            line += lines;
            fields.push(field);
        }
        Ok(Block { fields })
    }

    /// The fields in order.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The fields of one name, in order.
    pub fn named(&self, name: &str) -> impl Iterator<Item = Field<'a>> {
        self.fields.iter().copied().filter(move |field| field.is(name))
    }

    /// The first field of a name.
    pub fn first(&self, name: &str) -> Option<Field<'a>> {
        self.named(name).next()
    }
}

/// One field off the head of `octets`, and how many lines it has.
fn take_field(octets: &[u8], line: usize) -> Result<(Field<'_>, usize), HeaderError> {
    let first = line_of(octets, line, octets)?;
    let name_octets = check_name(octets, first, line)?;
    let (mut len, mut lines) = (first, 1);
    while let Some(b' ' | b'\t') = octets.get(len) {
        let rest = octets.get(len..).unwrap_or_default();
        let next = line_of(rest, line + lines, octets)?;
        let text = rest.get(..next).unwrap_or_default();
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err(HeaderError::Blank { line: line + lines, field: name_for_people(octets) });
        }
        len += next;
        lines += 1;
    }
    Ok((Field { raw: octets.get(..len).unwrap_or_default(), name_octets }, lines))
}

/// The length of the first line of `octets` with its CRLF. `field` begins with the name that the line belongs to.
fn line_of(octets: &[u8], line: usize, field: &[u8]) -> Result<usize, HeaderError> {
    let end = memchr(b'\n', octets).ok_or(HeaderError::Shape { line })?;
    let text = octets.get(..end).and_then(|text| text.strip_suffix(b"\r"));
    let text = text.ok_or(HeaderError::Octet { line })?;
    if memchr::memchr2(b'\r', 0, text).is_some() {
        return Err(HeaderError::Octet { line });
    }
    if text.len() > LINE_OCTETS_MAX {
        return Err(HeaderError::LineLong { line, field: name_for_people(field) });
    }
    Ok(end + 1)
}

/// The length of the name that `octets` begin with (RFC 5322 §3.6.8 `field-name`).
fn check_name(octets: &[u8], first: usize, line: usize) -> Result<usize, HeaderError> {
    let text = octets.get(..first).unwrap_or_default();
    let colon = memchr(b':', text).ok_or(HeaderError::Shape { line })?;
    let name = text.get(..colon).unwrap_or_default();
    let printable = name.iter().all(|octet| (33..=126).contains(octet));
    if name.is_empty() || name.len() > NAME_OCTETS_MAX || !printable {
        return Err(HeaderError::Name { line });
    }
    Ok(colon)
}

/// The name at the head of a field for an error's text; bounded, printable.
fn name_for_people(field: &[u8]) -> String {
    let end = memchr(b':', field).unwrap_or(field.len()).min(NAME_OCTETS_MAX);
    field
        .get(..end)
        .unwrap_or_default()
        .iter()
        .map(|octet| if octet.is_ascii_graphic() { *octet as char } else { '?' })
        .collect()
}

impl HeaderError {
    /// The SMTP reply's code and enhanced code; the text is the error's own.
    pub fn reply(&self) -> (u16, EnhancedStatus) {
        match self {
            HeaderError::Long | HeaderError::Many => (552, EnhancedStatus::new(5, 3, 4)),
            HeaderError::Shape { .. }
            | HeaderError::Name { .. }
            | HeaderError::LineLong { .. }
            | HeaderError::Blank { .. }
            | HeaderError::Octet { .. } => (550, EnhancedStatus::new(5, 6, 0)),
        }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::Long => write!(
                f,
                "the header block is longer than {HEAD_OCTETS_MAX} octets, move data into the body"
            ),
            HeaderError::Many => {
                write!(f, "the header block has more than {FIELDS_MAX} fields, send fewer")
            }
            HeaderError::Shape { line } => write!(
                f,
                "line {line} of the message is no header field, write name: value and an empty line before the body"
            ),
            HeaderError::Name { line } => write!(
                f,
                "the field name in line {line} holds a space or another octet that no name may hold"
            ),
            HeaderError::LineLong { line, field } => write!(
                f,
                "line {line} in field {field} is longer than {LINE_OCTETS_MAX} octets, fold it"
            ),
            HeaderError::Blank { line, field } => {
                write!(f, "line {line} in field {field} holds nothing but spaces, remove it")
            }
            HeaderError::Octet { line } => {
                write!(f, "line {line} of the header block holds NUL, a bare CR or a bare LF")
            }
        }
    }
}

impl std::error::Error for HeaderError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(octets: &str, want: Result<&[(&str, &str)], HeaderError>) {
        let block = Block::parse(octets.as_bytes());
        let got = block.map(|block| {
            let pair = |field: &Field<'_>| (field.name().to_owned(), field.unfolded());
            block.fields().iter().map(pair).collect::<Vec<_>>()
        });
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        assert_eq!(got, want.map(|pairs| pairs.iter().map(own).collect()), "for {octets:?}");
    }

    #[test]
    fn a_header_block_is_read_field_by_field() {
        check("", Ok(&[]));
        check("\r\n", Ok(&[]));
        check("Subject: a\r\n\r\n", Ok(&[("Subject", "a")]));
        check("Subject: a\r\nTo:b\r\n", Ok(&[("Subject", "a"), ("To", "b")]));
        check("Subject:\r\n a\r\n\tb\r\n\r\n", Ok(&[("Subject", "a\tb")]));
        check("X:\r\n\r\n", Ok(&[("X", "")]));
        check("X: ü\r\n\r\n", Ok(&[("X", "ü")]));
    }

    #[test]
    fn a_block_that_two_readers_could_read_differently_is_refused() {
        check("no field\r\n\r\n", Err(HeaderError::Shape { line: 1 }));
        check("A: b\r\nbody without empty line", Err(HeaderError::Shape { line: 2 }));
        check(" folded: first\r\n\r\n", Err(HeaderError::Name { line: 1 }));
        check("Subject : a\r\n\r\n", Err(HeaderError::Name { line: 1 }));
        check(": a\r\n\r\n", Err(HeaderError::Name { line: 1 }));
        check("Sübject: a\r\n\r\n", Err(HeaderError::Name { line: 1 }));
        check("A: b\r\n \t\r\n c\r\n\r\n", Err(HeaderError::Blank { line: 2, field: "A".into() }));
        check("A: b\nB: c\r\n\r\n", Err(HeaderError::Octet { line: 1 }));
        check("A: b\rB: c\r\n\r\n", Err(HeaderError::Octet { line: 1 }));
        check("A: b\r\nB: \0\r\n\r\n", Err(HeaderError::Octet { line: 2 }));
    }

    #[test]
    fn every_length_has_its_limit() {
        let line = |octets: usize| format!("A: {}\r\n", "x".repeat(octets - 3));
        assert!(Block::parse(line(LINE_OCTETS_MAX).as_bytes()).is_ok());
        check(&line(999), Err(HeaderError::LineLong { line: 1, field: "A".into() }));
        assert!(Block::parse("A: b\r\n".repeat(FIELDS_MAX).as_bytes()).is_ok());
        check(&"A: b\r\n".repeat(FIELDS_MAX + 1), Err(HeaderError::Many));
        check(&format!("A: b\r\n{}", " folded\r\n".repeat(20_000)), Err(HeaderError::Long));
        check(&format!("{}: b\r\n", "n".repeat(129)), Err(HeaderError::Name { line: 1 }));
    }

    proptest! {
        #[test]
        fn the_fields_together_are_the_block(pairs in prop::collection::vec(("[!-9;-~]{1,20}", "([ \\t]?[!-~ü]{1,30}(\r\n )?[!-~]){0,3}"), 0..20)) {
            let text = pairs.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect::<Vec<_>>().concat();
            let block = Block::parse(text.as_bytes()).unwrap();
            let raw: Vec<u8> = block.fields().iter().flat_map(|field| field.raw().to_vec()).collect();
            prop_assert_eq!(raw, text.as_bytes());
            prop_assert_eq!(block.fields().len(), pairs.len());
        }

        #[test]
        fn no_octets_make_the_parser_panic(octets in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b' '), Just(b'a'), any::<u8>()], 0..200)) {
            if let Ok(block) = Block::parse(&octets) {
                let sum: usize = block.fields().iter().map(|field| field.raw().len()).sum();
                prop_assert!(sum <= octets.len());
            }
        }
    }
}
