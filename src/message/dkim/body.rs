//! The body hash of a DKIM signature, "relaxed", while the body streams through (RFC 6376 §3.4.4).
//!
//! Holds no body: a run of spaces and the number of empty lines are all it remembers between chunks. Most bodies are
//! already in canonical form line by line; those lines go to the hash in one piece.

use memchr::memchr;
use ring::digest::{Context, SHA256};

/// SHA-256 of a canonical body.
pub type BodyHash = [u8; 32];

/// Octets of canonical text gathered before they go to the hash.
const GATHER_OCTETS: usize = 1024;
/// Empty lines handed to the hash at once.
const EMPTY_LINES: &[u8] = b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";

/// Hashes a body of which lines end in CRLF.
#[derive(Clone)]
pub struct BodyHasher {
    sha: Context,
    /// Empty lines that count only if text follows.
    empty: u64,
    /// The open line holds text.
    text: bool,
    /// The open line ends, so far, in spaces.
    spaces: bool,
    /// The last octet was a CR, which may become a CRLF.
    cr: bool,
}

impl Default for BodyHasher {
    fn default() -> BodyHasher {
        BodyHasher::new()
    }
}

impl BodyHasher {
    /// Before the first octet.
    pub fn new() -> BodyHasher {
        BodyHasher { sha: Context::new(&SHA256), empty: 0, text: false, spaces: false, cr: false }
    }

    /// Takes the next octets of the body, cut anywhere.
    pub fn push(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            if self.at_line_start() {
                rest = self.clean_lines(rest);
            }
            rest = self.one_line(rest);
        }
    }

    /// The hash, after the last octet.
    pub fn finish(mut self) -> BodyHash {
        if self.cr {
            self.write_bare_cr();
        }
        if self.text {
            self.sha.update(b"\r\n");
        }
        let mut out = [0; 32];
        out.iter_mut().zip(self.sha.finish().as_ref()).for_each(|(out, octet)| *out = *octet);
        out
    }

    fn at_line_start(&self) -> bool {
        !self.text && !self.spaces && !self.cr
    }

    /// Hashes the whole lines at the head of `octets` that are canonical as they stand, empty ones between them too, and
    /// gives the rest back.
    fn clean_lines<'o>(&mut self, octets: &'o [u8]) -> &'o [u8] {
        let (mut at, mut clean, mut empty_after) = (0, 0, 0);
        while let Some(rest) = octets.get(at..)
            && let Some(end) = memchr(b'\n', rest)
            && let Some(line) = rest.get(..end).and_then(|line| line.strip_suffix(b"\r"))
            && is_clean(line)
        {
            at += end + 1;
            if line.is_empty() {
                empty_after += 1;
            } else {
                (clean, empty_after) = (at, 0);
            }
        }
        if let Some(lines) = octets.get(..clean)
            && !lines.is_empty()
        {
            self.write_empty();
            self.sha.update(lines);
        }
        self.empty += empty_after;
        octets.get(at..).unwrap_or_default()
    }

    /// Takes octets up to the end of the open line, or all there are, and gives the rest back.
    fn one_line<'o>(&mut self, octets: &'o [u8]) -> &'o [u8] {
        if std::mem::take(&mut self.cr) {
            if let Some(rest) = octets.strip_prefix(b"\n") {
                self.end_line();
                return rest;
            }
            // No line end after all: an octet of text, which goes out as it came.
            self.write_bare_cr();
        }
        let end = memchr(b'\r', octets).unwrap_or(octets.len());
        let (line, rest) = octets.split_at_checked(end).unwrap_or((octets, &[]));
        self.write_line_part(line);
        match rest.split_first() {
            Some((_, rest)) => {
                self.cr = true;
                rest
            }
            None => rest,
        }
    }

    fn end_line(&mut self) {
        self.spaces = false;
        if std::mem::take(&mut self.text) {
            self.sha.update(b"\r\n");
        } else {
            self.empty += 1;
        }
    }

    /// A part of a line without CR: runs of spaces become one space, and those at its end wait.
    fn write_line_part(&mut self, part: &[u8]) {
        let mut gathered = Vec::with_capacity(part.len().min(GATHER_OCTETS));
        for octet in part.iter().copied() {
            if matches!(octet, b' ' | b'\t') {
                self.spaces = true;
                continue;
            }
            if std::mem::take(&mut self.spaces) {
                gathered.push(b' ');
            }
            gathered.push(octet);
            if gathered.len() >= GATHER_OCTETS {
                self.write_text(&gathered);
                gathered.clear();
            }
        }
        if !gathered.is_empty() {
            self.write_text(&gathered);
        }
    }

    fn write_bare_cr(&mut self) {
        let spaced = std::mem::take(&mut self.spaces);
        self.write_text(if spaced { b" \r" } else { b"\r" });
    }

    /// Canonical text of the open line; the empty lines before it count now.
    fn write_text(&mut self, text: &[u8]) {
        self.write_empty();
        self.text = true;
        self.sha.update(text);
    }

    fn write_empty(&mut self) {
        while self.empty > 0 {
            let lines = self.empty.min(EMPTY_LINES.len() as u64 / 2);
            let octets = usize::try_from(lines * 2).unwrap_or_default();
            self.sha.update(EMPTY_LINES.get(..octets).unwrap_or_default());
            self.empty -= lines;
        }
    }
}

/// Whether a line without its CRLF is its own canonical form: no tab, no two spaces in a row, none at its end, and no CR.
#[allow(
    clippy::needless_bitwise_bool,
    reason = "an early exit would keep it from being vectorised"
)]
fn is_clean(line: &[u8]) -> bool {
    let next = line.get(1..).unwrap_or_default();
    // Without an early exit the compiler looks at sixteen octets at a time.
    let pairs =
        line.iter().zip(next).fold(false, |found, (a, b)| found | ((*a == b' ') & (*b == b' ')));
    let other =
        line.iter().fold(false, |found, octet| found | (*octet == b'\t') | (*octet == b'\r'));
    !pairs && !other && line.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64;
    use proptest::prelude::*;

    fn hash(chunks: &[&[u8]]) -> BodyHash {
        let mut hasher = BodyHasher::new();
        for chunk in chunks {
            hasher.push(chunk);
        }
        hasher.finish()
    }

    #[track_caller]
    fn check(body: &str, canonical: &str) {
        let plain = ring::digest::digest(&SHA256, canonical.as_bytes());
        assert_eq!(hash(&[body.as_bytes()]), plain.as_ref(), "for {body:?}");
    }

    #[test]
    fn a_body_is_hashed_in_its_relaxed_form() {
        check("", "");
        check("\r\n", "");
        check("\r\n\r\n", "");
        check(" \r\n", "");
        check("\t \r\n \r\n", "");
        check("a\r\n", "a\r\n");
        check("a", "a\r\n");
        check("a ", "a\r\n");
        check("a\r\n\r\n\r\n", "a\r\n");
        check("a\r\n \r\n\t \r\n", "a\r\n");
        check("a\r\n \r\nb\r\n", "a\r\n\r\nb\r\n");
        check("\r\n\r\na\r\n", "\r\n\r\na\r\n");
        check(" a \t b\t\r\n  c\r\n", " a b\r\n c\r\n");
        check("a b\r\n\r\nc  d\r\n\r\n", "a b\r\n\r\nc d\r\n");
        check("ü \u{a0}\r\n", "ü \u{a0}\r\n");
        check(&format!("{}a\r\n", "\r\n".repeat(100)), &format!("{}a\r\n", "\r\n".repeat(100)));
        check(&"a  b".repeat(5000), &format!("{}\r\n", "a b".repeat(5000)));
    }

    #[test]
    fn the_body_hash_is_right_where_mail_auth_is_wrong() {
        let base64 = |body: &str| BASE64.encode(&hash(&[body.as_bytes()]));
        assert_eq!(base64(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(base64(" \r\n"), base64(""));
        assert_eq!(base64("Hello\r\n \r\n\t \r\n"), base64("Hello\r\n"));
        assert_eq!(base64("Hello\r\n\r\n\r\n"), base64("Hello\r\n"));
        assert!(base64("Hello\r\n \r\n\t \r\n").starts_with("Ba3gj8+x"));
    }

    /// The rules of RFC 6376 §3.4.4 one after the other, over the whole body at once.
    fn canonical(body: &str) -> String {
        let lines: Vec<String> = body
            .split("\r\n")
            .map(|line| {
                let mut out = String::new();
                for c in line.chars().map(|c| if c == '\t' { ' ' } else { c }) {
                    if c != ' ' || !out.ends_with(' ') {
                        out.push(c);
                    }
                }
                out.trim_end_matches(' ').to_owned()
            })
            .collect();
        let text = lines.join("\r\n");
        let text = text.trim_end_matches("\r\n");
        if text.is_empty() { String::new() } else { format!("{text}\r\n") }
    }

    proptest! {
        #[test]
        fn where_chunks_are_cut_changes_no_hash(body in "([ab \\t]{0,4}(\r\n|\r){0,3}){0,12}", cuts in prop::collection::vec(0usize..100, 0..6)) {
            let octets = body.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|at| at % (octets.len() + 1)).chain([0, octets.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &octets[w[0]..w[1]]).collect();
            let want = ring::digest::digest(&SHA256, canonical(&body).as_bytes());
            let got = hash(&chunks);
            prop_assert_eq!(&got[..], want.as_ref());
        }
    }
}
