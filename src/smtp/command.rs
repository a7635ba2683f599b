//! Commands: from a line to what it asks (RFC 5321 §4.1.1). Knows the grammar, not the order.

use super::limits::{AUTH_OCTETS_MAX, COMMAND_OCTETS_MAX, MAIL_OCTETS_MAX, RCPT_OCTETS_MAX};
use super::parameters::{MailParameters, ParameterError, RcptParameters};
use super::path::{self, PathError};

/// A command as it was written; paths are still text, because a forward path needs to know our name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// EHLO with the client's name for itself.
    Ehlo(&'a str),
    /// HELO likewise.
    Helo(&'a str),
    /// MAIL FROM: the path without its brackets, and the rest.
    Mail(&'a str, MailParameters),
    /// RCPT TO likewise.
    Rcpt(&'a str, RcptParameters),
    /// DATA.
    Data,
    /// BDAT: octets of the chunk, and whether it is the last (RFC 3030 §2).
    Bdat(u64, bool),
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// QUIT.
    Quit,
    /// STARTTLS (RFC 3207 §4).
    StartTls,
    /// AUTH: mechanism and initial response (RFC 4954 §4).
    Auth(&'a str, Option<&'a str>),
    /// A word that HTTP begins with: this client speaks to the wrong port, perhaps by somebody else's will.
    Http,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// Longer than its verb allows (RFC 5321 §4.5.3.1.4).
    Long,
    /// A verb that is not one of ours.
    Unknown,
    /// Something stands after a verb that takes nothing.
    NoArgument,
    /// The name after EHLO or HELO (RFC 5321 §4.1.1.1).
    Name,
    /// `FROM:` or `TO:` is missing, or spaces stand beside its colon (RFC 5321 §3.3).
    Keyword(&'static str),
    /// The path.
    Path(PathError),
    /// The parameters.
    Parameter(ParameterError),
    /// What follows BDAT. The chunk's length is unknown, so nobody can tell where the next command begins.
    Chunk,
    /// What follows AUTH.
    Mechanism,
}

/// `STARTTLS`.
const VERB_OCTETS_MAX: usize = 8;

/// Verbs of HTTP/1.1 that no SMTP command shares.
const HTTP_VERBS: [&str; 9] =
    ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH"];

impl<'a> Command<'a> {
    /// Reads a line without its CRLF.
    pub fn parse(line: &'a str) -> Result<Command<'a>, CommandError> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        if line.len() + 2 > octets_max(verb) {
            return Err(CommandError::Long);
        }
        let mut upper = [0; VERB_OCTETS_MAX];
        match upper_case(verb, &mut upper) {
            "RCPT" => recipient(rest),
            "MAIL" => mail(rest),
            "DATA" => alone(Command::Data, rest),
            "BDAT" => chunk(rest),
            "EHLO" => name(rest).map(Command::Ehlo),
            "HELO" => name(rest).map(Command::Helo),
            "RSET" => alone(Command::Rset, rest),
            "QUIT" => alone(Command::Quit, rest),
            "STARTTLS" => alone(Command::StartTls, rest),
            "AUTH" => auth(rest),
            // RFC 5321 §4.1.1.9: what follows NOOP is ignored.
            "NOOP" => Ok(Command::Noop),
            "VRFY" => Ok(Command::Vrfy),
            "EXPN" => Ok(Command::Expn),
            "HELP" => Ok(Command::Help),
            // HTTP's verbs are in upper case and always followed by something.
            _ if HTTP_VERBS.contains(&verb) && !rest.is_empty() => Ok(Command::Http),
            _ => Err(CommandError::Unknown),
        }
    }
}

/// `verb` in upper case, or nothing where it is longer than any of ours.
fn upper_case<'b>(verb: &str, buffer: &'b mut [u8; VERB_OCTETS_MAX]) -> &'b str {
    let Some(upper) = buffer.get_mut(..verb.len()) else {
        return "";
    };
    upper.copy_from_slice(verb.as_bytes());
    upper.make_ascii_uppercase();
    std::str::from_utf8(upper).unwrap_or_default()
}

fn octets_max(verb: &str) -> usize {
    match verb.len() {
        4 if verb.eq_ignore_ascii_case("MAIL") => MAIL_OCTETS_MAX,
        4 if verb.eq_ignore_ascii_case("RCPT") => RCPT_OCTETS_MAX,
        4 if verb.eq_ignore_ascii_case("AUTH") => AUTH_OCTETS_MAX,
        _ => COMMAND_OCTETS_MAX,
    }
}

/// RFC 5321 §4.1.1: white space before the CRLF is forgiven.
fn trimmed(rest: &str) -> &str {
    rest.trim_end_matches([' ', '\t'])
}

fn alone<'a>(command: Command<'a>, rest: &str) -> Result<Command<'a>, CommandError> {
    if trimmed(rest).is_empty() { Ok(command) } else { Err(CommandError::NoArgument) }
}

/// A domain or an address literal. RFC 5321 §4.1.4 forbids refusing a client whose name proves false, and RFC 6409 §6
/// knows that a desktop's name is a guess: so any printable word will do.
fn name(rest: &str) -> Result<&str, CommandError> {
    let name = trimmed(rest);
    let good = (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    if good { Ok(name) } else { Err(CommandError::Name) }
}

/// What follows `FROM:` or `TO:`.
fn after_keyword<'a>(rest: &'a str, keyword: &'static str) -> Result<&'a str, CommandError> {
    let (head, path) =
        rest.split_at_checked(keyword.len()).ok_or(CommandError::Keyword(keyword))?;
    if head.eq_ignore_ascii_case(keyword) && !path.starts_with(' ') {
        Ok(path)
    } else {
        Err(CommandError::Keyword(keyword))
    }
}

fn mail(rest: &str) -> Result<Command<'_>, CommandError> {
    let (path, parameters) =
        path::split(after_keyword(rest, "FROM:")?).map_err(CommandError::Path)?;
    let parameters = MailParameters::parse(parameters).map_err(CommandError::Parameter)?;
    Ok(Command::Mail(path, parameters))
}

fn recipient(rest: &str) -> Result<Command<'_>, CommandError> {
    let (path, parameters) =
        path::split(after_keyword(rest, "TO:")?).map_err(CommandError::Path)?;
    let parameters = RcptParameters::parse(parameters).map_err(CommandError::Parameter)?;
    Ok(Command::Rcpt(path, parameters))
}

/// RFC 3030 §2: `chunk-size [ SP "LAST" ]`.
fn chunk(rest: &str) -> Result<Command<'_>, CommandError> {
    let (size, end) = trimmed(rest).split_once(' ').unwrap_or((trimmed(rest), ""));
    let good = (1..=20).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_digit());
    let size = size.parse().ok().filter(|_| good).ok_or(CommandError::Chunk)?;
    match end {
        "" => Ok(Command::Bdat(size, false)),
        end if end.eq_ignore_ascii_case("LAST") => Ok(Command::Bdat(size, true)),
        _ => Err(CommandError::Chunk),
    }
}

fn auth(rest: &str) -> Result<Command<'_>, CommandError> {
    let (mechanism, response) = match trimmed(rest).split_once(' ') {
        Some((mechanism, response)) => (mechanism, Some(response)),
        None => (trimmed(rest), None),
    };
    let good = (1..=20).contains(&mechanism.len())
        && response.is_none_or(|r| !r.is_empty() && !r.contains(' '));
    if good { Ok(Command::Auth(mechanism, response)) } else { Err(CommandError::Mechanism) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[allow(clippy::needless_pass_by_value, reason = "a table shows values")]
    #[track_caller]
    fn check(line: &str, want: Result<Command<'_>, CommandError>) {
        assert_eq!(Command::parse(line), want, "for {line:?}");
    }

    #[test]
    fn commands_are_known_in_any_case() {
        check("EHLO client.example", Ok(Command::Ehlo("client.example")));
        check("ehlo [192.0.2.1] ", Ok(Command::Ehlo("[192.0.2.1]")));
        check("HeLo a", Ok(Command::Helo("a")));
        check("DATA", Ok(Command::Data));
        check("DATA ", Ok(Command::Data));
        check("RSET", Ok(Command::Rset));
        check("NOOP whatever", Ok(Command::Noop));
        check("VRFY ann", Ok(Command::Vrfy));
        check("EXPN staff", Ok(Command::Expn));
        check("HELP", Ok(Command::Help));
        check("quit", Ok(Command::Quit));
        check("STARTTLS", Ok(Command::StartTls));
        check("BDAT 86 LAST", Ok(Command::Bdat(86, true)));
        check("bdat 0 last", Ok(Command::Bdat(0, true)));
        check("BDAT 1000", Ok(Command::Bdat(1000, false)));
        check("AUTH PLAIN AGEAYg==", Ok(Command::Auth("PLAIN", Some("AGEAYg=="))));
        check("AUTH LOGIN", Ok(Command::Auth("LOGIN", None)));
        check("GET / HTTP/1.1", Ok(Command::Http));
        check("POST /x HTTP/1.1", Ok(Command::Http));
    }

    #[test]
    fn mail_and_rcpt_keep_to_the_grammar() {
        let plain = MailParameters::default;
        check("MAIL FROM:<a@b>", Ok(Command::Mail("a@b", plain())));
        check("mail from:<>", Ok(Command::Mail("", plain())));
        check("RCPT TO:<a@b>", Ok(Command::Rcpt("a@b", RcptParameters::default())));
        check("MAIL FROM: <a@b>", Err(CommandError::Keyword("FROM:")));
        check("MAIL FROM <a@b>", Err(CommandError::Keyword("FROM:")));
        check("MAIL <a@b>", Err(CommandError::Keyword("FROM:")));
        check("MAIL", Err(CommandError::Keyword("FROM:")));
        check("RCPT TÖ:<a@b>", Err(CommandError::Keyword("TO:")));
        check("RCPT TO:a@b", Err(CommandError::Path(PathError::Brackets)));
        check("MAIL FROM:<a@b> X=Y", Err(CommandError::Parameter(ParameterError::Unknown)));
    }

    #[test]
    fn what_is_no_command_is_told_apart() {
        check("", Err(CommandError::Unknown));
        check("FOO", Err(CommandError::Unknown));
        check("ETRN a", Err(CommandError::Unknown));
        check("GET", Err(CommandError::Unknown));
        check("DATA now", Err(CommandError::NoArgument));
        check("QUIT now", Err(CommandError::NoArgument));
        check("STARTTLS x", Err(CommandError::NoArgument));
        check("EHLO", Err(CommandError::Name));
        check("EHLO a b", Err(CommandError::Name));
        check("EHLO bücher.example", Err(CommandError::Name));
        check("BDAT", Err(CommandError::Chunk));
        check("BDAT x", Err(CommandError::Chunk));
        check("BDAT +1", Err(CommandError::Chunk));
        check("BDAT 1 LATE", Err(CommandError::Chunk));
        check("BDAT 99999999999999999999", Err(CommandError::Chunk));
        check("AUTH", Err(CommandError::Mechanism));
        check("AUTH PLAIN a b", Err(CommandError::Mechanism));
    }

    #[test]
    fn a_command_of_512_octets_is_taken_and_one_more_is_not() {
        check(&format!("NOOP {}", "x".repeat(505)), Ok(Command::Noop));
        check(&format!("NOOP {}", "x".repeat(506)), Err(CommandError::Long));
        check(&format!("MAIL {}", "x".repeat(MAIL_OCTETS_MAX)), Err(CommandError::Long));
    }

    proptest! {
        #[test]
        fn no_line_breaks_the_parser(line in "(MAIL FROM:|RCPT TO:|BDAT |AUTH |EHLO )?\\PC{0,60}") {
            let _ = Command::parse(&line);
        }
    }
}
