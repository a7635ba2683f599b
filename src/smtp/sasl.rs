//! AUTH PLAIN (RFC 4616) and AUTH LOGIN: from base64 to a name and a password. Decides nothing about either.

use std::fmt;

use data_encoding::BASE64;

use crate::telemetry::Secret;

/// What a client logs in with.
#[derive(Clone)]
pub struct Login {
    /// The name, at most [`NAME_OCTETS_MAX`] octets without control characters.
    pub user: String,
    /// The password, never printed.
    pub password: Secret,
}

/// Octets of a name or a password (RFC 4616 §2).
pub const NAME_OCTETS_MAX: usize = 255;

/// Where an exchange stands: what the client's next line means.
#[derive(Debug, PartialEq, Eq)]
pub enum Exchange {
    /// PLAIN's one response.
    Plain,
    /// LOGIN's name.
    LoginUser,
    /// LOGIN's password.
    LoginPassword {
        /// The name that came before.
        user: String,
    },
}

/// What follows a step.
#[derive(Debug)]
pub enum Step {
    /// Ask for the next line with this challenge, in base64.
    Challenge(&'static str, Exchange),
    /// Everything is known.
    Done(Login),
}

/// Why an exchange ends without a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslError {
    /// A mechanism that is not offered.
    Mechanism,
    /// Not base64.
    Encoding,
    /// Base64 of something that the mechanism does not say, or too long.
    Shape,
    /// The client sent `*` (RFC 4954 §4).
    Cancelled,
}

/// `Username:` and `Password:`, which LOGIN's clients wait for.
const ASK_USER: &str = "VXNlcm5hbWU6";
const ASK_PASSWORD: &str = "UGFzc3dvcmQ6";

/// The AUTH command.
pub fn begin(mechanism: &str, initial: Option<&str>) -> Result<Step, SaslError> {
    let (challenge, exchange) = if mechanism.eq_ignore_ascii_case("PLAIN") {
        ("", Exchange::Plain)
    } else if mechanism.eq_ignore_ascii_case("LOGIN") {
        (ASK_USER, Exchange::LoginUser)
    } else {
        return Err(SaslError::Mechanism);
    };
    match initial {
        None => Ok(Step::Challenge(challenge, exchange)),
        // RFC 4954 §4: a single "=" is a response of no octets.
        Some("=") => exchange.answer(""),
        Some(initial) => exchange.answer(initial),
    }
}

impl Exchange {
    /// The client's next line.
    pub fn answer(self, line: &str) -> Result<Step, SaslError> {
        if line == "*" {
            return Err(SaslError::Cancelled);
        }
        let octets = BASE64.decode(line.as_bytes()).map_err(|_| SaslError::Encoding)?;
        match self {
            Exchange::Plain => plain(&octets),
            Exchange::LoginUser => {
                let user = name(&octets)?;
                Ok(Step::Challenge(ASK_PASSWORD, Exchange::LoginPassword { user }))
            }
            Exchange::LoginPassword { user } => login(user, &octets),
        }
    }
}

/// RFC 4616 §2: `[authzid] NUL authcid NUL passwd`. Nobody acts for another, so the first is empty or the second.
fn plain(octets: &[u8]) -> Result<Step, SaslError> {
    let mut parts = octets.split(|octet| *octet == 0);
    let (Some(for_whom), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Shape);
    };
    if !for_whom.is_empty() && for_whom != user {
        return Err(SaslError::Shape);
    }
    login(name(user)?, password)
}

fn name(octets: &[u8]) -> Result<String, SaslError> {
    let text = std::str::from_utf8(octets).map_err(|_| SaslError::Shape)?;
    let good = (1..=NAME_OCTETS_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(SaslError::Shape) }
}

fn login(user: String, password: &[u8]) -> Result<Step, SaslError> {
    if password.is_empty() || password.len() > NAME_OCTETS_MAX {
        return Err(SaslError::Shape);
    }
    Ok(Step::Done(Login { user, password: Secret::new(password) }))
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mechanism: &str, lines: &[&str], want: Result<(&str, &str), SaslError>) {
        let mut lines = lines.iter();
        let initial = lines.next().copied().filter(|line| !line.is_empty());
        let mut step = begin(mechanism, initial);
        loop {
            match step {
                Ok(Step::Challenge(_, exchange)) => {
                    step = exchange.answer(lines.next().expect("another line is asked for"));
                }
                Ok(Step::Done(login)) => {
                    assert_eq!(
                        Ok((login.user.as_str(), login.password.reveal())),
                        want.map(|w| (w.0, w.1.as_bytes()))
                    );
                    return;
                }
                Err(error) => {
                    assert_eq!(Err(error), want);
                    return;
                }
            }
        }
    }

    #[test]
    fn plain_and_login_say_who_it_is() {
        let ann = Ok(("ann", "pass word"));
        check("PLAIN", &["AGFubgBwYXNzIHdvcmQ="], ann);
        check("plain", &["", "AGFubgBwYXNzIHdvcmQ="], ann);
        check("PLAIN", &["YW5uAGFubgBwYXNzIHdvcmQ="], ann);
        check("LOGIN", &["", "YW5u", "cGFzcyB3b3Jk"], ann);
        check("LOGIN", &["YW5u", "cGFzcyB3b3Jk"], ann);
    }

    #[test]
    fn an_exchange_ends_with_the_reason() {
        check("CRAM-MD5", &[""], Err(SaslError::Mechanism));
        check("PLAIN", &["", "*"], Err(SaslError::Cancelled));
        check("LOGIN", &["", "YW5u", "*"], Err(SaslError::Cancelled));
        check("PLAIN", &["???"], Err(SaslError::Encoding));
        check("PLAIN", &["="], Err(SaslError::Shape));
        check("PLAIN", &["YW5u"], Err(SaslError::Shape));
        // Bob asks to act for Ann.
        check("PLAIN", &["YW5uAGJvYgBwYXNz"], Err(SaslError::Shape));
        check("PLAIN", &["AGFubgA="], Err(SaslError::Shape));
        check("LOGIN", &["", ""], Err(SaslError::Shape));
        let long = BASE64.encode(&[b'a'; 256]);
        check("LOGIN", &[&long], Err(SaslError::Shape));
    }

    #[test]
    fn a_password_is_never_printed() {
        let step = begin("PLAIN", Some("AGFubgBwYXNzIHdvcmQ=")).unwrap();
        assert!(!format!("{step:?}").contains("pass"));
    }
}
