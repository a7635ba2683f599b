//! The dialogue of one attempt as people read it: commands and replies, never content, never a secret.

use crate::mail::Reply;
use crate::mail::event::Attempt;
use crate::mail::reply::cut;

/// Octets set aside for a usual transaction, so that it is written without growing.
const USUAL_OCTETS: usize = 512;
/// Said once where lines were left out.
const CUT: &str = "… cut\n";

/// Lines prefixed `C: `, `S: ` and, for what neither side said, `-- `; at most [`Attempt::TRANSCRIPT_OCTETS_MAX`].
#[derive(Debug, Clone, Default)]
pub(super) struct Transcript {
    text: String,
    full: bool,
}

impl Transcript {
    /// With room for a usual transaction.
    pub(super) fn new() -> Transcript {
        Transcript { text: String::with_capacity(USUAL_OCTETS), full: false }
    }

    /// Commands as sent, line by line.
    pub(super) fn sent(&mut self, commands: &str) {
        for line in commands.lines() {
            self.line("C: ", line);
        }
    }

    /// A reply, as one line.
    pub(super) fn received(&mut self, reply: &Reply) {
        use std::fmt::Write as _;
        if self.full {
            return;
        }
        let start = self.text.len();
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "S: {reply}");
        self.bound(start);
    }

    /// A remark of ours.
    pub(super) fn note(&mut self, text: &str) {
        self.line("-- ", text);
    }

    /// The text so far.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn line(&mut self, prefix: &str, line: &str) {
        if self.full {
            return;
        }
        let start = self.text.len();
        self.text.push_str(prefix);
        self.text.push_str(line);
        self.text.push('\n');
        self.bound(start);
    }

    /// Takes the line that began at `start` back if it went over the bound.
    fn bound(&mut self, start: usize) {
        if self.text.len() > Attempt::TRANSCRIPT_OCTETS_MAX - CUT.len() {
            self.text.truncate(cut(&self.text, start).len());
            self.text.push_str(CUT);
            self.full = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_shows_who_said_what() {
        let mut transcript = Transcript::new();
        transcript.sent("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
        transcript.received(&Reply::new(250, "2.1.0 ok"));
        transcript.note("content of 12 octets");
        assert_eq!(
            transcript.into_text(),
            "C: MAIL FROM:<a@b>\nC: RCPT TO:<c@d>\nS: 250 2.1.0 ok\n-- content of 12 octets\n"
        );
    }

    #[test]
    fn a_transcript_is_bounded_and_says_so() {
        let mut transcript = Transcript::new();
        for _ in 0..1000 {
            transcript.received(&Reply::new(550, &"ü".repeat(500)));
        }
        let text = transcript.into_text();
        assert!(text.len() <= Attempt::TRANSCRIPT_OCTETS_MAX);
        assert!(text.ends_with(CUT));
    }
}
