//! Command lines out of a buffer of octets, so that a line of any length costs a bounded buffer.
//!
//! A line ends at LF. One that ends without CR, or grows past [`LINE_OCTETS_MAX`], is thrown away up to its end and
//! reported once, so that the session stays in step with the client.

use bytes::BytesMut;

use super::limits::LINE_OCTETS_MAX;

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineError {
    /// Longer than any command may be (RFC 5321 §4.5.3.1.4).
    Long,
    /// Ended by LF alone (RFC 5321 §2.3.8).
    BareLf,
    /// Holds a control character or is not UTF-8.
    Octets,
}

/// A line at the head of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// How many octets of it are the command, without its end; or why it is none.
    pub text: Result<usize, LineError>,
    /// How many octets the caller takes from the buffer when it is done with the line.
    pub whole: usize,
}

/// Finds lines in a buffer.
#[derive(Debug, Default)]
pub struct LineReader {
    /// Octets at the head of the buffer that are known to hold no LF.
    scanned: usize,
    /// Inside a line that was given up.
    discarding: bool,
}

impl LineReader {
    /// Finds the line at the head of `input`, or `None` when more octets are needed; then no more than
    /// [`LINE_OCTETS_MAX`] octets are left in `input`. The caller takes [`Line::whole`] octets before it asks again.
    pub fn next(&mut self, input: &mut BytesMut) -> Option<Line> {
        let Some(end) = self.find_end(input) else {
            if self.discarding || input.len() > LINE_OCTETS_MAX {
                self.discarding = true;
                self.scanned = 0;
                input.clear();
            }
            return None;
        };
        self.scanned = 0;
        let long = std::mem::take(&mut self.discarding) || end >= LINE_OCTETS_MAX;
        let text = match end.checked_sub(1) {
            _ if long => Err(LineError::Long),
            Some(text) if input.get(text) == Some(&b'\r') => Ok(text),
            _ => Err(LineError::BareLf),
        };
        Some(Line { text, whole: end + 1 })
    }

    fn find_end(&mut self, input: &BytesMut) -> Option<usize> {
        let fresh = input.get(self.scanned..).unwrap_or_default();
        let found = memchr::memchr(b'\n', fresh).map(|at| self.scanned + at);
        if found.is_none() {
            self.scanned = input.len();
        }
        found
    }
}

/// A line as text: UTF-8 without control characters.
pub fn as_text(line: &[u8]) -> Result<&str, LineError> {
    if line.iter().any(|octet| octet.is_ascii_control() && *octet != b'\t') {
        return Err(LineError::Octets);
    }
    std::str::from_utf8(line).map_err(|_| LineError::Octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Buf as _;
    use proptest::prelude::*;

    /// Feeds `octets` in pieces of `step` and gives what came out; checks the bound of the buffer on the way.
    fn lines(octets: &[u8], step: usize) -> Vec<Result<Vec<u8>, LineError>> {
        let (mut reader, mut input, mut out) = (LineReader::default(), BytesMut::new(), Vec::new());
        for piece in octets.chunks(step) {
            input.extend_from_slice(piece);
            while let Some(line) = reader.next(&mut input) {
                out.push(line.text.map(|text| input[..text].to_vec()));
                input.advance(line.whole);
            }
            assert!(input.len() <= LINE_OCTETS_MAX);
        }
        out
    }

    #[test]
    fn lines_come_out_as_they_went_in() {
        let want = vec![Ok(b"EHLO a".to_vec()), Ok(b"".to_vec()), Ok(b"QUIT".to_vec())];
        for step in [1, 2, 3, 7, 100] {
            assert_eq!(lines(b"EHLO a\r\n\r\nQUIT\r\n", step), want, "in pieces of {step}");
        }
    }

    #[test]
    fn a_line_without_an_end_costs_no_memory_and_the_next_one_is_heard() {
        for len in [LINE_OCTETS_MAX, 4 << 10, 1 << 20] {
            let mut octets = vec![b'x'; len];
            octets.extend_from_slice(b"\r\nNOOP\r\n");
            let want = vec![Err(LineError::Long), Ok(b"NOOP".to_vec())];
            assert_eq!(lines(&octets, 1000), want, "for {len} octets");
        }
    }

    #[test]
    fn a_bare_lf_ends_a_line_that_is_refused() {
        let want = vec![Err(LineError::BareLf), Ok(b"QUIT".to_vec()), Err(LineError::BareLf)];
        assert_eq!(lines(b"NOOP\nQUIT\r\n\n", 100), want);
    }

    #[test]
    fn a_command_holds_no_control_characters() {
        assert_eq!(as_text(b"NOOP a\tb"), Ok("NOOP a\tb"));
        assert_eq!(as_text(b"NO\0OP"), Err(LineError::Octets));
        assert_eq!(as_text(b"NO\rOP"), Err(LineError::Octets));
        assert_eq!(as_text(b"NO\x1bOP"), Err(LineError::Octets));
        assert_eq!(as_text(b"NO\xffOP"), Err(LineError::Octets));
    }

    proptest! {
        #[test]
        fn the_same_lines_come_out_however_they_are_cut(
            octets in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a')], 0..200),
            step in 1usize..20,
        ) {
            prop_assert_eq!(lines(&octets, step), lines(&octets, octets.len().max(1)));
        }
    }
}
