//! The id of a message: the one name it has from the 250 to the last event about it.

use std::fmt;
use std::str::FromStr;

/// 48 bits of Unix milliseconds, 16 of node, 64 of counter and chance, so that ids sort by time of acceptance.
///
/// Written as 26 characters of lower-case base32 (Crockford's alphabet, as ULID does), which is safe in a local part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u128);

/// The text was not 26 characters of the id alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageIdError;

const ALPHABET: &str = "0123456789abcdefghjkmnpqrstvwxyz";
const BITS: usize = 5;
const CHARS: usize = 26;

impl MessageId {
    /// Builds an id from its parts; `unique` is the caller's counter mixed with chance.
    pub const fn new(unix_ms: u64, node: u16, unique: u64) -> MessageId {
        MessageId(
            ((unix_ms as u128 & 0xffff_ffff_ffff) << 80) | ((node as u128) << 64) | unique as u128,
        )
    }

    /// The id from its big-endian octets, as keys hold it.
    pub const fn from_octets(octets: [u8; 16]) -> MessageId {
        MessageId(u128::from_be_bytes(octets))
    }

    /// Big-endian octets: their order is the order of time.
    pub const fn octets(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// When the message was accepted, in Unix milliseconds.
    pub const fn unix_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alphabet = ALPHABET.as_bytes();
        for place in (0..CHARS).rev() {
            let digit = (self.0 >> (place * BITS)) as usize & 0x1f;
            write!(f, "{}", alphabet.get(digit).copied().unwrap_or(b'0') as char)?;
        }
        Ok(())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = MessageIdError;

    fn from_str(text: &str) -> Result<MessageId, MessageIdError> {
        if text.len() != CHARS {
            return Err(MessageIdError);
        }
        let mut value: u128 = 0;
        for (index, octet) in text.bytes().enumerate() {
            let digit = ALPHABET
                .bytes()
                .position(|a| a == octet.to_ascii_lowercase())
                .ok_or(MessageIdError)?;
            // 26 characters hold 130 bits: the first may only use three of its five.
            if index == 0 && digit > 7 {
                return Err(MessageIdError);
            }
            value = (value << BITS) | digit as u128;
        }
        Ok(MessageId(value))
    }
}

impl fmt::Display for MessageIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a message id: it has 26 characters of 0-9 and a-z without i, l, o, u")
    }
}

impl std::error::Error for MessageIdError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_survives_being_written_and_read(ms in 0u64..(1 << 48), node: u16, unique: u64) {
            let id = MessageId::new(ms, node, unique);
            prop_assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
            prop_assert_eq!(MessageId::from_octets(id.octets()), id);
            prop_assert_eq!(id.unix_ms(), ms);
        }
    }

    #[test]
    fn an_id_refuses_what_is_not_one() {
        for text in [
            "",
            "0",
            "zzzzzzzzzzzzzzzzzzzzzzzzzz",
            "0000000000000000000000000!",
            "0000000000000000000000000l",
        ] {
            assert_eq!(text.parse::<MessageId>(), Err(MessageIdError), "for {text:?}");
        }
    }
}
