//! What the other side answered: code, enhanced code, text.

use std::fmt;

/// An SMTP reply (RFC 5321 §4.2), its text joined by spaces and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits, 200 to 599; 0 when there was no reply and the text is ours.
    pub code: u16,
    /// The enhanced status code at the head of the text (RFC 2034 §4), if there was one.
    pub enhanced: Option<EnhancedStatus>,
    /// The text after it, at most [`Reply::TEXT_OCTETS_MAX`] octets, unchecked: make it printable before showing it.
    pub text: String,
}

impl Reply {
    /// More of a reply than this tells nobody anything, and it goes into every record.
    pub const TEXT_OCTETS_MAX: usize = 1024;

    /// Takes a reply's code and text apart; cuts the text at the bound.
    pub fn new(code: u16, text: &str) -> Reply {
        let text = text.trim();
        let (head, rest) = text.split_once(' ').unwrap_or((text, ""));
        // A status of another class than the code is a contradiction; the code decides (RFC 2034 §4).
        let enhanced =
            EnhancedStatus::parse(head).filter(|status| u16::from(status.class) == code / 100);
        let text = if enhanced.is_some() { rest.trim_start() } else { text };
        Reply { code, enhanced, text: cut(text, Reply::TEXT_OCTETS_MAX).to_owned() }
    }

    /// A reply of ours in place of one that never came, such as "connection refused".
    pub fn local(status: EnhancedStatus, text: &str) -> Reply {
        Reply {
            code: 0,
            enhanced: Some(status),
            text: cut(text, Reply::TEXT_OCTETS_MAX).to_owned(),
        }
    }
}

/// The longest head of `text` of at most `max` octets that ends between characters.
pub fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code != 0 {
            write!(f, "{} ", self.code)?;
        }
        if let Some(enhanced) = self.enhanced {
            write!(f, "{enhanced} ")?;
        }
        f.write_str(&self.text)
    }
}

/// An enhanced status code (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedStatus {
    /// 2, 4 or 5.
    pub class: u8,
    /// What kind of thing it speaks of.
    pub subject: u16,
    /// What about it.
    pub detail: u16,
}

impl EnhancedStatus {
    /// A code from its three numbers.
    pub const fn new(class: u8, subject: u16, detail: u16) -> EnhancedStatus {
        EnhancedStatus { class, subject, detail }
    }

    /// Reads `5.1.1`.
    pub fn parse(text: &str) -> Option<EnhancedStatus> {
        let mut parts = text.split('.');
        let class = parts.next()?;
        let (subject, detail) = (parts.next()?, parts.next()?);
        let number = |part: &str| {
            let digits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            if digits { part.parse().ok() } else { None }
        };
        if parts.next().is_some() || !matches!(class, "2" | "4" | "5") {
            return None;
        }
        Some(EnhancedStatus {
            class: class.parse().ok()?,
            subject: number(subject)?,
            detail: number(detail)?,
        })
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: u16, text: &str, enhanced: Option<&str>, rest: &str) {
        let reply = Reply::new(code, text);
        assert_eq!(reply.enhanced.map(|e| e.to_string()).as_deref(), enhanced, "for {text:?}");
        assert_eq!(reply.text, rest);
    }

    #[test]
    fn a_reply_is_taken_apart_once() {
        check(550, "5.1.1 no such user", Some("5.1.1"), "no such user");
        check(250, "ok", None, "ok");
        check(550, "5.1.1", Some("5.1.1"), "");
        check(550, "4.1.1 contradiction", None, "4.1.1 contradiction");
        check(550, "5.1.1000 x", None, "5.1.1000 x");
        check(550, "5.1.1.1 x", None, "5.1.1.1 x");
    }

    #[test]
    fn a_reply_of_a_megabyte_is_cut_between_characters() {
        let reply = Reply::new(250, &"ü".repeat(1 << 20));
        assert!(reply.text.len() <= Reply::TEXT_OCTETS_MAX);
        assert!(reply.text.chars().all(|c| c == 'ü'));
    }
}
