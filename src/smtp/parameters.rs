//! The parameters of MAIL and RCPT: SIZE, BODY, SMTPUTF8, RET, ENVID, AUTH, HOLDFOR, HOLDUNTIL; NOTIFY, ORCPT.
//!
//! Each at most once; one that was not offered is refused, never skipped (RFC 5321 §4.1.1.11).

use crate::mail::{BodyKind, Notify, Ret};

/// Why parameters are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterError {
    /// Not `keyword` or `keyword=value` (RFC 5321 §4.1.2), or not separated by one space.
    Syntax,
    /// Not a parameter of this command.
    Unknown,
    /// Given twice, or HOLDFOR beside HOLDUNTIL (RFC 4865 §4).
    Twice,
    /// The value of the named parameter.
    Value(&'static str),
}

/// When a message may leave (RFC 4865 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// HOLDFOR: seconds from now.
    ForSeconds(u32),
    /// HOLDUNTIL: Unix milliseconds.
    UntilMs(u64),
}

/// What MAIL said beside its path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// SIZE (RFC 1870 §3): octets; nought says nothing.
    pub size: Option<u64>,
    /// BODY (RFC 6152 §2).
    pub body: Option<BodyKind>,
    /// SMTPUTF8 (RFC 6531 §3.4).
    pub utf8: bool,
    /// RET (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// ENVID (RFC 3461 §4.4), as it came.
    pub envid: Option<String>,
    /// HOLDFOR or HOLDUNTIL.
    pub hold: Option<Hold>,
    /// AUTH (RFC 4954 §5) was given. Checked for its form, then ignored: who sends is known by who logged in.
    pub auth: bool,
}

/// What RCPT said beside its path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParameters {
    /// NOTIFY (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// ORCPT (RFC 3461 §4.2), as it came.
    pub original: Option<String>,
}

/// RFC 3461 §4.4.
const ENVID_OCTETS_MAX: usize = 100;
/// RFC 3461 §4.2.
const ORCPT_OCTETS_MAX: usize = 500;
/// RFC 4865 §4: nine digits.
const HOLDFOR_DIGITS_MAX: usize = 9;

impl MailParameters {
    /// Reads what follows the path of MAIL.
    pub fn parse(text: &str) -> Result<MailParameters, ParameterError> {
        let mut out = MailParameters::default();
        each(text, |keyword, value| match keyword {
            "SIZE" => once(&mut out.size, number(value), "SIZE"),
            "BODY" => once(&mut out.body, body(value), "BODY"),
            "SMTPUTF8" => flag(&mut out.utf8, value.is_none(), "SMTPUTF8"),
            "RET" => once(&mut out.ret, ret(value), "RET"),
            "ENVID" => once(&mut out.envid, envid(value), "ENVID"),
            "HOLDFOR" => once(&mut out.hold, holdfor(value), "HOLDFOR"),
            "HOLDUNTIL" => once(&mut out.hold, holduntil(value), "HOLDUNTIL"),
            "AUTH" => flag(&mut out.auth, value.is_some_and(is_xtext), "AUTH"),
            _ => Err(ParameterError::Unknown),
        })?;
        Ok(out)
    }
}

impl RcptParameters {
    /// Reads what follows the path of RCPT.
    pub fn parse(text: &str) -> Result<RcptParameters, ParameterError> {
        let mut out = RcptParameters::default();
        each(text, |keyword, value| match keyword {
            "NOTIFY" => once(&mut out.notify, notify(value), "NOTIFY"),
            "ORCPT" => once(&mut out.original, orcpt(value), "ORCPT"),
            _ => Err(ParameterError::Unknown),
        })?;
        Ok(out)
    }
}

/// The longest keyword we know; a longer one is unknown without being looked at.
const KEYWORD_OCTETS_MAX: usize = 16;

/// Calls `take` with each keyword in upper case and its value.
fn each(
    text: &str,
    mut take: impl FnMut(&str, Option<&str>) -> Result<(), ParameterError>,
) -> Result<(), ParameterError> {
    // RFC 5321 §4.1.1: white space before the CRLF is forgiven.
    let text = text.trim_end_matches([' ', '\t']);
    if text.is_empty() {
        return Ok(());
    }
    for parameter in text.split(' ') {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        if !is_keyword(keyword) || !value.is_none_or(is_value) {
            return Err(ParameterError::Syntax);
        }
        let mut upper = [0; KEYWORD_OCTETS_MAX];
        let upper = upper.get_mut(..keyword.len()).ok_or(ParameterError::Unknown)?;
        upper.copy_from_slice(keyword.as_bytes());
        upper.make_ascii_uppercase();
        take(std::str::from_utf8(upper).unwrap_or_default(), value)?;
    }
    Ok(())
}

/// RFC 5321 §4.1.2 `esmtp-keyword`.
fn is_keyword(text: &str) -> bool {
    text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

/// RFC 5321 §4.1.2 `esmtp-value`, with RFC 6531 §3.3's letters beyond ASCII.
fn is_value(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c != '=' && c > ' ' && !c.is_control())
}

fn once<T>(
    place: &mut Option<T>,
    value: Option<T>,
    name: &'static str,
) -> Result<(), ParameterError> {
    match (place.is_some(), value) {
        (true, _) => Err(ParameterError::Twice),
        (false, None) => Err(ParameterError::Value(name)),
        (false, value) => {
            *place = value;
            Ok(())
        }
    }
}

fn flag(place: &mut bool, good: bool, name: &'static str) -> Result<(), ParameterError> {
    match (std::mem::replace(place, true), good) {
        (true, _) => Err(ParameterError::Twice),
        (false, false) => Err(ParameterError::Value(name)),
        (false, true) => Ok(()),
    }
}

fn digits(text: &str, max: usize) -> Option<&str> {
    let good = (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    good.then_some(text)
}

/// RFC 1870 §3: up to 20 digits; what does not fit 64 bits is too large for any limit.
fn number(value: Option<&str>) -> Option<u64> {
    digits(value?, 20).map(|text| text.parse().unwrap_or(u64::MAX))
}

fn body(value: Option<&str>) -> Option<BodyKind> {
    match value? {
        v if v.eq_ignore_ascii_case("7BIT") => Some(BodyKind::SevenBit),
        v if v.eq_ignore_ascii_case("8BITMIME") => Some(BodyKind::EightBitMime),
        _ => None,
    }
}

fn ret(value: Option<&str>) -> Option<Ret> {
    match value? {
        v if v.eq_ignore_ascii_case("FULL") => Some(Ret::Full),
        v if v.eq_ignore_ascii_case("HDRS") => Some(Ret::Headers),
        _ => None,
    }
}

fn envid(value: Option<&str>) -> Option<String> {
    let value = value.filter(|v| v.len() <= ENVID_OCTETS_MAX && is_xtext(v))?;
    Some(value.to_owned())
}

fn orcpt(value: Option<&str>) -> Option<String> {
    let value = value.filter(|v| v.len() <= ORCPT_OCTETS_MAX)?;
    let (kind, address) = value.split_once(';')?;
    let good = is_keyword(kind) && !address.is_empty() && is_printable(address);
    // RFC 6533 §3 writes the type utf-8 in xtext of its own, with braces.
    let good = good && (kind.eq_ignore_ascii_case("utf-8") || is_xtext(address));
    good.then(|| value.to_owned())
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_graphic())
}

/// RFC 3461 §4: printable ASCII, with `+` only before two upper-case hexadecimal digits.
fn is_xtext(text: &str) -> bool {
    let is_hex = |octet: Option<u8>| octet.is_some_and(|o| matches!(o, b'0'..=b'9' | b'A'..=b'F'));
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        let good = match octet {
            b'+' => is_hex(octets.next()) && is_hex(octets.next()),
            b'=' => false,
            octet => octet.is_ascii_graphic(),
        };
        if !good {
            return false;
        }
    }
    !text.is_empty()
}

fn notify(value: Option<&str>) -> Option<Notify> {
    if value?.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::NEVER);
    }
    value?.split(',').try_fold(Notify::ABSENT, |all, word| {
        let one = match word {
            w if w.eq_ignore_ascii_case("SUCCESS") => Notify::SUCCESS,
            w if w.eq_ignore_ascii_case("FAILURE") => Notify::FAILURE,
            w if w.eq_ignore_ascii_case("DELAY") => Notify::DELAY,
            _ => return None,
        };
        Some(all.with(one))
    })
}

fn holdfor(value: Option<&str>) -> Option<Hold> {
    digits(value?, HOLDFOR_DIGITS_MAX)?.parse().ok().map(Hold::ForSeconds)
}

/// RFC 4865 §4 takes RFC 3339's date and time.
fn holduntil(value: Option<&str>) -> Option<Hold> {
    let at: jiff::Timestamp = value.filter(|v| v.contains(['T', 't']))?.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Hold::UntilMs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[allow(clippy::needless_pass_by_value, reason = "a table shows values")]
    #[track_caller]
    fn check_mail(text: &str, want: Result<MailParameters, ParameterError>) {
        assert_eq!(MailParameters::parse(text), want, "for {text:?}");
    }

    #[allow(clippy::needless_pass_by_value, reason = "a table shows values")]
    #[track_caller]
    fn check_rcpt(text: &str, want: Result<RcptParameters, ParameterError>) {
        assert_eq!(RcptParameters::parse(text), want, "for {text:?}");
    }

    #[test]
    fn mail_takes_the_parameters_that_are_offered() {
        let default = MailParameters::default;
        check_mail("", Ok(default()));
        check_mail("  ", Ok(default()));
        check_mail(
            "size=1000 BODY=8bitmime SMTPUTF8 RET=HDRS ENVID=QQ+2B314159 AUTH=<> HOLDFOR=60 ",
            Ok(MailParameters {
                size: Some(1000),
                body: Some(BodyKind::EightBitMime),
                utf8: true,
                ret: Some(Ret::Headers),
                envid: Some("QQ+2B314159".into()),
                hold: Some(Hold::ForSeconds(60)),
                auth: true,
            }),
        );
        let until = Some(Hold::UntilMs(1_700_000_000_000));
        check_mail(
            "HOLDUNTIL=2023-11-14T22:13:20Z",
            Ok(MailParameters { hold: until, ..default() }),
        );
        check_mail(
            "HOLDUNTIL=2023-11-14T23:13:20+01:00",
            Ok(MailParameters { hold: until, ..default() }),
        );
        check_mail(
            "SIZE=99999999999999999999",
            Ok(MailParameters { size: Some(u64::MAX), ..default() }),
        );
    }

    #[test]
    fn mail_refuses_what_is_wrong_by_name() {
        use ParameterError::{Syntax, Twice, Unknown, Value};
        check_mail("SIZE=1 SIZE=2", Err(Twice));
        check_mail("SMTPUTF8 SMTPUTF8", Err(Twice));
        check_mail("HOLDFOR=1 HOLDUNTIL=2023-11-14T22:13:20Z", Err(Twice));
        check_mail("FOO=BAR", Err(Unknown));
        check_mail("REQUIRETLS", Err(Unknown));
        check_mail("AVERYLONGPARAMETERNAME=1", Err(Unknown));
        check_mail("NOTIFY=NEVER", Err(Unknown));
        check_mail("SIZE", Err(Value("SIZE")));
        check_mail("SIZE=-1", Err(Value("SIZE")));
        check_mail("SIZE=999999999999999999999", Err(Value("SIZE")));
        check_mail("BODY=X", Err(Value("BODY")));
        check_mail("BODY=BINARYMIME", Err(Value("BODY")));
        check_mail("SMTPUTF8=1", Err(Value("SMTPUTF8")));
        check_mail("RET=SOME", Err(Value("RET")));
        check_mail("ENVID=a+2", Err(Value("ENVID")));
        check_mail(&format!("ENVID={}", "x".repeat(101)), Err(Value("ENVID")));
        check_mail("HOLDFOR=1234567890", Err(Value("HOLDFOR")));
        check_mail("HOLDUNTIL=tomorrow", Err(Value("HOLDUNTIL")));
        check_mail("HOLDUNTIL=2023-02-30T00:00:00Z", Err(Value("HOLDUNTIL")));
        check_mail("AUTH", Err(Value("AUTH")));
        check_mail("SIZE=", Err(Syntax));
        check_mail("=1", Err(Syntax));
        check_mail("SIZE=1=2", Err(Syntax));
        check_mail("SIZE=1  RET=FULL", Err(Syntax));
        check_mail("-X", Err(Syntax));
    }

    #[test]
    fn rcpt_takes_notify_and_orcpt() {
        check_rcpt(
            "NOTIFY=success,DELAY ORCPT=rfc822;Bob+40example.com",
            Ok(RcptParameters {
                notify: Some(Notify::SUCCESS.with(Notify::DELAY)),
                original: Some("rfc822;Bob+40example.com".into()),
            }),
        );
        check_rcpt(
            "NOTIFY=NEVER ORCPT=utf-8;j\\x{FC}rgen@example.com",
            Ok(RcptParameters {
                notify: Some(Notify::NEVER),
                original: Some("utf-8;j\\x{FC}rgen@example.com".into()),
            }),
        );
    }

    #[test]
    fn rcpt_refuses_what_is_wrong_by_name() {
        use ParameterError::{Twice, Unknown, Value};
        check_rcpt("NOTIFY=NEVER,SUCCESS", Err(Value("NOTIFY")));
        check_rcpt("NOTIFY=,SUCCESS", Err(Value("NOTIFY")));
        check_rcpt("NOTIFY", Err(Value("NOTIFY")));
        check_rcpt("NOTIFY=NEVER NOTIFY=NEVER", Err(Twice));
        check_rcpt("ORCPT=bob@example.com", Err(Value("ORCPT")));
        check_rcpt("ORCPT=rfc822;", Err(Value("ORCPT")));
        check_rcpt("ORCPT=rfc822;a+b", Err(Value("ORCPT")));
        check_rcpt(&format!("ORCPT=rfc822;{}", "x".repeat(500)), Err(Value("ORCPT")));
        check_rcpt("SIZE=1", Err(Unknown));
    }

    proptest! {
        #[test]
        fn what_is_taken_is_safe_to_write_into_a_command(text in "[A-Z]{3,9}=[ -~\u{e4}\r\n]{0,30}") {
            if let Ok(found) = MailParameters::parse(&text) {
                prop_assert!(found.envid.is_none_or(|e| e.bytes().all(|b| b.is_ascii_graphic())));
            }
            if let Ok(found) = RcptParameters::parse(&text) {
                prop_assert!(found.original.is_none_or(|e| e.bytes().all(|b| b.is_ascii_graphic())));
            }
        }
    }
}
