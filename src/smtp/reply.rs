//! Every reply a session gives by itself: one reason, one code, one text (RFC 5321 §4.2, RFC 3463).
//!
//! No text quotes what a client sent or tells of our insides; each says what to do.

use crate::mail::reply::cut;
use crate::mail::{MailboxError, MessageId, Reply};

use super::command::CommandError;
use super::limits::Limits;
use super::line::LineError;
use super::parameters::ParameterError;
use super::path::PathError;
use super::sasl::SaslError;
use super::text::Fault;

/// Octets of a reply's text, so that the line stays within 512 (RFC 5321 §4.5.3.1.5).
const TEXT_OCTETS_MAX: usize = 480;

/// Writes a refusal that was decided outside the session as one line that cannot end early or hold what is not ASCII.
pub(super) fn refusal(out: &mut Vec<u8>, reply: &Reply) {
    // A code outside 400 to 599 would turn a refusal into something else.
    let code = if (400..600).contains(&reply.code) { reply.code } else { 451 };
    let text = cut(&reply.text, TEXT_OCTETS_MAX);
    match reply.enhanced {
        Some(status) => line(out, format_args!("{code} {status} "), text),
        None => line(out, format_args!("{code} "), text),
    }
}

/// Writes `head`, `text` made safe, and CRLF.
pub(super) fn line(out: &mut Vec<u8>, head: std::fmt::Arguments<'_>, text: &str) {
    use std::io::Write as _;
    // Writing to memory cannot fail.
    let _ = out.write_fmt(head);
    out.extend(text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c as u8 } else { b'?' }));
    out.extend_from_slice(b"\r\n");
}

pub(super) const BYE: &str = "221 2.0.0 Bye\r\n";
pub(super) const OK: &str = "250 2.0.0 Ok\r\n";
pub(super) const SENDER_OK: &str = "250 2.1.0 Ok\r\n";
pub(super) const RECIPIENT_OK: &str = "250 2.1.5 Ok\r\n";
pub(super) const CHUNK_OK: &str = "250 2.0.0 Ok, go on\r\n";
pub(super) const VERIFY: &str = "252 2.0.0 Send the message and see\r\n";
pub(super) const HELP: &str = "214 2.0.0 See RFC 5321 and RFC 6409\r\n";
pub(super) const AUTHENTICATED: &str = "235 2.7.0 Authentication succeeded\r\n";
pub(super) const AUTH_LINE_TOO_LONG: &str = "500 5.5.6 Authentication line is too long\r\n";
pub(super) const START_TLS: &str = "220 2.0.0 Ready to start TLS\r\n";
pub(super) const GO_AHEAD: &str = "354 End data with <CR><LF>.<CR><LF>\r\n";

pub(super) const TOO_MANY_ERRORS: &str = "421 4.7.0 Too many errors, closing the connection\r\n";
pub(super) const TOO_MANY_IDLE_COMMANDS: &str =
    "421 4.7.0 Too many commands without mail, closing the connection\r\n";
pub(super) const TOO_MANY_LOGINS: &str =
    "421 4.7.0 Too many failed logins, closing the connection\r\n";
pub(super) const TOO_MANY_RECIPIENTS: &str =
    "452 4.5.3 Too many recipients, send the others in another transaction\r\n";
pub(super) const NOT_IMPLEMENTED: &str = "502 5.5.1 Command not implemented\r\n";
pub(super) const HELLO_FIRST: &str = "503 5.5.1 Send EHLO first\r\n";
pub(super) const MAIL_FIRST: &str = "503 5.5.1 Send MAIL first\r\n";
pub(super) const NESTED_MAIL: &str = "503 5.5.1 A transaction is open, end it or send RSET\r\n";
pub(super) const NO_RECIPIENT: &str = "554 5.5.1 No valid recipients\r\n";
pub(super) const CHUNKS_OPEN: &str = "503 5.5.1 Chunks are open, send BDAT or RSET\r\n";
pub(super) const AUTH_TWICE: &str = "503 5.5.1 Already authenticated\r\n";
pub(super) const TLS_TWICE: &str = "503 5.5.1 TLS is active already\r\n";
pub(super) const TLS_ABSENT: &str = "502 5.5.1 TLS is not available here\r\n";
pub(super) const TLS_IN_TRANSACTION: &str = "503 5.5.1 Not within a transaction\r\n";
pub(super) const AUTH_ABSENT: &str = "502 5.5.1 Authentication is not available here\r\n";
pub(super) const TLS_REQUIRED: &str = "530 5.7.0 Send STARTTLS first\r\n";
pub(super) const AUTH_REQUIRED: &str = "530 5.7.0 Authentication required\r\n";
/// RFC 4954 §6.
pub(super) const AUTH_NEEDS_TLS: &str =
    "538 5.7.11 Encryption required for authentication, send STARTTLS first\r\n";
/// RFC 2920 §3.1: something came before it was asked for, so nobody can tell what it is.
pub(super) const OUT_OF_SYNC: &str =
    "554 5.5.0 Synchronization error: wait for the reply first, closing the connection\r\n";
pub(super) const SIZE_EXCEEDED: &str = "552 5.3.4 Message is larger than SIZE allows\r\n";
pub(super) const COPIES_EXCEEDED: &str =
    "552 5.3.4 Message size times recipients is too large, use several transactions\r\n";
pub(super) const CHUNK_TOO_LONG: &str =
    "552 5.3.4 Chunk is larger than SIZE allows, closing the connection\r\n";
pub(super) const HOLD_TOO_LONG: &str =
    "501 5.5.4 The message would be held longer than FUTURERELEASE allows\r\n";
pub(super) const UTF8_SENDER: &str =
    "553 5.6.7 The address is not ASCII, SMTPUTF8 must be given with it\r\n";
pub(super) const UTF8_RECIPIENT: &str =
    "553 5.6.7 The address is not ASCII, SMTPUTF8 must be given with MAIL\r\n";

/// The reply to a line that is no command.
pub(super) fn of_line_error(error: LineError) -> &'static str {
    match error {
        LineError::Long => "500 5.5.2 Line too long\r\n",
        LineError::BareLf => "500 5.5.2 Lines must end with CRLF\r\n",
        LineError::Octets => "500 5.5.2 A command is UTF-8 without control characters\r\n",
    }
}

/// The reply to a command outside the grammar.
pub(super) fn of_command_error(error: CommandError) -> &'static str {
    match error {
        CommandError::Long => of_line_error(LineError::Long),
        CommandError::Unknown => "500 5.5.1 Command not recognized\r\n",
        CommandError::NoArgument => "501 5.5.4 This command takes no argument\r\n",
        CommandError::Name => "501 5.5.4 Give your host name after EHLO\r\n",
        CommandError::Keyword(_) => {
            "501 5.5.2 Write MAIL FROM:<address> or RCPT TO:<address>, without spaces at the colon\r\n"
        }
        CommandError::Path(PathError::Brackets) => {
            "501 5.5.2 An address stands in angle brackets, parameters follow after a space\r\n"
        }
        // Only an address that is too long can be told without knowing whose it is.
        CommandError::Path(_) => "501 5.1.0 The address is too long\r\n",
        CommandError::Parameter(error) => of_parameter_error(error),
        CommandError::Chunk => "501 5.5.4 Write BDAT octets [LAST], closing the connection\r\n",
        CommandError::Mechanism => "501 5.5.4 Write AUTH mechanism [initial-response]\r\n",
    }
}

fn of_parameter_error(error: ParameterError) -> &'static str {
    match error {
        ParameterError::Syntax => "501 5.5.4 Parameters are KEYWORD or KEYWORD=value\r\n",
        // RFC 5321 §4.1.1.11.
        ParameterError::Unknown => "555 5.5.4 A parameter is not known here\r\n",
        ParameterError::Twice => "501 5.5.4 A parameter is given twice\r\n",
        ParameterError::Value("SIZE") => "501 5.5.4 SIZE is a number of octets\r\n",
        ParameterError::Value("BODY") => "501 5.5.4 BODY is 7BIT or 8BITMIME\r\n",
        ParameterError::Value("RET") => "501 5.5.4 RET is FULL or HDRS\r\n",
        ParameterError::Value("NOTIFY") => {
            "501 5.5.4 NOTIFY is NEVER or a list of SUCCESS, FAILURE, DELAY\r\n"
        }
        ParameterError::Value("HOLDFOR") => "501 5.5.4 HOLDFOR is a number of seconds\r\n",
        ParameterError::Value("HOLDUNTIL") => {
            "501 5.5.4 HOLDUNTIL is a date and time of RFC 3339\r\n"
        }
        ParameterError::Value(_) => "501 5.5.4 The value of a parameter is not valid\r\n",
    }
}

/// The reply to a path of MAIL that is none (RFC 3463 §3.2).
pub(super) fn of_reverse_path(error: PathError) -> &'static str {
    match error {
        PathError::Mailbox(MailboxError::Domain(_) | MailboxError::Literal) => {
            "553 5.1.8 The sender's domain is not valid\r\n"
        }
        PathError::Long => of_command_error(CommandError::Path(error)),
        PathError::Brackets | PathError::Route | PathError::Null | PathError::Mailbox(_) => {
            "553 5.1.7 The sender's address is not valid\r\n"
        }
    }
}

/// The reply to a path of RCPT that is none (RFC 3463 §3.2).
pub(super) fn of_forward_path(error: PathError) -> &'static str {
    match error {
        PathError::Mailbox(MailboxError::Literal) => {
            "553 5.1.2 Mail goes to domains, not to address literals\r\n"
        }
        PathError::Mailbox(MailboxError::Domain(_)) => {
            "553 5.1.2 The recipient's domain is not valid\r\n"
        }
        PathError::Mailbox(MailboxError::LocalLong) => {
            "553 5.1.3 The local part is longer than 64 octets\r\n"
        }
        PathError::Long => of_command_error(CommandError::Path(error)),
        PathError::Brackets | PathError::Route | PathError::Null | PathError::Mailbox(_) => {
            "553 5.1.3 The recipient's address is not valid\r\n"
        }
    }
}

/// The reply to a message whose text broke the rules.
pub(super) fn of_fault(fault: Fault) -> &'static str {
    match fault {
        Fault::BareCr => "550 5.6.0 The message holds a bare CR, lines must end with CRLF\r\n",
        Fault::BareLf => "550 5.6.0 The message holds a bare LF, lines must end with CRLF\r\n",
        Fault::Nul => "550 5.6.0 The message holds a NUL\r\n",
        Fault::LongLine => "550 5.6.0 A line is longer than 998 octets, encode the text\r\n",
        Fault::EightBit => "550 5.6.1 The message is 8-bit, BODY=8BITMIME must announce it\r\n",
    }
}

/// The reply to an AUTH exchange that ended early (RFC 4954 §4).
pub(super) fn of_sasl_error(error: SaslError) -> &'static str {
    match error {
        SaslError::Mechanism => "504 5.5.4 Use PLAIN or LOGIN\r\n",
        SaslError::Encoding => "501 5.5.2 The response is not base64\r\n",
        SaslError::Shape => "535 5.7.8 Authentication credentials invalid\r\n",
        SaslError::Cancelled => "501 5.7.0 Authentication cancelled\r\n",
    }
}

/// Writes the reply to a message that is ours from now on.
pub(super) fn accepted(out: &mut Vec<u8>, id: MessageId) {
    use std::io::Write as _;
    // Writing to memory cannot fail.
    let _ = write!(out, "250 2.0.0 Ok {id}\r\n");
}

/// Writes the answer to EHLO (RFC 5321 §4.1.1.1): our name, then what we offer.
pub(super) fn ehlo(out: &mut Vec<u8>, offer: &Offer<'_>) {
    use std::io::Write as _;
    let limits = offer.limits;
    // Writing to memory cannot fail.
    let _ = write!(out, "250-{}\r\n", offer.host);
    out.extend_from_slice(
        b"250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-DSN\r\n",
    );
    if offer.start_tls {
        out.extend_from_slice(b"250-STARTTLS\r\n");
    }
    if offer.auth {
        out.extend_from_slice(b"250-AUTH PLAIN LOGIN\r\n");
    }
    let _ = write!(out, "250-FUTURERELEASE {} ", limits.hold_max.as_secs());
    let until = i64::try_from(offer.now_ms / 1000 + limits.hold_max.as_secs()).unwrap_or(i64::MAX);
    let _ =
        write!(out, "{}\r\n", jiff::Timestamp::from_second(until).unwrap_or(jiff::Timestamp::MAX));
    let _ = write!(out, "250-SIZE {}\r\n", limits.message_bytes_max);
    out.extend_from_slice(b"250 ENHANCEDSTATUSCODES\r\n");
}

/// What EHLO offers at this moment.
pub(super) struct Offer<'a> {
    pub(super) host: &'a str,
    pub(super) limits: &'a Limits,
    pub(super) start_tls: bool,
    pub(super) auth: bool,
    pub(super) now_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::EnhancedStatus;

    #[test]
    fn a_refusal_is_one_line_whatever_its_text() {
        let said = |code, text: &str| {
            let mut out = Vec::new();
            let enhanced = Some(EnhancedStatus::new(5, 7, 1));
            refusal(&mut out, &Reply { code, enhanced, text: text.to_owned() });
            out
        };
        assert_eq!(said(554, "no\r\n250 yes \u{fc}\0"), b"554 5.7.1 no??250 yes ??\r\n");
        assert!(said(554, &"x".repeat(1 << 20)).len() <= 512);
        assert!(said(250, "x").starts_with(b"451 "));
    }
}
