//! A message's octets on their way out: dot-stuffed (RFC 5321 §4.5.2), usually without a copy. Pure, apart from reading a body's
//! file in [`Source::next`].

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};
use tokio::io::AsyncReadExt as _;

use crate::mail::{Body, Message};

/// A body's file is read, and a large body written, in pieces of this size; each has a deadline of its own.
pub(super) const PIECE_OCTETS: usize = 256 * 1024;

/// Octets in order, shared with who owns them, for one vectored write.
#[derive(Debug, Default)]
pub(super) struct Pieces(VecDeque<Bytes>);

impl Pieces {
    /// Adds octets at the end.
    pub(super) fn push(&mut self, octets: Bytes) {
        if !octets.is_empty() {
            self.0.push_back(octets);
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |octets| octets)
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.0.front_mut() {
            if count < first.len() {
                return first.advance(count);
            }
            count -= first.len();
            self.0.pop_front();
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.0);
        filled.map(|(slice, octets)| *slice = IoSlice::new(octets)).count()
    }
}

/// Stuffs dots over pieces that follow each other.
#[derive(Debug)]
pub(super) struct Stuffer {
    /// The last octets seen: where a line begins and what the end still needs depends on them.
    last: [u8; 2],
}

impl Default for Stuffer {
    fn default() -> Stuffer {
        // The content begins at the beginning of a line.
        Stuffer { last: *b"\r\n" }
    }
}

impl Stuffer {
    /// `octets` with every dot that begins a line doubled; the very octets where there is none.
    ///
    /// A bare LF counts as a line's end too: intake refuses it, and should one slip through, it must not end the message
    /// at a host that takes it for one.
    pub(super) fn stuff(&mut self, octets: Bytes) -> Bytes {
        let dot_first = self.last[1] == b'\n' && octets.first() == Some(&b'.');
        self.remember(&octets);
        if !dot_first && memchr::memmem::find(&octets, b"\n.").is_none() {
            return octets;
        }
        let mut out = Vec::with_capacity(octets.len() + octets.len() / 16 + 1);
        if dot_first {
            out.push(b'.');
        }
        let mut from = 0;
        for at in memchr::memmem::find_iter(&octets, b"\n.") {
            out.extend_from_slice(octets.get(from..=at).unwrap_or_default());
            out.push(b'.');
            from = at + 1;
        }
        out.extend_from_slice(octets.get(from..).unwrap_or_default());
        out.into()
    }

    /// What ends the content: a dot on a line of its own.
    pub(super) fn end(&self) -> Bytes {
        Bytes::from_static(if self.last == *b"\r\n" { b".\r\n" } else { b"\r\n.\r\n" })
    }

    fn remember(&mut self, octets: &[u8]) {
        match octets {
            [] => {}
            [one] => self.last = [self.last[1], *one],
            [.., a, b] => self.last = [*a, *b],
        }
    }
}

/// The octets of a message, piece by piece.
#[derive(Debug)]
pub(super) struct Source {
    memory: VecDeque<Bytes>,
    file: Option<(tokio::fs::File, u64)>,
}

impl Source {
    /// Opens the body's file, if it has one.
    pub(super) async fn open(message: &Message) -> std::io::Result<Source> {
        let mut memory = VecDeque::from([message.head.clone()]);
        let file = match &message.body {
            Body::Memory(octets) => {
                memory.push_back(octets.clone());
                None
            }
            Body::File { path, len } => Some((tokio::fs::File::open(path).await?, *len)),
        };
        Ok(Source { memory, file })
    }

    /// The next piece of at most [`PIECE_OCTETS`]; `None` at the end. A file that is shorter than it was is an error.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        while let Some(first) = self.memory.front_mut() {
            let piece = first.split_to(first.len().min(PIECE_OCTETS));
            if first.is_empty() {
                self.memory.pop_front();
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        let Some((file, left)) = &mut self.file else { return Ok(None) };
        let want = usize::try_from(*left).unwrap_or(usize::MAX).min(PIECE_OCTETS);
        if want == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; want];
        file.read_exact(&mut piece).await?;
        *left -= want as u64;
        Ok(Some(piece.into()))
    }
}

/// Whether any octet is above 127.
pub(super) async fn is_eight_bit(message: &Message) -> std::io::Result<bool> {
    let mut source = Source::open(message).await?;
    while let Some(piece) = source.next().await? {
        if !piece.is_ascii() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Stuffs `content` in pieces of `piece`, with its end.
    fn stuffed(content: &[u8], piece: usize) -> Vec<u8> {
        let (mut stuffer, mut out) = (Stuffer::default(), Vec::new());
        for piece in content.chunks(piece) {
            out.extend_from_slice(&stuffer.stuff(Bytes::copy_from_slice(piece)));
        }
        out.extend_from_slice(&stuffer.end());
        out
    }

    #[track_caller]
    fn check(content: &str, want: &str) {
        for piece in [1, 2, 3, 4096] {
            let got = stuffed(content.as_bytes(), piece);
            assert_eq!(
                String::from_utf8(got).unwrap(),
                want,
                "for {content:?} in pieces of {piece}"
            );
        }
    }

    #[test]
    fn a_dot_that_begins_a_line_is_doubled_and_nothing_else_is_touched() {
        check("a\r\n", "a\r\n.\r\n");
        check("a", "a\r\n.\r\n");
        check("", ".\r\n");
        check(".\r\n", "..\r\n.\r\n");
        check(".", "..\r\n.\r\n");
        check(".\r\nMAIL FROM:<x@y>\r\n", "..\r\nMAIL FROM:<x@y>\r\n.\r\n");
        check("a\r\n.\r\n..\r\n.b\r\n", "a\r\n..\r\n...\r\n..b\r\n.\r\n");
        check("a\n.\r\n", "a\n..\r\n.\r\n");
        check("a.b\r\n", "a.b\r\n.\r\n");
        check("a\r", "a\r\r\n.\r\n");
    }

    #[test]
    fn content_without_dots_is_not_copied() {
        let content = Bytes::from("hello\r\n".repeat(1000));
        assert_eq!(Stuffer::default().stuff(content.clone()).as_ptr(), content.as_ptr());
    }

    proptest! {
        /// What a receiver makes of it by RFC 5321 §4.5.2 is what we had.
        #[test]
        fn a_receiver_gets_back_what_was_sent(lines in proptest::collection::vec("[.a]{0,4}", 0..20), piece in 1usize..40) {
            let content = lines.join("\r\n") + if lines.is_empty() { "" } else { "\r\n" };
            let wire = String::from_utf8(stuffed(content.as_bytes(), piece)).unwrap();
            let mut back = String::new();
            let mut ended = false;
            for line in wire.split_inclusive("\r\n") {
                prop_assert!(!ended, "content went on behind the dot");
                match line {
                    ".\r\n" => ended = true,
                    line => back.push_str(line.strip_prefix('.').unwrap_or(line)),
                }
            }
            prop_assert!(ended);
            prop_assert_eq!(back, content);
        }

        #[test]
        fn pieces_are_one_run_of_octets(pieces: Vec<Vec<u8>>, steps in proptest::collection::vec(1usize..9, 0..50)) {
            let want: Vec<u8> = pieces.concat();
            let mut buf = Pieces::default();
            for piece in pieces {
                buf.push(piece.into());
            }
            let mut got = Vec::new();
            for step in steps.into_iter().chain(std::iter::repeat_n(1, want.len())) {
                prop_assert_eq!(buf.remaining(), want.len() - got.len());
                let step = step.min(buf.chunk().len());
                got.extend_from_slice(&buf.chunk()[..step]);
                buf.advance(step);
            }
            prop_assert_eq!(got, want);
        }
    }
}
