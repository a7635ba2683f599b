//! A message on its way in, between 354 and the reply to its last octet.

use std::sync::Arc;

use super::body::{Incoming, Received};
use super::decide::Decision;
use super::refusal::Refusal;
use super::{Inner, Sender};
use crate::access::Taken;
use crate::mail::{Envelope, MessageId};
use crate::message::HeadCollector;

/// A message on its way in. Dropping it forgets the message, frees its place and gives its quota back.
#[derive(Debug)]
pub struct Receiving {
    intake: Arc<Inner>,
    sender: Arc<Sender>,
    envelope: Envelope,
    taken: Taken,
    state: State,
    octets: u64,
}

/// How far it has come.
#[derive(Debug)]
enum State {
    /// The header block is coming in.
    Head(HeadCollector, Incoming),
    /// The header block was decided about, the body is coming in.
    Body(Box<Arriving>, Incoming),
    /// Refused: what still comes is dropped.
    Refused(Refusal),
}

/// A header block that was decided about.
#[derive(Debug)]
pub(super) struct Arriving {
    pub(super) head: Vec<u8>,
    pub(super) decision: Decision,
}

/// All of a message, before it is assembled.
pub(super) struct Arrived {
    pub(super) id: MessageId,
    pub(super) head: Vec<u8>,
    pub(super) decision: Decision,
    pub(super) received: Received,
}

impl Receiving {
    pub(super) fn new(
        intake: Arc<Inner>,
        sender: Arc<Sender>,
        envelope: Envelope,
        taken: Taken,
        body: Incoming,
    ) -> Receiving {
        let state = State::Head(HeadCollector::new(), body);
        Receiving { intake, sender, envelope, taken, state, octets: 0 }
    }

    /// The next octets of the message, in pieces of any size: lines that end in CRLF, dot-stuffing undone, without bare CR,
    /// bare LF or NUL. A message that is already refused is dropped as it comes, so the caller reads on to its end and hears
    /// the refusal from [`super::Intake::accept`].
    ///
    /// Not cancellation-safe: a caller that drops the future drops the message.
    pub async fn push(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        // While it is away, the state is one that accepts nothing.
        let state = std::mem::replace(&mut self.state, State::Refused(Refusal::StoreFailed));
        self.state = match self.take(state, octets).await {
            Ok(state) => state,
            Err(refusal) => State::Refused(refusal),
        };
    }

    /// Whether it is refused already: a caller that need not read on (BDAT) may answer at once.
    pub fn refused(&self) -> Option<&Refusal> {
        match &self.state {
            State::Refused(refusal) => Some(refusal),
            State::Head(..) | State::Body(..) => None,
        }
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.octets
    }

    /// Whether nothing came yet.
    pub fn is_empty(&self) -> bool {
        self.octets == 0
    }

    async fn take(&self, state: State, octets: &[u8]) -> Result<State, Refusal> {
        self.check_size()?;
        match state {
            State::Refused(refusal) => Err(refusal),
            State::Head(mut head, body) => {
                let rest = head.push(octets).map_err(|error| Refusal::Head(error.into()))?;
                if !head.has_ended() {
                    return Ok(State::Head(head, body));
                }
                let arriving = self.decide(head)?;
                self.fill(arriving, body, rest).await
            }
            State::Body(arriving, body) => self.fill(arriving, body, octets).await,
        }
    }

    async fn fill(
        &self,
        arriving: Box<Arriving>,
        mut body: Incoming,
        octets: &[u8],
    ) -> Result<State, Refusal> {
        let signed = !arriving.decision.keys.is_empty();
        body.push(octets, signed).await.map_err(|error| spill_failed(&error))?;
        Ok(State::Body(arriving, body))
    }

    fn decide(&self, head: HeadCollector) -> Result<Box<Arriving>, Refusal> {
        let head = head.finish();
        let credential = self.intake.credential(&self.sender)?;
        let decision = self.intake.settings().decide(&credential, &self.envelope, &head)?;
        Ok(Box::new(Arriving { head, decision }))
    }

    /// Real octets count, whatever SIZE= said (RFC 1870 §6.1).
    fn check_size(&self) -> Result<(), Refusal> {
        self.intake.limits.check_size(self.octets, self.envelope.recipients.len())
    }

    /// Ends the message: its last octet has come.
    pub(super) async fn end(mut self) -> Result<(Arc<Sender>, Envelope, Taken, Arrived), Refusal> {
        let state = std::mem::replace(&mut self.state, State::Refused(Refusal::StoreFailed));
        let (arriving, body) = match state {
            State::Refused(refusal) => return Err(refusal),
            // A message may end with its header block (RFC 5322 §3.5).
            State::Head(head, body) => (self.decide(head)?, body),
            State::Body(arriving, body) => (arriving, body),
        };
        let Arriving { head, decision } = *arriving;
        let id = body.id();
        let received = body.finish().await.map_err(|error| spill_failed(&error))?;
        let arrived = Arrived { id, head, decision, received };
        Ok((self.sender, self.envelope, self.taken, arrived))
    }
}

/// The file of a large body could not be written: the disk is full, or worse.
fn spill_failed(error: &std::io::Error) -> Refusal {
    tracing::error!("a large body was not taken: {error}");
    if error.kind() == std::io::ErrorKind::StorageFull {
        Refusal::DiskLow
    } else {
        Refusal::StoreFailed
    }
}
