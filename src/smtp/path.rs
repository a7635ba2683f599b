//! The paths of MAIL and RCPT (RFC 5321 §4.1.2): from text to a [`Mailbox`], source routes dropped.

use crate::mail::{Domain, Mailbox, MailboxError, ReversePath};

use super::limits::PATH_OCTETS_MAX;

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// Not in angle brackets, or something other than a space follows them.
    Brackets,
    /// Over [`PATH_OCTETS_MAX`].
    Long,
    /// The source route before the colon.
    Route,
    /// The mailbox.
    Mailbox(MailboxError),
    /// `<>` where a recipient must stand.
    Null,
}

/// The path at the head of `text` and what follows its bracket: nothing, or parameters without their first space.
pub fn split(text: &str) -> Result<(&str, &str), PathError> {
    let inner = text.strip_prefix('<').ok_or(PathError::Brackets)?;
    let end = closing_bracket(inner).ok_or(PathError::Brackets)?;
    let (path, rest) = inner.split_at_checked(end).ok_or(PathError::Brackets)?;
    if path.len() + 2 > PATH_OCTETS_MAX {
        return Err(PathError::Long);
    }
    match rest.strip_prefix('>').unwrap_or_default() {
        "" => Ok((path, "")),
        parameters => Ok((path, parameters.strip_prefix(' ').ok_or(PathError::Brackets)?)),
    }
}

/// Where the first `>` outside a quoted string stands.
fn closing_bracket(inner: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, octet) in inner.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// The path of MAIL, without its brackets.
pub fn reverse(path: &str) -> Result<ReversePath, PathError> {
    if path.is_empty() {
        return Ok(ReversePath::Null);
    }
    mailbox(path).map(ReversePath::Mailbox)
}

/// The path of RCPT, without its brackets. A bare `Postmaster` is ours (RFC 5321 §4.1.1.3).
pub fn forward(path: &str, host: &Domain) -> Result<Mailbox, PathError> {
    if path.is_empty() {
        return Err(PathError::Null);
    }
    if path.eq_ignore_ascii_case("postmaster") {
        return mailbox(&format!("postmaster@{host}"));
    }
    mailbox(path)
}

/// Drops a source route, which RFC 5321 §3.6.1 tells us to ignore, once it proves to be one.
fn mailbox(path: &str) -> Result<Mailbox, PathError> {
    let address = match path.strip_prefix('@') {
        None => path,
        Some(rest) => {
            let (route, address) = rest.split_once(':').ok_or(PathError::Route)?;
            let mut hops = route.split(',').enumerate().map(|(number, hop)| match number {
                0 => Some(hop),
                _ => hop.strip_prefix('@'),
            });
            if !hops.all(|hop| hop.is_some_and(|hop| Domain::parse(hop).is_ok())) {
                return Err(PathError::Route);
            }
            address
        }
    };
    Mailbox::parse(address).map_err(PathError::Mailbox)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::DomainError;

    #[track_caller]
    fn check_split(text: &str, want: Result<(&str, &str), PathError>) {
        assert_eq!(split(text), want, "for {text:?}");
    }

    #[test]
    fn a_path_ends_at_the_bracket_outside_quotes() {
        check_split("<ann@example.org>", Ok(("ann@example.org", "")));
        check_split("<> BODY=7BIT", Ok(("", "BODY=7BIT")));
        check_split("<\"a>b\"@example.org> X", Ok(("\"a>b\"@example.org", "X")));
        check_split("<\"a\\\">b\"@example.org>", Ok(("\"a\\\">b\"@example.org", "")));
        check_split("ann@example.org", Err(PathError::Brackets));
        check_split(" <ann@example.org>", Err(PathError::Brackets));
        check_split("<ann@example.org", Err(PathError::Brackets));
        check_split("<ann@example.org>X", Err(PathError::Brackets));
        check_split("<\"ann@example.org>", Err(PathError::Brackets));
        check_split(&format!("<{}@example.org>", "a".repeat(300)), Err(PathError::Long));
    }

    #[track_caller]
    fn check(path: &str, want: Result<&str, PathError>) {
        let host = Domain::parse("mail.example.net").unwrap();
        let got = forward(path, &host);
        assert_eq!(got.as_ref().map(Mailbox::as_str), want.as_ref().map(|s| *s), "for {path:?}");
    }

    #[test]
    fn a_source_route_is_dropped() {
        check("@a.example,@b.example:ann@example.org", Ok("ann@example.org"));
        check("@a.example:ann@example.org", Ok("ann@example.org"));
        check("@a.example,b.example:ann@example.org", Err(PathError::Route));
        check("@:ann@example.org", Err(PathError::Route));
        check("@a.example", Err(PathError::Route));
    }

    #[test]
    fn a_recipient_has_a_mailbox() {
        check("", Err(PathError::Null));
        check("PostMaster", Ok("postmaster@mail.example.net"));
        check("ann", Err(PathError::Mailbox(MailboxError::Shape)));
        check("ann@[192.0.2.1]", Err(PathError::Mailbox(MailboxError::Literal)));
        check("a@b@example.org", Err(PathError::Mailbox(MailboxError::Local)));
        check("a%b@example.org", Ok("a%b@example.org"));
        check("a!b@example.org", Ok("a!b@example.org"));
        check("ann@", Err(PathError::Mailbox(MailboxError::Domain(DomainError::Empty))));
    }
}
