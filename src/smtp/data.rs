//! The message after DATA: text up to CRLF.CRLF, without the dots that stuffing added (RFC 5321 §4.5.2).
//!
//! Nothing but CRLF.CRLF ends it, whatever else a text holds, so no octet of a message is ever read as a command.

use super::text::{Fault, TextScanner};

/// What the octets at the head of the input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// This many octets of the message.
    Text(usize),
    /// This many octets that are not of the message: a stuffed dot.
    Skip(usize),
    /// The end of the message, in this many octets.
    End(usize),
    /// More octets are needed to tell; at most two are left undecided.
    More,
}

/// Reads one message. Holds no octets: what is undecided stays in the input.
#[derive(Debug)]
pub struct DataReader {
    text: TextScanner,
    /// The dot that began this line was taken off, so the line is no end and no second dot is.
    unstuffed: bool,
}

impl DataReader {
    /// Right after the 354; `eight_bit` says whether octets above 127 were announced.
    pub fn new(eight_bit: bool) -> DataReader {
        DataReader { text: TextScanner::new(eight_bit), unstuffed: false }
    }

    /// Tells what the head of `input` is; the caller takes those octets before it asks again.
    pub fn next(&mut self, input: &[u8]) -> Piece {
        if self.text.at_line_start() && !self.unstuffed && input.first() == Some(&b'.') {
            return self.dot(input);
        }
        match self.text.scan_to_dot(input) {
            0 => Piece::More,
            read => {
                self.unstuffed = false;
                Piece::Text(read)
            }
        }
    }

    /// Why the message must be refused once it has ended.
    pub fn fault(&self) -> Option<Fault> {
        self.text.fault()
    }

    fn dot(&mut self, input: &[u8]) -> Piece {
        match input {
            [_] | [_, b'\r'] => Piece::More,
            [_, b'\r', b'\n', ..] => Piece::End(3),
            _ => {
                self.unstuffed = true;
                Piece::Skip(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The message and its fault when `input` arrives in pieces of `step`; `None` if it did not end. The third part is
    /// what was left for commands.
    fn read(input: &[u8], step: usize) -> Option<(Vec<u8>, Option<Fault>, Vec<u8>)> {
        let mut reader = DataReader::new(true);
        let (mut held, mut message) = (Vec::new(), Vec::new());
        let mut pieces = input.chunks(step.max(1));
        loop {
            match reader.next(&held) {
                Piece::Text(n) => message.extend(held.drain(..n)),
                Piece::Skip(n) => drop(held.drain(..n)),
                Piece::End(n) => {
                    held.drain(..n);
                    held.extend(pieces.flatten());
                    return Some((message, reader.fault(), held));
                }
                Piece::More => {
                    assert!(held.len() <= 2);
                    held.extend_from_slice(pieces.next()?);
                }
            }
        }
    }

    fn stuff(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in message.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                out.push(b'.');
            }
            out.extend_from_slice(line);
        }
        out.extend_from_slice(b".\r\n");
        out
    }

    #[track_caller]
    fn check(input: &[u8], message: &[u8], fault: Option<Fault>, rest: &[u8]) {
        for step in 1..=input.len() {
            let got = read(input, step).expect("the message ends");
            assert_eq!(got, (message.to_vec(), fault, rest.to_vec()), "in pieces of {step}");
        }
    }

    #[test]
    fn a_message_comes_out_without_its_stuffing() {
        check(b".\r\n", b"", None, b"");
        check(b"a\r\n.\r\nQUIT\r\n", b"a\r\n", None, b"QUIT\r\n");
        check(b"..\r\n.\r\n", b".\r\n", None, b"");
        check(b"...\r\n.\r\n", b"..\r\n", None, b"");
        check(b".a\r\n..b\r\n.\r\n", b"a\r\n.b\r\n", None, b"");
        check(b"\r\n..\r\n..\r\n.\r\n", b"\r\n.\r\n.\r\n", None, b"");
    }

    #[test]
    fn no_false_end_of_data_ends_the_message() {
        for end in [
            &b"\n.\n"[..],
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r.\r",
            b"\r\n.\r",
            b"\r.\r\n",
            b"\n.\r",
            b"\r\n\0.\r\n",
            b"\r\n.\r\r\n",
        ] {
            let mut input = b"Subject: a\r\n\r\nhello".to_vec();
            input.extend_from_slice(end);
            input.extend_from_slice(b"MAIL FROM:<smuggled@example.org>\r\n.\r\nQUIT\r\n");
            for step in 1..=input.len() {
                let (_, fault, rest) = read(&input, step).expect("it ends");
                assert_eq!(rest, b"QUIT\r\n", "for {} by {step}", end.escape_ascii());
                assert!(fault.is_some(), "for {} by {step}", end.escape_ascii());
            }
        }
    }

    proptest! {
        #[test]
        fn unstuffing_undoes_stuffing(
            lines in proptest::collection::vec("[.a-z\u{e4} ]{0,6}", 0..20),
            step in 1usize..40,
        ) {
            let message: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
            prop_assert_eq!(read(&stuff(&message), step), Some((message, None, Vec::new())));
        }

        #[test]
        fn the_end_does_not_depend_on_how_octets_arrive(
            octets in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'.'), Just(0), Just(b'a')], 0..60),
            step in 1usize..10,
        ) {
            prop_assert_eq!(read(&octets, step), read(&octets, octets.len().max(1)));
        }
    }
}
