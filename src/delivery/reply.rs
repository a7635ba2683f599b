//! Reads SMTP replies out of octets, within bounds. Pure: it owns no socket.
//!
//! mail-send 0.7.0 reads replies too, but drops what follows a reply in the same segment, holds each part of an
//! enhanced status in one octet (`5.7.509` becomes `5.7.255`), and lets a reply of endless empty lines grow without a
//! bound (`tests/it/mail_send.rs` shows all three); so replies are read here.

use std::fmt;

use super::capabilities::EhloLines;
use crate::mail::{EnhancedStatus, Reply};

/// Octets of one line that are kept; RFC 5321 §4.5.3.1.5 allows 512, real servers exceed it. The rest is read over.
const LINE_OCTETS_KEPT: usize = 2048;
/// Octets of one reply. Past it the verdict stands by its code, and the connection is not used again.
const REPLY_OCTETS_MAX: usize = 256 * 1024;

/// The octets are no reply, so they are no verdict (RFC 5321 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyError {
    /// A line does not begin with a code of 200 to 599 and a space, a hyphen or its end.
    Code,
    /// Two lines of one reply have different codes.
    Mixed,
}

/// What the octets so far amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// A whole reply.
    Complete(Reply),
    /// A reply that did not end within its bound; its code is known, and the connection must go.
    Overlong(Reply),
    /// More octets are needed.
    Partial,
}

/// Puts one reply after another together.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    line: Vec<u8>,
    code: u16,
    status: Option<EnhancedStatus>,
    text: String,
    octets: usize,
    /// Where the lines of EHLO's reply are also kept one by one, while one is awaited.
    lines: Option<EhloLines>,
}

impl ReplyReader {
    /// Takes octets off the head of `input` up to the end of a reply.
    pub(super) fn feed(&mut self, input: &mut &[u8]) -> Result<Progress, ReplyError> {
        while !input.is_empty() {
            let end = memchr::memchr(b'\n', input).map(|at| at + 1);
            let (piece, rest) = input.split_at(end.unwrap_or(input.len()));
            *input = rest;
            self.octets += piece.len();
            let room = LINE_OCTETS_KEPT.saturating_sub(self.line.len());
            self.line.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            if end.is_some() && self.end_line()? {
                return Ok(Progress::Complete(self.take()));
            }
            if self.octets > REPLY_OCTETS_MAX {
                return self.give_up();
            }
        }
        Ok(Progress::Partial)
    }

    /// Keeps the lines of the next reply apart, for [`ReplyReader::take_lines`].
    pub(super) fn keep_lines(&mut self) {
        self.lines = Some(EhloLines::default());
    }

    /// The lines kept since [`ReplyReader::keep_lines`].
    pub(super) fn take_lines(&mut self) -> EhloLines {
        self.lines.take().unwrap_or_default()
    }

    /// Whether a reply has begun and not ended.
    pub(super) fn is_midway(&self) -> bool {
        self.octets > 0
    }

    /// Takes in a finished line; says whether it was the reply's last.
    fn end_line(&mut self) -> Result<bool, ReplyError> {
        let line = std::mem::take(&mut self.line);
        let (code, last, text) = parse_line(&line)?;
        if self.code == 0 {
            self.code = code;
            self.status = status_of(code, text);
        } else if self.code != code {
            return Err(ReplyError::Mixed);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(&String::from_utf8_lossy(text));
        }
        self.add_text(text);
        self.line = line;
        self.line.clear();
        Ok(last)
    }

    /// Joins a line's text to the reply's, without its repeated status (RFC 2034 §4).
    fn add_text(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let text = match self.status {
            Some(status) if !self.text.is_empty() => {
                text.strip_prefix(&status.to_string()).unwrap_or(&text).trim()
            }
            _ => text.trim(),
        };
        let room = Reply::TEXT_OCTETS_MAX.saturating_sub(self.text.len());
        if text.is_empty() || room == 0 {
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        self.text.extend(plain.take(room));
    }

    fn give_up(&mut self) -> Result<Progress, ReplyError> {
        if self.code == 0 {
            let line = std::mem::take(&mut self.line);
            let (code, _, text) = parse_line(&line)?;
            (self.code, self.status) = (code, status_of(code, text));
            self.add_text(text);
        }
        Ok(Progress::Overlong(self.take()))
    }

    fn take(&mut self) -> Reply {
        let reply = Reply::new(self.code, &self.text);
        self.line.clear();
        self.text.clear();
        (self.code, self.status, self.octets) = (0, None, 0);
        reply
    }
}

fn status_of(code: u16, text: &[u8]) -> Option<EnhancedStatus> {
    let text = std::str::from_utf8(text).ok()?.trim();
    Reply::new(code, text.split(' ').next().unwrap_or_default()).enhanced
}

/// Code, whether the line is the reply's last, and text (RFC 5321 §4.2.1).
fn parse_line(line: &[u8]) -> Result<(u16, bool, &[u8]), ReplyError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, rest) = line.split_at_checked(3).ok_or(ReplyError::Code)?;
    let [hundreds @ b'2'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = digits else {
        return Err(ReplyError::Code);
    };
    let digit = |octet: &u8| u16::from(octet - b'0');
    let code = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
    match rest {
        [] => Ok((code, true, rest)),
        [b' ', text @ ..] => Ok((code, true, text)),
        [b'-', text @ ..] => Ok((code, false, text)),
        _ => Err(ReplyError::Code),
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReplyError::Code => "the host answered something that is no SMTP reply",
            ReplyError::Mixed => "the host answered with two codes in one reply",
        })
    }
}

impl std::error::Error for ReplyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `octets` in pieces of `piece` and gives the replies, or the error, that came out.
    fn read(octets: &[u8], piece: usize) -> Result<Vec<Reply>, ReplyError> {
        let (mut reader, mut replies) = (ReplyReader::default(), Vec::new());
        for mut input in octets.chunks(piece) {
            while !input.is_empty() {
                match reader.feed(&mut input)? {
                    Progress::Complete(reply) | Progress::Overlong(reply) => replies.push(reply),
                    Progress::Partial => {}
                }
            }
        }
        Ok(replies)
    }

    #[track_caller]
    fn check(octets: &str, want: Result<&[&str], ReplyError>) {
        for piece in [1, 2, 3, 7, 4096] {
            let got = read(octets.as_bytes(), piece)
                .map(|replies| replies.iter().map(Reply::to_string).collect::<Vec<_>>());
            let want = want.map(|want| want.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(got, want, "for {octets:?} in pieces of {piece}");
        }
    }

    #[test]
    fn replies_are_told_apart_however_they_arrive() {
        check("250 ok\r\n", Ok(&["250 ok"]));
        check("250\r\n", Ok(&["250 "]));
        check("250 ok\n", Ok(&["250 ok"]));
        check("250 a\r\n250 b\r\n354 c\r\n", Ok(&["250 a", "250 b", "354 c"]));
        check("250-a\r\n250-b\r\n250 c\r\n550 d\r\n", Ok(&["250 a b c", "550 d"]));
        check("550-5.1.1 no such\r\n550 5.1.1 user\r\n", Ok(&["550 5.1.1 no such user"]));
        check("550 5.7.509 access denied\r\n", Ok(&["550 5.7.509 access denied"]));
        check("550-\r\n550 \r\n", Ok(&["550 "]));
    }

    #[test]
    fn what_is_no_reply_is_no_verdict() {
        check("hello\r\n", Err(ReplyError::Code));
        check("\r\n", Err(ReplyError::Code));
        check("25\r\n", Err(ReplyError::Code));
        check("150 x\r\n", Err(ReplyError::Code));
        check("650 x\r\n", Err(ReplyError::Code));
        check("250x\r\n", Err(ReplyError::Code));
        check("250-a\r\n550 b\r\n", Err(ReplyError::Mixed));
        check("250-a\r\nb\r\n", Err(ReplyError::Code));
    }

    #[test]
    fn a_thousand_lines_and_a_long_line_keep_their_code_and_no_more_text_than_allowed() {
        let many = "550-5.7.1 because of this and that\r\n".repeat(1000) + "550 5.7.1 end\r\n";
        let long = format!("250 {}\r\n", "x".repeat(100_000));
        for (octets, code) in [(many, 550), (long, 250)] {
            let replies = read(octets.as_bytes(), 1000).unwrap();
            assert_eq!(replies.len(), 1);
            assert_eq!(replies[0].code, code);
            assert!(replies[0].text.len() <= Reply::TEXT_OCTETS_MAX);
        }
    }

    #[test]
    fn a_reply_without_end_is_given_up_with_its_code() {
        for line in ["250-x\r\n", "250-\r\n", "x"] {
            let octets = format!("250 {}", line.repeat(REPLY_OCTETS_MAX));
            let mut reader = ReplyReader::default();
            let mut input = octets.trim_start_matches("250 ").as_bytes();
            let head = if line == "x" { b"250 ".as_slice() } else { b"" };
            let mut first = head;
            assert_eq!(reader.feed(&mut first), Ok(Progress::Partial));
            let Ok(Progress::Overlong(reply)) = reader.feed(&mut input) else {
                panic!("for {line:?}")
            };
            assert_eq!(reply.code, 250);
            assert!(!reader.is_midway());
        }
    }

    #[test]
    fn octets_that_no_terminal_should_see_become_spaces() {
        let replies = read(b"550 a\0b\x1b[31m\xff\r\n", 4).unwrap();
        assert_eq!(replies[0].text, "a b [31m\u{fffd}");
    }

    proptest! {
        #[test]
        fn no_octets_make_the_reader_panic(octets: Vec<u8>, piece in 1usize..64) {
            let _ = read(&octets, piece);
        }
    }
}
