//! EHLO, STARTTLS and AUTH: from a stranger to an account.

use crate::mail::Reply;

use super::super::limits::AUTH_OCTETS_MAX;
use super::super::reply::{self, Offer};
use super::super::sasl::{self, SaslError, Step};
use super::state::State;
use super::{Action, Channel, Hello, Session, say};

impl<A> Session<A> {
    /// EHLO and HELO; they end a transaction (RFC 5321 §4.1.4).
    pub(super) fn greeted(
        &mut self,
        name: &str,
        extended: bool,
        out: &mut Vec<u8>,
    ) -> Option<Action> {
        if !self.count_idle(out) {
            return None;
        }
        let dropped = self.reset();
        self.hello = Some(Hello { name: name.to_owned(), extended });
        if let State::Connected = self.state {
            self.state = State::Greeted;
        }
        if extended {
            reply::ehlo(out, &self.offer());
        } else {
            reply::line(out, format_args!("250 "), self.profile.host.as_str());
        }
        dropped
    }

    fn offer(&self) -> Offer<'_> {
        Offer {
            host: self.profile.host.as_str(),
            limits: &self.profile.limits,
            start_tls: self.channel == Channel::PlainWithStartTls,
            auth: self.channel == Channel::Tls && self.account().is_none(),
            now_ms: self.profile.clock.now_ms(),
        }
    }

    /// RFC 3207 §4. What follows the command in the same read came over plain text and would be taken for what came over
    /// TLS: nobody sends that in good faith.
    pub(super) fn start_tls(&mut self, more: bool, out: &mut Vec<u8>) -> Option<Action> {
        match self.channel {
            _ if more => self.end(reply::OUT_OF_SYNC, out),
            Channel::Tls => self.wrong(reply::TLS_TWICE, out),
            Channel::Plain => self.wrong(reply::TLS_ABSENT, out),
            Channel::PlainWithStartTls if self.hello.is_none() => {
                self.wrong(reply::HELLO_FIRST, out)
            }
            Channel::PlainWithStartTls if self.in_transaction() => {
                self.wrong(reply::TLS_IN_TRANSACTION, out)
            }
            Channel::PlainWithStartTls => {
                self.state = State::Closed;
                say(reply::START_TLS, out);
                Some(Action::StartTls)
            }
        }
    }

    /// RFC 4954 §4.
    pub(super) fn auth(
        &mut self,
        mechanism: &str,
        initial: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Option<Action> {
        if self.hello.is_none() {
            return self.wrong(reply::HELLO_FIRST, out);
        }
        if self.account().is_some() {
            return self.wrong(reply::AUTH_TWICE, out);
        }
        match self.channel {
            Channel::Tls => self.sasl_step(sasl::begin(mechanism, initial), out),
            Channel::PlainWithStartTls => self.wrong(reply::AUTH_NEEDS_TLS, out),
            Channel::Plain => self.wrong(reply::AUTH_ABSENT, out),
        }
    }

    /// A line within AUTH.
    pub(super) fn exchange(&mut self, line: &str, out: &mut Vec<u8>) -> Option<Action> {
        let State::Exchange(exchange) = std::mem::replace(&mut self.state, State::Greeted) else {
            return None;
        };
        if line.len() + 2 > AUTH_OCTETS_MAX {
            return self.wrong(reply::AUTH_LINE_TOO_LONG, out);
        }
        self.sasl_step(exchange.answer(line), out)
    }

    fn sasl_step(&mut self, step: Result<Step, SaslError>, out: &mut Vec<u8>) -> Option<Action> {
        match step {
            Ok(Step::Challenge(challenge, exchange)) => {
                self.state = State::Exchange(exchange);
                reply::line(out, format_args!("334 "), challenge);
                None
            }
            Ok(Step::Done(login)) => {
                self.state = State::CheckingLogin;
                Some(Action::Authenticate(login))
            }
            Err(SaslError::Shape) => {
                say(reply::of_sasl_error(SaslError::Shape), out);
                self.login_failed(out)
            }
            Err(error) => self.wrong(reply::of_sasl_error(error), out),
        }
    }

    /// What became of [`Action::Authenticate`].
    pub fn authenticated(&mut self, verdict: Result<A, Reply>, out: &mut Vec<u8>) {
        if !matches!(self.state, State::CheckingLogin) {
            return;
        }
        match verdict {
            Ok(account) => {
                self.logged_in = true;
                self.state = State::Ready { account };
                say(reply::AUTHENTICATED, out);
            }
            Err(said) => {
                self.state = State::Greeted;
                self.refuse(&said, out);
                self.login_failed(out);
            }
        }
    }

    fn login_failed(&mut self, out: &mut Vec<u8>) -> Option<Action> {
        self.counts.auth_failures += 1;
        if self.counts.auth_failures >= self.profile.limits.auth_failures_max {
            return self.end(reply::TOO_MANY_LOGINS, out);
        }
        None
    }
}
