//! The session: which command may come when, and what follows from it (RFC 5321 §4.1.4). A pure state machine.
//!
//! [`Session::next`] reads what the buffer holds and writes replies until it needs the outside, which it says as an
//! [`Action`]. It never accepts mail itself: the 250 after a message is written by [`Session::accepted`] alone.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a command asks for one state; all others are its absence"
)]

mod envelope;
mod hello;
mod receive;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};

use crate::clock::Clock;
use crate::mail::{Domain, Envelope, Mailbox, Reply, ReversePath};

use super::command::{Command, CommandError};
use super::limits::Limits;
use super::line::{LineError, LineReader, as_text};
use super::reply;
use super::sasl::Login;
use state::State;

/// What all sessions of a listener share.
pub struct Profile {
    /// Our name in the greeting and in EHLO's answer.
    pub host: Domain,
    /// The bounds of a session.
    pub limits: Limits,
    /// What time it is, for HOLDFOR and HOLDUNTIL.
    pub clock: Arc<dyn Clock>,
}

/// What carries the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Plain text, for ever.
    Plain,
    /// Plain text until the client asks for TLS.
    PlainWithStartTls,
    /// TLS: the only channel over which AUTH is offered (RFC 4954 §4).
    Tls,
}

/// What the listener must do before it calls [`Session::next`] again.
#[derive(Debug)]
pub enum Action {
    /// Write the output, then read more into the buffer.
    Read,
    /// Write the output, shake hands, and go on with a new session and an empty buffer (RFC 3207 §4.2).
    StartTls,
    /// Check the login, then call [`Session::authenticated`].
    Authenticate(Login),
    /// MAIL came: ask whether it may, then call [`Session::mail_checked`].
    Mail {
        /// Its path.
        from: ReversePath,
        /// What SIZE= said.
        size: Option<u64>,
    },
    /// RCPT came with a mailbox that is new to the envelope ([`Session::envelope`]): ask whether it may, then call
    /// [`Session::recipient_checked`].
    Recipient(Mailbox),
    /// A message is about to come: make a place for it, then call [`Session::begun`].
    Begin {
        /// Its envelope, with at least one recipient.
        envelope: Envelope,
        /// What SIZE= said.
        size: Option<u64>,
    },
    /// This many octets at the head of the buffer are of the message: keep them, then take them from the buffer.
    Data(usize),
    /// The message lacks the CRLF of its last line: add it.
    EndLine,
    /// The message that came so far will not be accepted: forget it. Its refusal is written when it has ended.
    Abandon,
    /// The message is whole: make it durable, then call [`Session::accepted`].
    Accept,
    /// Write the output, then close the connection.
    Close,
}

/// What the session waits for, so that the listener knows which deadline holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A command, and no mail is on its way: the session may be closed without harm.
    Idle,
    /// A command within a transaction.
    Transaction,
    /// Octets of a message.
    Message,
}

/// One session on one channel; `A` is what an authenticated client is known as.
pub struct Session<A> {
    profile: Arc<Profile>,
    channel: Channel,
    lines: LineReader,
    state: State<A>,
    hello: Option<Hello>,
    counts: Counts,
    /// The account was earned by AUTH, not by the client's address.
    logged_in: bool,
    /// The rest of a chunk that nobody asked for, and what is said when it is over.
    skipping: Option<(u64, &'static str)>,
}

/// How the client introduced itself.
struct Hello {
    name: String,
    extended: bool,
}

/// What counts towards the limits of a session.
#[derive(Default)]
struct Counts {
    commands: u64,
    /// [`Counts::commands`] when the last message was accepted.
    commands_at_mail: u64,
    idle_commands: u32,
    errors: u32,
    auth_failures: u32,
}

impl<A> Session<A> {
    /// A session whose client has yet to authenticate.
    pub fn new(profile: Arc<Profile>, channel: Channel) -> Session<A> {
        Session::with_state(profile, channel, State::Connected)
    }

    /// A session whose client is known by its address.
    pub fn trusted(profile: Arc<Profile>, channel: Channel, account: A) -> Session<A> {
        Session::with_state(profile, channel, State::Ready { account })
    }

    fn with_state(profile: Arc<Profile>, channel: Channel, state: State<A>) -> Session<A> {
        Session {
            profile,
            channel,
            lines: LineReader::default(),
            state,
            hello: None,
            counts: Counts::default(),
            logged_in: false,
            skipping: None,
        }
    }

    /// Writes the greeting (RFC 5321 §4.3.1); not after STARTTLS.
    pub fn greet(&self, out: &mut Vec<u8>) {
        reply::line(out, format_args!("220 "), &format!("{} ESMTP Postrider", self.profile.host));
    }

    /// Goes on with what `input` holds; replies go to `out`.
    pub fn next(&mut self, input: &mut BytesMut, out: &mut Vec<u8>) -> Action {
        loop {
            let step = match &self.state {
                // Whoever does not answer a question may not go on.
                state if state.waits_for_answer() => Some(Action::Close),
                State::Closed => Some(Action::Close),
                State::Text { .. } => self.read_text(input, out),
                State::Chunk { .. } => self.read_chunk(input, out),
                _ if self.skipping.is_some() => self.skip(input, out),
                _ => self.read_line(input, out),
            };
            if let Some(action) = step {
                return action;
            }
        }
    }

    /// The account, once there is one.
    pub fn account(&self) -> Option<&A> {
        self.state.account()
    }

    /// What the client called itself in EHLO or HELO: printable ASCII, at most 255 octets.
    pub fn hello(&self) -> &str {
        self.hello.as_ref().map_or("", |hello| &hello.name)
    }

    /// How the message comes, in the words of RFC 3848 and RFC 6531 §4.3.
    pub fn protocol(&self) -> &'static str {
        let extended = self.hello.as_ref().is_some_and(|hello| hello.extended);
        let utf8 = self.envelope().is_some_and(|envelope| envelope.utf8);
        match (extended, utf8, self.channel == Channel::Tls, self.logged_in) {
            (false, ..) => "SMTP",
            (true, false, false, _) => "ESMTP",
            (true, false, true, false) => "ESMTPS",
            (true, false, true, true) => "ESMTPSA",
            (true, true, false, _) => "UTF8SMTP",
            (true, true, true, false) => "UTF8SMTPS",
            (true, true, true, true) => "UTF8SMTPSA",
        }
    }

    /// The envelope of the open transaction.
    pub fn envelope(&self) -> Option<&Envelope> {
        self.state.envelope()
    }

    /// What it waits for.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Text { .. } | State::Chunk { .. } => Phase::Message,
            _ if self.skipping.is_some() => Phase::Message,
            State::Open { .. } | State::Chunks { .. } | State::CheckingRecipient { .. } => {
                Phase::Transaction
            }
            _ => Phase::Idle,
        }
    }

    /// Commands so far: when this grows, the client has finished a command.
    pub fn commands(&self) -> u64 {
        self.counts.commands
    }

    /// Ends the session with a reply of the listener's, such as 421 at shutdown (RFC 5321 §3.8).
    pub fn close(&mut self, said: &Reply, out: &mut Vec<u8>) {
        reply::refusal(out, said);
        self.state = State::Closed;
    }

    fn read_line(&mut self, input: &mut BytesMut, out: &mut Vec<u8>) -> Option<Action> {
        let Some(line) = self.lines.next(input) else {
            return Some(Action::Read);
        };
        self.counts.commands += 1;
        if self.counts.commands - self.counts.commands_at_mail > self.profile.limits.commands_max {
            return self.end(reply::TOO_MANY_IDLE_COMMANDS, out);
        }
        let more = input.len() > line.whole;
        let text = line
            .text
            .and_then(|octets| input.get(..octets).ok_or(LineError::Octets))
            .and_then(as_text);
        let action = match (&self.state, text) {
            (_, Err(error)) => self.refuse_line(error, out),
            (State::Exchange(_), Ok(text)) => self.exchange(text, out),
            (_, Ok(text)) => self.command(text, more, out),
        };
        input.advance(line.whole);
        action
    }

    /// The table of commands. `more` says that octets follow the command already.
    fn command(&mut self, line: &str, more: bool, out: &mut Vec<u8>) -> Option<Action> {
        match Command::parse(line) {
            Ok(Command::Rcpt(path, parameters)) => self.rcpt(path, parameters, out),
            Ok(Command::Mail(path, parameters)) => self.mail(path, parameters, out),
            Ok(Command::Data) => self.data(more, out),
            Ok(Command::Bdat(octets, last)) => self.bdat(octets, last, out),
            Ok(Command::Ehlo(name)) => self.greeted(name, true, out),
            Ok(Command::Helo(name)) => self.greeted(name, false, out),
            Ok(Command::Auth(mechanism, initial)) => self.auth(mechanism, initial, out),
            Ok(Command::StartTls) => self.start_tls(more, out),
            Ok(Command::Rset) => self.rset(out),
            Ok(Command::Noop) => self.idle(reply::OK, out),
            Ok(Command::Vrfy) => self.idle(reply::VERIFY, out),
            Ok(Command::Expn) => self.idle(reply::NOT_IMPLEMENTED, out),
            Ok(Command::Help) => self.idle(reply::HELP, out),
            Ok(Command::Quit) => self.end(reply::BYE, out),
            Ok(Command::Http) => self.end("", out),
            Err(CommandError::Chunk) => self.end(reply::of_command_error(CommandError::Chunk), out),
            Err(error) => self.refuse_command(line, error, out),
        }
    }

    /// Answers a command that brings no mail nearer.
    fn idle(&mut self, text: &str, out: &mut Vec<u8>) -> Option<Action> {
        if self.count_idle(out) { say(text, out) } else { None }
    }

    /// Counts such a command; `false` when the session ended by it.
    fn count_idle(&mut self, out: &mut Vec<u8>) -> bool {
        self.counts.idle_commands += 1;
        let fine = self.counts.idle_commands <= self.profile.limits.idle_commands_max;
        if !fine {
            self.end(reply::TOO_MANY_IDLE_COMMANDS, out);
        }
        fine
    }

    /// Answers a command that must not come, or not like this.
    fn wrong(&mut self, text: &str, out: &mut Vec<u8>) -> Option<Action> {
        self.counts.errors += 1;
        if self.counts.errors > self.profile.limits.errors_max {
            return self.end(reply::TOO_MANY_ERRORS, out);
        }
        say(text, out)
    }

    fn refuse_line(&mut self, error: LineError, out: &mut Vec<u8>) -> Option<Action> {
        if let State::Exchange(_) = self.state {
            self.state = State::Greeted;
        }
        self.wrong(reply::of_line_error(error), out)
    }

    fn refuse_command(
        &mut self,
        line: &str,
        error: CommandError,
        out: &mut Vec<u8>,
    ) -> Option<Action> {
        let is_recipient = line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case("RCPT"));
        if is_recipient && self.account().is_some() {
            return say(reply::of_command_error(error), out);
        }
        self.wrong(reply::of_command_error(error), out)
    }

    /// Between MAIL and the end of its message.
    fn in_transaction(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Chunks { .. })
    }

    /// Ends the transaction, if there is one; says whether the listener holds a part of its message.
    fn reset(&mut self) -> Option<Action> {
        if !self.in_transaction() {
            return None;
        }
        let state = std::mem::replace(&mut self.state, State::Closed);
        let holds_message = matches!(state, State::Chunks { .. });
        if let Some(account) = state.into_account() {
            self.state = State::Ready { account };
        }
        holds_message.then_some(Action::Abandon)
    }

    fn end(&mut self, text: &str, out: &mut Vec<u8>) -> Option<Action> {
        self.state = State::Closed;
        say(text, out)
    }

    /// Writes a refusal of the outside; 421 ends the session (RFC 5321 §4.2.2).
    fn refuse(&mut self, said: &Reply, out: &mut Vec<u8>) {
        reply::refusal(out, said);
        if said.code == 421 {
            self.state = State::Closed;
        }
    }
}

/// Writes a reply; the session goes on by itself.
fn say(text: &str, out: &mut Vec<u8>) -> Option<Action> {
    out.extend_from_slice(text.as_bytes());
    None
}

impl<A> fmt::Debug for Session<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("state", &self.state.name()).finish_non_exhaustive()
    }
}
