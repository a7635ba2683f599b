//! The message after BDAT: chunks of announced length, whatever they hold (RFC 3030 §2).
//!
//! BINARYMIME is not offered, so the text obeys the same rules as after DATA; only dots mean nothing.

use super::text::{Fault, TextScanner};

/// Reads the chunks of one message. Holds no octets.
#[derive(Debug)]
pub struct ChunkReader {
    text: TextScanner,
    left: u64,
    last: bool,
    ends_line: bool,
}

impl ChunkReader {
    /// Before the first chunk; `eight_bit` says whether octets above 127 were announced.
    pub fn new(eight_bit: bool) -> ChunkReader {
        ChunkReader { text: TextScanner::new(eight_bit), left: 0, last: false, ends_line: true }
    }

    /// A BDAT command: the octets that follow it, and whether they are the last.
    pub fn begin(&mut self, octets: u64, last: bool) {
        self.left = octets;
        self.last = last;
    }

    /// How many octets at the head of `input` belong to the chunk; the caller takes them before it asks again. Nought
    /// with [`ChunkReader::left`] not nought asks for more.
    pub fn next(&mut self, input: &[u8]) -> usize {
        let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        let piece = input.get(..len).unwrap_or_default();
        self.text.scan(piece);
        self.left -= len as u64;
        if len > 0 {
            self.ends_line = self.text.at_line_start();
        }
        len
    }

    /// Octets of this chunk still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Whether this chunk ends the message.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Whether the text so far ends with CRLF, as a message that travels on by DATA must.
    pub fn ends_line(&self) -> bool {
        self.ends_line
    }

    /// The CRLF that was missing at the end was added.
    pub fn end_line(&mut self) {
        self.ends_line = true;
    }

    /// Why the message must be refused. A CR at the end of a chunk waits for its LF in the next one, if there is one.
    pub fn fault(&self) -> Option<Fault> {
        let cut_off = self.last && self.left == 0 && self.text.after_cr();
        self.text.fault().or(cut_off.then_some(Fault::BareCr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]], step: usize) -> (Vec<u8>, Option<Fault>, bool) {
        let mut reader = ChunkReader::new(false);
        let mut message = Vec::new();
        for (number, chunk) in chunks.iter().enumerate() {
            reader.begin(chunk.len() as u64, number + 1 == chunks.len());
            // What follows a chunk is a command and must stay.
            let mut input = [*chunk, b"RSET\r\n"].concat();
            while reader.left() > 0 {
                let taken = reader.next(&input[..input.len().min(step)]);
                message.extend(input.drain(..taken));
            }
            assert_eq!(input, b"RSET\r\n");
        }
        assert!(reader.is_last());
        (message, reader.fault(), reader.ends_line())
    }

    #[test]
    fn chunks_join_wherever_they_are_cut() {
        for step in 1..20 {
            assert_eq!(read(&[b"a\r\n"], step), (b"a\r\n".to_vec(), None, true));
            assert_eq!(
                read(&[b"a\r", b"\n.\r\n", b""], step),
                (b"a\r\n.\r\n".to_vec(), None, true)
            );
            assert_eq!(read(&[b"a"], step), (b"a".to_vec(), None, false));
            assert_eq!(read(&[b""], step), (Vec::new(), None, true));
            assert_eq!(read(&[b"a\r", b"b\r\n"], step).1, Some(Fault::BareCr));
            assert_eq!(read(&[b"a\r"], step).1, Some(Fault::BareCr));
            assert_eq!(read(&[b"a\nb\r\n"], step).1, Some(Fault::BareLf));
        }
    }
}
