//! Address lists of header fields (RFC 5322 §3.4): who is written in From decides who may send, so nothing is guessed.
//!
//! The grammar is taken without its obsolete forms, except for dots in a display name. What other readers could read as
//! another address (a second `@`, a route, a comment inside an address) is refused; encoded words are left alone, as
//! they never hold an address.

use std::fmt;

use crate::mail::{Mailbox, MailboxError};

/// Addresses of one field.
pub const ADDRESSES_MAX: usize = 1_000;
/// Comments inside comments.
pub const COMMENT_DEPTH_MAX: usize = 16;

/// Why a field's value is not an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// Octets that are no UTF-8 (RFC 6532 §3.1).
    NotUtf8,
    /// A control character.
    Control,
    /// No address where one must stand.
    Missing,
    /// A comment, quoted string or angle bracket that does not end, or comments too deep.
    Unclosed,
    /// Something that the grammar does not have there; the text from there on, cut short.
    Unexpected(String),
    /// The words read as an address, but it is not one that can be mailed.
    Mailbox(String, MailboxError),
    /// Over [`ADDRESSES_MAX`].
    Many,
}

/// Reads the value of From, Sender, Reply-To, To or Cc, folded or not: its mailboxes in order, groups opened up
/// (RFC 6854 §2 allows them in From).
pub fn parse_list(value: &[u8]) -> Result<Vec<Mailbox>, AddressError> {
    let text = std::str::from_utf8(value).map_err(|_| AddressError::NotUtf8)?;
    let text = text.strip_suffix("\r\n").unwrap_or(text);
    // Folding is CRLF before a space (RFC 5322 §2.2.3); with the CRLF gone, any control that is left is no folding.
    let text = text.replace("\r\n", "");
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(AddressError::Control);
    }
    let mut scan = Scan { rest: &text, found: Vec::new() };
    scan.list()?;
    Ok(scan.found)
}

struct Scan<'t> {
    rest: &'t str,
    found: Vec<Mailbox>,
}

/// What a run of words before a delimiter was.
enum Phrase<'t> {
    /// Words of a display name, or nothing.
    Words { any: bool },
    /// `local@domain` without brackets.
    Address(&'t str),
}

impl<'t> Scan<'t> {
    /// `address *("," address)`.
    fn list(&mut self) -> Result<(), AddressError> {
        loop {
            self.address(true)?;
            self.skip_cfws()?;
            if self.rest.is_empty() {
                return Ok(());
            }
            self.expect(',')?;
        }
    }

    /// One mailbox or, where `group` allows it, one group.
    fn address(&mut self, group: bool) -> Result<(), AddressError> {
        match self.phrase()? {
            Phrase::Address(address) => self.take(address),
            Phrase::Words { any } => match self.rest.chars().next() {
                Some('<') => self.angle(),
                Some(':') if group && any => self.group(),
                Some(_) if any => Err(self.unexpected()),
                _ => Err(AddressError::Missing),
            },
        }
    }

    /// `":" [mailbox-list] ";"`.
    fn group(&mut self) -> Result<(), AddressError> {
        self.expect(':')?;
        self.skip_cfws()?;
        if self.eat(';') {
            return Ok(());
        }
        loop {
            self.address(false)?;
            self.skip_cfws()?;
            if self.eat(';') {
                return Ok(());
            }
            if self.rest.is_empty() {
                return Err(AddressError::Unclosed);
            }
            self.expect(',')?;
        }
    }

    /// `"<" addr-spec ">"`, spaces allowed beside the brackets, routes and comments not.
    fn angle(&mut self) -> Result<(), AddressError> {
        self.expect('<')?;
        self.skip_spaces();
        let address = self.addr_spec()?.ok_or_else(|| self.unexpected())?;
        self.skip_spaces();
        if self.rest.is_empty() {
            return Err(AddressError::Unclosed);
        }
        self.expect('>')?;
        self.take(address)
    }

    /// Words up to a delimiter, or an address without brackets.
    fn phrase(&mut self) -> Result<Phrase<'t>, AddressError> {
        let mut any = false;
        loop {
            self.skip_cfws()?;
            if !any && let Some(address) = self.addr_spec()? {
                return Ok(Phrase::Address(address));
            }
            match self.rest.chars().next() {
                Some('"') => drop(self.quoted()?),
                Some(c) if is_word(c) => {
                    self.rest = self.rest.trim_start_matches(is_word);
                    // A display name that reads as an address is how one sender is shown as another.
                    if self.rest.starts_with('@') {
                        return Err(self.unexpected());
                    }
                }
                _ => return Ok(Phrase::Words { any }),
            }
            any = true;
        }
    }

    /// `local-part "@" domain` if that is what comes next; `None`, and nothing taken, if it is not.
    fn addr_spec(&mut self) -> Result<Option<&'t str>, AddressError> {
        let start = self.rest;
        if start.starts_with('"') {
            self.quoted()?;
        } else {
            self.rest = start.trim_start_matches(is_word);
        }
        if self.rest.len() == start.len() || !self.eat('@') {
            self.rest = start;
            return Ok(None);
        }
        if self.rest.starts_with('[') {
            let shown = shorten(start);
            return Err(AddressError::Mailbox(shown, MailboxError::Literal));
        }
        self.rest = self.rest.trim_start_matches(is_word);
        let len = start.len() - self.rest.len();
        Ok(start.get(..len))
    }

    /// A quoted string (RFC 5322 §3.2.4).
    fn quoted(&mut self) -> Result<&'t str, AddressError> {
        let start = self.rest;
        let mut chars = start.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                '"' => {
                    let (quoted, rest) =
                        start.split_at_checked(at + 1).ok_or(AddressError::Unclosed)?;
                    self.rest = rest;
                    return Ok(quoted);
                }
                _ => {}
            }
        }
        Err(AddressError::Unclosed)
    }

    /// Spaces and comments (RFC 5322 §3.2.2).
    fn skip_cfws(&mut self) -> Result<(), AddressError> {
        loop {
            self.skip_spaces();
            if !self.rest.starts_with('(') {
                return Ok(());
            }
            self.comment()?;
        }
    }

    fn comment(&mut self) -> Result<(), AddressError> {
        let mut depth = 0;
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                '(' if depth == COMMENT_DEPTH_MAX => return Err(AddressError::Unclosed),
                '(' => depth += 1,
                ')' if depth == 1 => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(());
                }
                ')' => depth -= 1,
                _ => {}
            }
        }
        Err(AddressError::Unclosed)
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn eat(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, c: char) -> Result<(), AddressError> {
        if self.eat(c) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn take(&mut self, address: &str) -> Result<(), AddressError> {
        if self.found.len() == ADDRESSES_MAX {
            return Err(AddressError::Many);
        }
        let mailbox = Mailbox::parse(address)
            .map_err(|error| AddressError::Mailbox(shorten(address), error))?;
        self.found.push(mailbox);
        Ok(())
    }

    fn unexpected(&self) -> AddressError {
        AddressError::Unexpected(shorten(self.rest))
    }
}

/// `atext` and dots (RFC 5322 §3.2.3, §4.1 for dots in a phrase), and all letters beyond ASCII (RFC 6532 §3.2).
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

/// Enough of a text to find it again.
fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressError::NotUtf8 => f.write_str("it is not UTF-8"),
            AddressError::Control => f.write_str("it holds a control character"),
            AddressError::Missing => f.write_str("an address is missing"),
            AddressError::Unclosed => {
                f.write_str("a quote, comment, group or bracket does not end")
            }
            AddressError::Unexpected(rest) => {
                write!(f, "{rest:?} cannot stand there, put display names in quotes")
            }
            AddressError::Mailbox(text, error) => write!(f, "{text:?}: {error}"),
            AddressError::Many => write!(f, "it holds more than {ADDRESSES_MAX} addresses"),
        }
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(value: &str, want: &[&str]) {
        let got = parse_list(value.as_bytes());
        let got = got.as_ref().map(|list| list.iter().map(Mailbox::as_str).collect::<Vec<_>>());
        assert_eq!(got, Ok(want.to_vec()), "for {value:?}");
    }

    #[track_caller]
    fn refuse(value: &str) {
        let got = parse_list(value.as_bytes());
        assert!(got.is_err(), "{value:?} was read as {got:?}");
    }

    #[test]
    fn every_form_that_mailers_write_is_read() {
        check("ann@example.org", &["ann@example.org"]);
        check(" Ann Smith <ann@example.org>\r\n", &["ann@example.org"]);
        check("<ann@example.org>", &["ann@example.org"]);
        check("\"Smith, Ann (\\\"A\\\")\" <ann@Example.ORG>", &["ann@example.org"]);
        check("Ann Q. Smith\r\n <ann@example.org>", &["ann@example.org"]);
        check("=?utf-8?q?J=C3=BCrgen?= <j@example.org>", &["j@example.org"]);
        check(
            "=?utf-8?B?SsO8cmdlbg==?=\r\n =?utf-8?B?SsO8cmdlbg==?= <j@example.org>",
            &["j@example.org"],
        );
        check("ann@example.org (Ann Smith)", &["ann@example.org"]);
        check("(a (b) \\) c) Ann (d) <ann@example.org> (e)", &["ann@example.org"]);
        check("ann@example.org, Bob <bob@example.net>", &["ann@example.org", "bob@example.net"]);
        check("\"a@b\" <ann@example.org>", &["ann@example.org"]);
        check("\"ann smith\"@example.org", &["\"ann smith\"@example.org"]);
        check("Jürgen <jürgen@bücher.example>", &["jürgen@xn--bcher-kva.example"]);
        check("< ann@example.org >", &["ann@example.org"]);
    }

    #[test]
    fn groups_are_opened_up() {
        check(
            "team: ann@example.org, Bob <bob@example.net>;",
            &["ann@example.org", "bob@example.net"],
        );
        check("undisclosed-recipients:;", &[]);
        check("undisclosed-recipients: ;, ann@example.org", &["ann@example.org"]);
        check("\"the team\": ann@example.org ;", &["ann@example.org"]);
    }

    #[test]
    fn what_could_be_read_as_another_address_is_refused() {
        refuse("");
        refuse(" ");
        refuse("Ann Smith");
        refuse("ann@example.org <evil@example.net>");
        refuse("Ann ann@example.org <evil@example.net>");
        refuse("<ann@example.org> <evil@example.net>");
        refuse("<ann@example.org> evil@example.net");
        refuse("ann@example.org evil@example.net");
        refuse("ann@example.org@example.net");
        refuse("<ann@example.org");
        refuse("<ann@example.org>>");
        refuse("<@relay.example,@b.example:ann@example.org>");
        refuse("<ann(comment)@example.org>");
        refuse("ann @ example.org");
        refuse("Smith, Ann <ann@example.org>");
        refuse("ann@example.org,");
        refuse("ann@example.org,,bob@example.org");
        refuse("ann@example.org; bob@example.org");
        refuse("ann@[192.0.2.1]");
        refuse("<>");
        refuse("Ann <>");
        refuse("\"Ann <ann@example.org>");
        refuse("(Ann <ann@example.org>");
        refuse("a: b: ann@example.org;;");
        refuse("team: ann@example.org");
        refuse("ann@example.org\0");
        refuse("ann@exa\rmple.org");
        refuse("ann\x1b@example.org");
    }

    #[test]
    fn octets_that_are_no_utf8_are_refused() {
        assert_eq!(parse_list(b"J\xfcrgen <j@example.org>"), Err(AddressError::NotUtf8));
    }

    #[test]
    fn depth_and_number_have_limits() {
        refuse(&format!("{}{} ann@example.org", "(".repeat(17), ")".repeat(17)));
        check(
            &format!("{}{} ann@example.org", "(".repeat(16), ")".repeat(16)),
            &["ann@example.org"],
        );
        let many = vec!["a@example.org"; ADDRESSES_MAX + 1].join(", ");
        assert_eq!(parse_list(many.as_bytes()), Err(AddressError::Many));
    }

    proptest! {
        #[test]
        fn a_mailbox_written_with_any_display_name_is_read_back(name in "[ -~äöü]{0,20}", local in "[a-z]{1,8}") {
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            let value = format!("\"{quoted}\" <{local}@example.org>");
            let want = vec![Mailbox::parse(&format!("{local}@example.org")).unwrap()];
            prop_assert_eq!(parse_list(value.as_bytes()), Ok(want));
        }

        #[test]
        fn no_value_makes_the_reader_panic(value in "[a-c@<>:;,\"()\\\\. \\r\\n\\tü\\[\\]]{0,40}") {
            let _ = parse_list(value.as_bytes());
        }
    }
}
