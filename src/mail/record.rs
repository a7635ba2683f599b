//! Records: numbered fields that a later release may add to and an earlier one keeps.
//!
//! A record is a sequence of fields; each is a varint of `number << 1 | kind`, then a varint (kind 0) or a varint
//! length and that many octets (kind 1). Numbers are never reused. A reader takes the fields it knows in any order;
//! what it does not know it can keep as octets and write back.

use std::fmt;

/// The octets are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordError;

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the record is damaged or from a format we do not know")
    }
}

impl std::error::Error for RecordError {}

/// Writes a record, field by field.
#[derive(Debug, Default, Clone)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty record.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// A number; zero is written too.
    pub fn number(&mut self, field: u32, value: u64) -> &mut Writer {
        put_varint(&mut self.0, u64::from(field) << 1);
        put_varint(&mut self.0, value);
        self
    }

    /// Octets or text.
    pub fn octets(&mut self, field: u32, value: impl AsRef<[u8]>) -> &mut Writer {
        let value = value.as_ref();
        put_varint(&mut self.0, u64::from(field) << 1 | 1);
        put_varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Octets or text, if there are any.
    pub fn maybe(&mut self, field: u32, value: Option<impl AsRef<[u8]>>) -> &mut Writer {
        match value {
            Some(value) => self.octets(field, value),
            None => self,
        }
    }

    /// A record inside this one, written by `fill`.
    pub fn nested(&mut self, field: u32, fill: impl FnOnce(&mut Writer)) -> &mut Writer {
        let mut inner = Writer::new();
        fill(&mut inner);
        self.octets(field, inner.0)
    }

    /// Fields of a later release, as [`Field::keep`] collected them.
    pub fn raw(&mut self, fields: &[u8]) -> &mut Writer {
        self.0.extend_from_slice(fields);
        self
    }

    /// The record's octets.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// One field as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    raw: &'a [u8],
}

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Kind 0.
    Number(u64),
    /// Kind 1.
    Octets(&'a [u8]),
}

impl<'a> Field<'a> {
    /// The number, or an error where octets stand.
    pub fn as_number(&self) -> Result<u64, RecordError> {
        match self.value {
            Value::Number(number) => Ok(number),
            Value::Octets(_) => Err(RecordError),
        }
    }

    /// The number as a smaller type, or an error where it does not fit.
    pub fn as_small<T: TryFrom<u64>>(&self) -> Result<T, RecordError> {
        T::try_from(self.as_number()?).map_err(|_| RecordError)
    }

    /// The octets, or an error where a number stands.
    pub fn as_octets(&self) -> Result<&'a [u8], RecordError> {
        match self.value {
            Value::Octets(octets) => Ok(octets),
            Value::Number(_) => Err(RecordError),
        }
    }

    /// The octets as text.
    pub fn as_text(&self) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.as_octets()?).map_err(|_| RecordError)
    }

    /// Appends this field, unread, to what a record keeps of later releases.
    pub fn keep(&self, kept: &mut Vec<u8>) {
        kept.extend_from_slice(self.raw);
    }
}

/// Reads a record's fields in order.
#[derive(Debug, Clone)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Over the octets of one record.
    pub fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader(octets)
    }

    /// The next field; `None` at the record's end.
    pub fn field(&mut self) -> Result<Option<Field<'a>>, RecordError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let start = self.0;
        let tag = take_varint(&mut self.0)?;
        let number = u32::try_from(tag >> 1).map_err(|_| RecordError)?;
        let value = if tag & 1 == 0 {
            Value::Number(take_varint(&mut self.0)?)
        } else {
            let len = usize::try_from(take_varint(&mut self.0)?).map_err(|_| RecordError)?;
            let (octets, rest) = self.0.split_at_checked(len).ok_or(RecordError)?;
            self.0 = rest;
            Value::Octets(octets)
        };
        let raw = start.get(..start.len() - self.0.len()).ok_or(RecordError)?;
        Ok(Some(Field { number, value, raw }))
    }
}

/// Appends a number in seven-bit groups, least first.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [group, ..] = (value & 0x7f).to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(group);
        }
        out.push(group | 0x80);
    }
}

/// Takes a number in seven-bit groups off the head of `octets`.
pub fn take_varint(octets: &mut &[u8]) -> Result<u64, RecordError> {
    let mut value = 0u64;
    for (index, &octet) in octets.iter().take(10).enumerate() {
        let group = u64::from(octet & 0x7f);
        // The tenth group has room for one bit.
        if index == 9 && group > 1 {
            return Err(RecordError);
        }
        value |= group << (7 * index);
        if octet & 0x80 == 0 {
            *octets = octets.get(index + 1..).ok_or(RecordError)?;
            return Ok(value);
        }
    }
    Err(RecordError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_survives_being_written_and_read(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut rest = &out[..];
            prop_assert_eq!(take_varint(&mut rest), Ok(value));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn a_record_survives_being_written_and_read(fields: Vec<(u32, Result<u64, Vec<u8>>)>) {
            let mut writer = Writer::new();
            for (number, value) in &fields {
                match value {
                    Ok(n) => writer.number(*number >> 1, *n),
                    Err(octets) => writer.octets(*number >> 1, octets),
                };
            }
            let octets = writer.finish();
            let mut reader = Reader::new(&octets);
            let mut kept = Vec::new();
            for (number, value) in &fields {
                let field = reader.field().unwrap().unwrap();
                field.keep(&mut kept);
                prop_assert_eq!(field.number, *number >> 1);
                match value {
                    Ok(n) => prop_assert_eq!(field.as_number(), Ok(*n)),
                    Err(octets) => prop_assert_eq!(field.as_octets(), Ok(&octets[..])),
                }
            }
            prop_assert_eq!(reader.field(), Ok(None));
            prop_assert_eq!(kept, octets);
        }

        #[test]
        fn no_octets_make_the_reader_panic_or_loop(octets: Vec<u8>) {
            let mut reader = Reader::new(&octets);
            let mut fields = 0;
            while let Ok(Some(_)) = reader.field() {
                fields += 1;
            }
            prop_assert!(fields <= octets.len());
        }
    }
}
