//! MAIL, RCPT and RSET: the envelope, one checked part after the other.

use std::time::Duration;

use crate::mail::{Envelope, Notify, Recipient, Reply};

use super::super::parameters::{Hold, MailParameters, RcptParameters};
use super::super::{path, reply};
use super::state::{State, Transaction};
use super::{Action, Channel, Session, say};

impl<A> Session<A> {
    /// RFC 5321 §4.1.1.2.
    pub(super) fn mail(
        &mut self,
        text: &str,
        parameters: MailParameters,
        out: &mut Vec<u8>,
    ) -> Option<Action> {
        if let Some(refusal) = self.before_mail() {
            return self.wrong(refusal, out);
        }
        let transaction = match self.transaction(text, parameters) {
            Ok(transaction) => transaction,
            Err(refusal) => return self.wrong(refusal, out),
        };
        let State::Ready { account } = std::mem::replace(&mut self.state, State::Closed) else {
            return None;
        };
        let (from, size) = (transaction.envelope.from.clone(), transaction.size);
        self.state = State::CheckingMail { account, transaction };
        Some(Action::Mail { from, size })
    }

    /// Why MAIL may not come now.
    fn before_mail(&self) -> Option<&'static str> {
        match &self.state {
            State::Ready { .. } if self.hello.is_some() => None,
            State::Chunks { .. } => Some(reply::CHUNKS_OPEN),
            State::Open { .. } => Some(reply::NESTED_MAIL),
            _ => Some(self.what_is_missing()),
        }
    }

    /// The next step of a client that may not send mail yet.
    pub(super) fn what_is_missing(&self) -> &'static str {
        match self.channel {
            _ if self.hello.is_none() => reply::HELLO_FIRST,
            _ if self.account().is_some() => reply::MAIL_FIRST,
            Channel::PlainWithStartTls => reply::TLS_REQUIRED,
            Channel::Plain | Channel::Tls => reply::AUTH_REQUIRED,
        }
    }

    fn transaction(
        &self,
        text: &str,
        parameters: MailParameters,
    ) -> Result<Transaction, &'static str> {
        if !text.is_ascii() && !parameters.utf8 {
            return Err(reply::UTF8_SENDER);
        }
        if parameters.size.is_some_and(|size| size > self.profile.limits.message_bytes_max) {
            return Err(reply::SIZE_EXCEEDED);
        }
        let envelope = Envelope {
            from: path::reverse(text).map_err(reply::of_reverse_path)?,
            recipients: Vec::new(),
            ret: parameters.ret,
            envid: parameters.envid,
            body: parameters.body.unwrap_or_default(),
            utf8: parameters.utf8,
            hold_until_ms: self.hold_until(parameters.hold)?,
        };
        Ok(Transaction::new(envelope, parameters.size))
    }

    /// RFC 4865 §5: a time that has passed holds nothing; one too far ahead is refused.
    fn hold_until(&self, hold: Option<Hold>) -> Result<Option<u64>, &'static str> {
        let now_ms = self.profile.clock.now_ms();
        let until_ms = match hold {
            None => return Ok(None),
            Some(Hold::ForSeconds(seconds)) => now_ms.saturating_add(u64::from(seconds) * 1000),
            Some(Hold::UntilMs(until_ms)) => until_ms,
        };
        let ahead = Duration::from_millis(until_ms.saturating_sub(now_ms));
        if ahead > self.profile.limits.hold_max {
            return Err(reply::HOLD_TOO_LONG);
        }
        Ok((!ahead.is_zero()).then_some(until_ms))
    }

    /// What became of [`Action::Mail`].
    pub fn mail_checked(&mut self, verdict: Result<(), Reply>, out: &mut Vec<u8>) {
        match (std::mem::replace(&mut self.state, State::Closed), verdict) {
            (State::CheckingMail { account, transaction }, Ok(())) => {
                self.state = State::Open { account, transaction };
                say(reply::SENDER_OK, out);
            }
            (State::CheckingMail { account, .. }, Err(said)) => {
                self.state = State::Ready { account };
                self.refuse(&said, out);
            }
            (other, _) => self.state = other,
        }
    }

    /// RFC 5321 §4.1.1.3.
    pub(super) fn rcpt(
        &mut self,
        text: &str,
        parameters: RcptParameters,
        out: &mut Vec<u8>,
    ) -> Option<Action> {
        let State::Open { transaction, .. } = &self.state else {
            let refusal = match &self.state {
                State::Chunks { .. } => reply::CHUNKS_OPEN,
                _ => self.what_is_missing(),
            };
            return self.wrong(refusal, out);
        };
        let recipient = match self.recipient(transaction, text, parameters) {
            Ok(recipient) => recipient,
            Err(refusal) => return say(refusal, out),
        };
        if transaction.holds(&recipient.mailbox) {
            return say(reply::RECIPIENT_OK, out);
        }
        if let Some(refusal) = self.before_recipient(transaction) {
            return say(refusal, out);
        }
        let State::Open { account, transaction } =
            std::mem::replace(&mut self.state, State::Closed)
        else {
            return None;
        };
        let mailbox = recipient.mailbox.clone();
        self.state = State::CheckingRecipient { account, transaction, recipient };
        Some(Action::Recipient(mailbox))
    }

    fn recipient(
        &self,
        transaction: &Transaction,
        text: &str,
        parameters: RcptParameters,
    ) -> Result<Recipient, &'static str> {
        if !text.is_ascii() && !transaction.envelope.utf8 {
            return Err(reply::UTF8_RECIPIENT);
        }
        Ok(Recipient {
            mailbox: path::forward(text, &self.profile.host).map_err(reply::of_forward_path)?,
            notify: parameters.notify.unwrap_or(Notify::ABSENT),
            original: parameters.original,
        })
    }

    /// Why no more recipients may come.
    fn before_recipient(&self, transaction: &Transaction) -> Option<&'static str> {
        let limits = &self.profile.limits;
        let count = transaction.envelope.recipients.len() as u64 + 1;
        if count > u64::from(limits.recipients_max) {
            // RFC 5321 §4.5.3.1.10: those that came before stay.
            return Some(reply::TOO_MANY_RECIPIENTS);
        }
        let copies = count.saturating_mul(transaction.size.unwrap_or(0));
        (copies > limits.message_copies_bytes_max).then_some(reply::COPIES_EXCEEDED)
    }

    /// What became of [`Action::Recipient`].
    pub fn recipient_checked(&mut self, verdict: Result<(), Reply>, out: &mut Vec<u8>) {
        match (std::mem::replace(&mut self.state, State::Closed), verdict) {
            (State::CheckingRecipient { account, mut transaction, recipient }, Ok(())) => {
                transaction.add(recipient);
                self.state = State::Open { account, transaction };
                say(reply::RECIPIENT_OK, out);
            }
            (State::CheckingRecipient { account, transaction, .. }, Err(said)) => {
                self.state = State::Open { account, transaction };
                self.refuse(&said, out);
            }
            (other, _) => self.state = other,
        }
    }

    /// RFC 5321 §4.1.1.5.
    pub(super) fn rset(&mut self, out: &mut Vec<u8>) -> Option<Action> {
        if !self.in_transaction() && !self.count_idle(out) {
            return None;
        }
        let dropped = self.reset();
        say(reply::OK, out);
        dropped
    }
}
