//! Finds where the header block ends while a message streams in.
//!
//! Keeps the header block and nothing of the body, so that a body of any size can go elsewhere.

use memchr::memchr;

use super::header::{HEAD_OCTETS_MAX, HeaderError};

/// Collects the header block of one message from the chunks it arrives in.
#[derive(Debug, Default)]
pub struct HeadCollector {
    head: Vec<u8>,
    /// Where the line that is still open begins.
    line: usize,
    ended: bool,
}

impl HeadCollector {
    /// Before the first octet.
    pub fn new() -> HeadCollector {
        HeadCollector::default()
    }

    /// Takes a chunk, cut anywhere, and gives back what of it is body: nothing until the empty line has come, all of it
    /// afterwards.
    pub fn push<'c>(&mut self, chunk: &'c [u8]) -> Result<&'c [u8], HeaderError> {
        if self.ended {
            return Ok(chunk);
        }
        let mut rest = chunk;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at_checked(end + 1).unwrap_or((rest, &[]));
            self.keep(line)?;
            rest = after;
            if self.head.get(self.line..) == Some(b"\r\n") {
                self.ended = true;
                return Ok(rest);
            }
            self.line = self.head.len();
        }
        self.keep(rest)?;
        Ok(&[])
    }

    /// The header block as it came, its empty line included if there was one: a message may end without (RFC 5322 §3.5).
    pub fn finish(self) -> Vec<u8> {
        self.head
    }

    /// Whether the empty line has come.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn keep(&mut self, octets: &[u8]) -> Result<(), HeaderError> {
        if self.head.len() + octets.len() > HEAD_OCTETS_MAX {
            return Err(HeaderError::Long);
        }
        self.head.extend_from_slice(octets);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let mut collector = HeadCollector::new();
        let mut body = Vec::new();
        for chunk in chunks {
            body.extend_from_slice(collector.push(chunk).unwrap());
        }
        (collector.finish(), body)
    }

    #[track_caller]
    fn check(message: &str, head: &str, body: &str) {
        assert_eq!(split(&[message.as_bytes()]), (head.into(), body.into()), "for {message:?}");
    }

    #[test]
    fn the_first_empty_line_ends_the_header_block() {
        check("A: b\r\n\r\nc\r\n\r\nd", "A: b\r\n\r\n", "c\r\n\r\nd");
        check("\r\nA: b\r\n\r\n", "\r\n", "A: b\r\n\r\n");
        check("A: b\r\n", "A: b\r\n", "");
        check("A: b\r\n \r\n\r\n.", "A: b\r\n \r\n\r\n", ".");
        check("", "", "");
    }

    #[test]
    fn an_endless_header_block_is_cut_off() {
        let mut collector = HeadCollector::new();
        let error = (0..10_000).find_map(|_| collector.push(&[b'x'; 1000]).err());
        assert_eq!(error, Some(HeaderError::Long));
        assert!(collector.finish().len() <= HEAD_OCTETS_MAX);
    }

    proptest! {
        #[test]
        fn where_chunks_are_cut_changes_nothing(message in "([ab]{0,3}\r\n?){0,8}", cut in prop::collection::vec(0usize..40, 0..4)) {
            let octets = message.as_bytes();
            let mut cuts: Vec<usize> = cut.iter().map(|at| at % (octets.len() + 1)).chain([0, octets.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &octets[w[0]..w[1]]).collect();
            prop_assert_eq!(split(&chunks), split(&[octets]));
        }
    }
}
