//! What a host offered in its answer to EHLO. Pure.

use crate::mail::Reply;

/// The extensions that delivery makes use of (RFC 5321 §4.1.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one keyword, offered or not")]
pub(super) struct Capabilities {
    /// RFC 3207.
    pub(super) starttls: bool,
    /// RFC 2920.
    pub(super) pipelining: bool,
    /// RFC 3030.
    pub(super) chunking: bool,
    /// RFC 6152.
    pub(super) eight_bit: bool,
    /// RFC 6531.
    pub utf8: bool,
    /// RFC 3461.
    pub(super) dsn: bool,
    /// RFC 1870.
    pub(super) size: bool,
    /// The largest message in octets, where SIZE named it (RFC 1870 §4).
    pub(super) message_octets_max: Option<u64>,
}

impl Capabilities {
    /// Reads the lines of a reply to EHLO; the first is the host's name.
    pub(super) fn parse(lines: &[&str]) -> Capabilities {
        let mut offered = Capabilities::default();
        for line in lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next() else { continue };
            offered.take(keyword, words.next());
        }
        offered
    }

    fn take(&mut self, keyword: &str, parameter: Option<&str>) {
        // RFC 5321 §4.1.1.1: keywords are not case-sensitive. Some hosts write `SIZE=n`.
        let is = |name: &str| keyword.eq_ignore_ascii_case(name);
        if is("STARTTLS") {
            self.starttls = true;
        } else if is("PIPELINING") {
            self.pipelining = true;
        } else if is("CHUNKING") {
            self.chunking = true;
        } else if is("8BITMIME") {
            self.eight_bit = true;
        } else if is("SMTPUTF8") {
            self.utf8 = true;
        } else if is("DSN") {
            self.dsn = true;
        } else if is("SIZE") {
            // RFC 1870 §4: nought means that no fixed limit is in force.
            self.size = true;
            self.message_octets_max = parameter.and_then(|n| n.parse().ok()).filter(|&n| n > 0);
        }
    }
}

/// The lines of EHLO's reply are needed one by one, but a [`Reply`] joins them; its reader keeps them apart here.
#[derive(Debug, Clone, Default)]
pub(super) struct EhloLines(Vec<String>);

/// Keywords kept; a host that offers more is not believed further.
const LINES_MAX: usize = 64;

impl EhloLines {
    /// Adds one line's text.
    pub(super) fn push(&mut self, text: &str) {
        if self.0.len() < LINES_MAX {
            self.0.push(text.to_owned());
        }
    }

    /// What they offer, if the reply accepted EHLO.
    pub(super) fn capabilities(&self, reply: &Reply) -> Option<Capabilities> {
        let lines: Vec<&str> = self.0.iter().map(String::as_str).collect();
        (reply.code == 250).then(|| Capabilities::parse(&lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_read_in_any_case_and_unknown_ones_passed_over() {
        let offered = Capabilities::parse(&[
            "mx.example.org greets STARTTLS",
            "pipelining",
            "SIZE 1000",
            "8bitMIME",
            "DSN",
            "X-NONSENSE 1 2 3",
            "",
        ]);
        let want = Capabilities {
            pipelining: true,
            eight_bit: true,
            dsn: true,
            size: true,
            message_octets_max: Some(1000),
            ..Capabilities::default()
        };
        assert_eq!(offered, want);
    }

    #[test]
    fn a_size_of_nought_or_none_is_no_limit() {
        for line in ["SIZE", "SIZE 0", "SIZE x"] {
            let offered = Capabilities::parse(&["mx", line]);
            assert_eq!((offered.size, offered.message_octets_max), (true, None), "for {line}");
        }
    }
}
