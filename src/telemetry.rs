//! What the process says about itself: logs and text that is safe to show.
//!
//! Remote text reaches a log, a terminal or a page only through [`printable`]; secrets never do.

pub mod tally;

use std::fmt;
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Longest remote text in one log line.
pub const PRINTABLE_CHARS_MAX: usize = 512;

/// Remote text as one printable line: control characters, line ends and escapes become `\u{..}`, and it is cut at
/// [`PRINTABLE_CHARS_MAX`].
pub fn printable(text: &str) -> Printable<'_> {
    Printable(text)
}

/// See [`printable`].
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let mut written = 0;
        for c in self.0.chars() {
            if written >= PRINTABLE_CHARS_MAX {
                return f.write_str("…");
            }
            if is_plain(c) {
                f.write_char(c)?;
                written += 1;
            } else {
                let escaped = c.escape_unicode();
                written += escaped.len();
                write!(f, "{escaped}")?;
            }
        }
        Ok(())
    }
}

/// Neither a control nor one of the characters that turn or hide the text around them.
fn is_plain(c: char) -> bool {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !turns
}

/// Octets that only their owner may see: never printed, compared without a clue in the time it takes.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes octets in.
    pub fn new(octets: impl Into<Box<[u8]>>) -> Secret {
        Secret(octets.into())
    }

    /// The octets, for the one use they have.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// Whether `other` holds the same octets, in constant time for one length.
    pub fn matches(&self, other: &[u8]) -> bool {
        use subtle::ConstantTimeEq as _;
        self.0.ct_eq(other).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Whether a text is a log level or filter; the error says why not.
pub fn check_filter(level: &str) -> Result<(), String> {
    EnvFilter::try_new(level).map(|_| ()).map_err(|error| error.to_string())
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Pretty on a terminal, else JSON.
    Auto,
    /// For people.
    Pretty,
    /// One object a line.
    Json,
}

/// Starts the log of this process, on standard error so that a command's answer stays clean. A filter that cannot be read
/// counts as `info`; a second call does nothing.
pub fn start(level: &str, format: Format) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let pretty = match format {
        Format::Auto => terminal,
        Format::Pretty => true,
        Format::Json => false,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Whoever started a log before us, such as a test, keeps it.
    let _ = if pretty {
        let colour = terminal && std::env::var_os("NO_COLOR").is_none();
        lines.with_target(false).with_ansi(colour).try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_text_is_one_printable_line() {
        let text = printable("a\r\nb\x1b[31m\0 ü \u{202e}").to_string();
        assert_eq!(text, "a\\u{d}\\u{a}b\\u{1b}[31m\\u{0} ü \\u{202e}");
        assert!(
            printable(&"x".repeat(1 << 20)).to_string().chars().count() <= PRINTABLE_CHARS_MAX + 1
        );
        assert!(
            printable(&"\n".repeat(1 << 20)).to_string().chars().count() <= PRINTABLE_CHARS_MAX + 8
        );
    }

    #[test]
    fn a_secret_cannot_be_printed() {
        assert_eq!(format!("{:?}", Secret::new(*b"hunter2")), "Secret(..)");
        assert!(Secret::new(*b"hunter2").matches(b"hunter2"));
        assert!(!Secret::new(*b"hunter2").matches(b"hunter3"));
    }
}
