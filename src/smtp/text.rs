//! The rules of message text, checked as it streams past: lines end in CRLF and are not too long.
//!
//! One policy, no exceptions. What breaks it refuses the whole message: a bare CR or LF is what SMTP smuggling is made
//! of, and what we sign must be what every later hop sees (RFC 5321 §2.3.8, RFC 5322 §2.3).

use super::limits::TEXT_LINE_OCTETS_MAX;

/// Why a text cannot be mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// CR without LF.
    BareCr,
    /// LF without CR.
    BareLf,
    /// NUL.
    Nul,
    /// A line over [`TEXT_LINE_OCTETS_MAX`].
    LongLine,
    /// An octet above 127 in a message that was announced as seven-bit (RFC 6152 §3).
    EightBit,
}

/// Watches text go by in pieces of any size.
#[derive(Debug, Clone)]
pub struct TextScanner {
    eight_bit: bool,
    /// Octets of the current line so far.
    column: usize,
    /// The last octet was CR.
    after_cr: bool,
    fault: Option<Fault>,
}

impl TextScanner {
    /// At the start of a text; `eight_bit` says whether octets above 127 are welcome.
    pub fn new(eight_bit: bool) -> TextScanner {
        TextScanner { eight_bit, column: 0, after_cr: false, fault: None }
    }

    /// The first fault seen.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether a line begins here.
    pub fn at_line_start(&self) -> bool {
        self.column == 0 && !self.after_cr
    }

    /// Whether the last octet was a CR, which an LF must follow.
    pub fn after_cr(&self) -> bool {
        self.after_cr
    }

    /// Reads all of `input`.
    pub fn scan(&mut self, input: &[u8]) {
        self.run(input, false);
    }

    /// Reads `input` up to a line that begins with a dot, if there is one; gives how many octets were read. The first
    /// octet is read whatever it is.
    pub fn scan_to_dot(&mut self, input: &[u8]) -> usize {
        self.run(input, true)
    }

    fn run(&mut self, input: &[u8], stop_at_dot: bool) -> usize {
        let read = self.lines(input, stop_at_dot);
        if !self.eight_bit && !input.get(..read).unwrap_or_default().is_ascii() {
            self.blame(Fault::EightBit);
        }
        read
    }

    /// One search per line: CR, LF and NUL are looked for together, and the first hit of a good line is its CR.
    fn lines(&mut self, input: &[u8], stop_at_dot: bool) -> usize {
        let mut at = 0;
        while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
            if self.after_cr {
                at += self.past_cr(rest);
            } else {
                at += self.within_line(rest);
            }
            if stop_at_dot && self.at_line_start() && input.get(at) == Some(&b'.') {
                break;
            }
        }
        at
    }

    fn past_cr(&mut self, rest: &[u8]) -> usize {
        self.after_cr = false;
        if rest.first() == Some(&b'\n') {
            self.column = 0;
            return 1;
        }
        self.blame(Fault::BareCr);
        self.grow(1);
        0
    }

    fn within_line(&mut self, rest: &[u8]) -> usize {
        let Some(at) = memchr::memchr3(b'\r', b'\n', 0, rest) else {
            self.grow(rest.len());
            return rest.len();
        };
        self.grow(at);
        match rest.get(at) {
            Some(b'\r') => self.after_cr = true,
            Some(b'\n') => {
                self.blame(Fault::BareLf);
                self.grow(1);
            }
            _ => {
                self.blame(Fault::Nul);
                self.grow(1);
            }
        }
        at + 1
    }

    fn grow(&mut self, octets: usize) {
        self.column = self.column.saturating_add(octets);
        if self.column > TEXT_LINE_OCTETS_MAX {
            self.blame(Fault::LongLine);
        }
    }

    fn blame(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], want: Option<Fault>) {
        for step in [1, 2, 3, text.len().max(1)] {
            let mut scanner = TextScanner::new(false);
            for piece in text.chunks(step) {
                scanner.scan(piece);
            }
            assert_eq!(
                scanner.fault(),
                want,
                "for {:?} by {step}",
                text.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn text_is_lines_that_end_in_crlf() {
        check(b"", None);
        check(b"a\r\n.b\r\n\r\n", None);
        check(b"a\nb\r\n", Some(Fault::BareLf));
        check(b"\n", Some(Fault::BareLf));
        check(b"\n\r\n", Some(Fault::BareLf));
        check(b"a\rb\r\n", Some(Fault::BareCr));
        check(b"a\r\r\n", Some(Fault::BareCr));
        check(b"a\r\0\n", Some(Fault::BareCr));
        check(b"a\0b\r\n", Some(Fault::Nul));
        check("jürgen\r\n".as_bytes(), Some(Fault::EightBit));
    }

    #[test]
    fn a_line_of_998_octets_is_taken_and_one_more_is_not() {
        for (octets, want) in [
            (997, None),
            (998, None),
            (999, Some(Fault::LongLine)),
            (100_000, Some(Fault::LongLine)),
        ] {
            let mut text = b"a\r\n".to_vec();
            text.resize(3 + octets, b'x');
            text.extend_from_slice(b"\r\n");
            check(&text, want);
        }
    }

    #[test]
    fn eight_bit_text_passes_where_it_was_announced() {
        let mut scanner = TextScanner::new(true);
        scanner.scan("jürgen\r\n".as_bytes());
        assert_eq!(scanner.fault(), None);
    }
}
