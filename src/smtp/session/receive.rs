//! DATA and BDAT: the message itself, and the one 250 that makes it ours.

use bytes::{Buf as _, BytesMut};

use crate::mail::{MessageId, Reply};

use super::super::chunk::ChunkReader;
use super::super::data::{DataReader, Piece};
use super::super::reply;
use super::super::text::Fault;
use super::state::{Incoming, Refused, State, Transaction};
use super::{Action, Session, say};

impl<A> Session<A> {
    /// RFC 5321 §4.1.1.4. `more`: the client must wait for 354 (RFC 2920 §3.1), so what came already is neither text nor
    /// a command that may be obeyed.
    pub(super) fn data(&mut self, more: bool, out: &mut Vec<u8>) -> Option<Action> {
        if more {
            return self.end(reply::OUT_OF_SYNC, out);
        }
        match self.before_message() {
            Some(refusal) => self.wrong(refusal, out),
            None => self.begin(None),
        }
    }

    /// RFC 3030 §2. The octets of a chunk follow its command whatever we say, so they are read in any case.
    pub(super) fn bdat(&mut self, octets: u64, last: bool, out: &mut Vec<u8>) -> Option<Action> {
        if octets > self.profile.limits.message_bytes_max {
            return self.end(reply::CHUNK_TOO_LONG, out);
        }
        if let State::Chunks { reader, .. } = &mut self.state {
            reader.begin(octets, last);
            self.enter_chunk();
            return None;
        }
        match self.before_message() {
            // A stranger does not make us read.
            Some(refusal) if self.account().is_none() => self.end(refusal, out),
            Some(refusal) => {
                self.skipping = Some((octets, refusal));
                None
            }
            None => self.begin(Some((octets, last))),
        }
    }

    /// Why no message may come now.
    fn before_message(&self) -> Option<&'static str> {
        match &self.state {
            State::Open { transaction, .. } if transaction.envelope.recipients.is_empty() => {
                Some(reply::NO_RECIPIENT)
            }
            State::Open { .. } => None,
            State::Chunks { .. } => Some(reply::CHUNKS_OPEN),
            _ => Some(self.what_is_missing()),
        }
    }

    /// `chunk` is what BDAT said; nothing after DATA.
    fn begin(&mut self, chunk: Option<(u64, bool)>) -> Option<Action> {
        let State::Open { account, transaction } =
            std::mem::replace(&mut self.state, State::Closed)
        else {
            return None;
        };
        let Transaction { envelope, size, .. } = transaction;
        let incoming = Incoming::new(&envelope);
        let chunk = chunk.map(|(octets, last)| {
            let mut reader = ChunkReader::new(incoming.eight_bit);
            reader.begin(octets, last);
            reader
        });
        self.state = State::Beginning { account, incoming, chunk };
        Some(Action::Begin { envelope, size })
    }

    /// What became of [`Action::Begin`].
    pub fn begun(&mut self, verdict: Result<(), Reply>, out: &mut Vec<u8>) {
        let (account, mut incoming, chunk) = match std::mem::replace(&mut self.state, State::Closed)
        {
            State::Beginning { account, incoming, chunk } => (account, incoming, chunk),
            other => {
                self.state = other;
                return;
            }
        };
        self.state = match (chunk, verdict) {
            (None, Ok(())) => {
                say(reply::GO_AHEAD, out);
                let reader = DataReader::new(incoming.eight_bit);
                State::Text { account, incoming, reader }
            }
            (Some(reader), Ok(())) => State::Chunk { account, incoming, reader },
            (None, Err(said)) => {
                self.state = State::Ready { account };
                return self.refuse(&said, out);
            }
            (Some(reader), Err(said)) => {
                incoming.refuse(Refused::Reply(said));
                State::Chunk { account, incoming, reader }
            }
        };
    }

    /// After 354.
    pub(super) fn read_text(&mut self, input: &mut BytesMut, out: &mut Vec<u8>) -> Option<Action> {
        let State::Text { incoming, reader, .. } = &mut self.state else {
            return None;
        };
        match reader.next(input) {
            Piece::More => Some(Action::Read),
            Piece::Skip(octets) => {
                input.advance(octets);
                None
            }
            Piece::Text(octets) => {
                let over = incoming.grow(octets as u64, &self.profile.limits);
                keep(incoming, octets, over.or(reader.fault().map(reply::of_fault)), input)
            }
            Piece::End(octets) => {
                let fault = reader.fault();
                input.advance(octets);
                self.finish(fault, out)
            }
        }
    }

    /// Within a chunk.
    pub(super) fn read_chunk(&mut self, input: &mut BytesMut, out: &mut Vec<u8>) -> Option<Action> {
        let State::Chunk { incoming, reader, .. } = &mut self.state else {
            return None;
        };
        if reader.left() > 0 {
            if input.is_empty() {
                return Some(Action::Read);
            }
            let octets = reader.next(input);
            let over = incoming.grow(octets as u64, &self.profile.limits);
            return keep(incoming, octets, over.or(reader.fault().map(reply::of_fault)), input);
        }
        if !reader.is_last() && !incoming.is_refused() {
            say(reply::CHUNK_OK, out);
            self.leave_chunk();
            return None;
        }
        if !reader.ends_line() && !incoming.is_refused() && reader.fault().is_none() {
            reader.end_line();
            return Some(Action::EndLine);
        }
        let fault = reader.fault();
        self.finish(fault, out)
    }

    fn enter_chunk(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Chunks { account, incoming, reader } => {
                State::Chunk { account, incoming, reader }
            }
            other => other,
        };
    }

    fn leave_chunk(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Chunk { account, incoming, reader } => {
                State::Chunks { account, incoming, reader }
            }
            other => other,
        };
    }

    /// The message has ended: it is refused, or the listener makes it durable.
    fn finish(&mut self, fault: Option<Fault>, out: &mut Vec<u8>) -> Option<Action> {
        let (account, incoming) = match std::mem::replace(&mut self.state, State::Closed) {
            State::Text { account, incoming, .. } | State::Chunk { account, incoming, .. } => {
                (account, incoming)
            }
            other => {
                self.state = other;
                return None;
            }
        };
        // A fault that shows only at the end was never told to the listener.
        let told = incoming.is_refused();
        let refusal = incoming.into_refusal().or(fault.map(|f| Refused::Text(reply::of_fault(f))));
        let Some(refusal) = refusal else {
            self.state = State::Accepting { account };
            return Some(Action::Accept);
        };
        self.state = State::Ready { account };
        match refusal {
            Refused::Text(text) => drop(say(text, out)),
            Refused::Reply(said) => self.refuse(&said, out),
        }
        (!told).then_some(Action::Abandon)
    }

    /// What became of [`Action::Accept`]: `Ok` only when the disk has the message. From this 250 on it is ours (RFC 5321
    /// §4.2.5).
    pub fn accepted(&mut self, verdict: Result<MessageId, Reply>, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Accepting { account } => self.state = State::Ready { account },
            other => {
                self.state = other;
                return;
            }
        }
        match verdict {
            Ok(id) => {
                self.counts.commands_at_mail = self.counts.commands;
                self.counts.idle_commands = 0;
                self.counts.errors = 0;
                reply::accepted(out, id);
            }
            Err(said) => self.refuse(&said, out),
        }
    }

    /// Throws a chunk away that nobody asked for.
    pub(super) fn skip(&mut self, input: &mut BytesMut, out: &mut Vec<u8>) -> Option<Action> {
        let (left, refusal) = self.skipping.take()?;
        let octets = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        input.advance(octets);
        match left - octets as u64 {
            0 => self.wrong(refusal, out),
            left => {
                self.skipping = Some((left, refusal));
                Some(Action::Read)
            }
        }
    }
}

/// Hands octets to the listener, or throws them away when the message is refused.
fn keep(
    incoming: &mut Incoming,
    octets: usize,
    refusal: Option<&'static str>,
    input: &mut BytesMut,
) -> Option<Action> {
    if incoming.is_refused() {
        input.advance(octets);
        return None;
    }
    let Some(refusal) = refusal else {
        return Some(Action::Data(octets));
    };
    input.advance(octets);
    incoming.refuse(Refused::Text(refusal));
    Some(Action::Abandon)
}
