//! A change made ready for the committer on its caller's own thread: checked, encoded, summed. Pure.

use std::sync::Arc;

use crate::mail::Message;
use crate::mail::record::put_varint;
use crate::mail::reply::cut;
use crate::telemetry::tally::Tally;

use super::error::StoreFailed;
use super::frame::FrameParts;
use super::ops::{self, CURRENT, Op};
use super::types::{Change, Place, WaitKey, Waiting};

/// Octets of a record's key.
pub(super) const KEY_OCTETS_MAX: usize = 128;
/// Octets of a record's value: sled moves what is larger out of its pages, unsynced.
pub(super) const VALUE_OCTETS_MAX: usize = 4096;
/// Octets of one change in the log; half a segment where that is less.
const CHANGE_OCTETS_MAX: u64 = 8 << 20;

/// A change, ready.
pub(super) struct Prepared {
    pub(super) ops: Vec<Op>,
    pub(super) ops_octets: Vec<u8>,
    pub(super) events: Vec<u8>,
    pub(super) events_count: u32,
    /// What the events come to, counted once they are durable.
    pub(super) tally: Tally,
    pub(super) frame: Option<FrameParts>,
    pub(super) message: Option<Arc<Message>>,
    /// The message's waiting recipients, for the sink.
    pub(super) waiting: Vec<WaitKey>,
}

impl Prepared {
    /// Octets it takes in a commit.
    pub(super) fn len(&self) -> usize {
        self.ops_octets.len() + self.events.len() + self.frame.as_ref().map_or(0, FrameParts::len)
    }

    /// Encodes the operations anew, after one of them was changed.
    pub(super) fn encode_ops(&mut self) {
        self.ops_octets.clear();
        for op in &self.ops {
            ops::put(&mut self.ops_octets, op);
        }
    }

    /// Checks and encodes a change for a log with segments of `segment_bytes`.
    pub(super) fn of(change: Change, segment_bytes: u64) -> Result<Prepared, StoreFailed> {
        let mut prepared = Prepared {
            ops: Vec::with_capacity(
                1 + change.waiting.len() + 2 * change.settled.len() + change.records.len(),
            ),
            ops_octets: Vec::new(),
            events: Vec::new(),
            events_count: u32::try_from(change.events.len())
                .map_err(|_| StoreFailed::Unfit("too many events in one change"))?,
            tally: Tally::of(&change.events),
            frame: None,
            message: None,
            waiting: Vec::with_capacity(change.waiting.len()),
        };
        if let Some(message) = &change.message {
            prepared.take_message(message, &change)?;
        } else if !change.waiting.is_empty() {
            return Err(StoreFailed::Unfit("recipients wait but there is no message"));
        }
        prepared.take_settled(&change);
        prepared.take_records(change.records)?;
        for event in &change.events {
            let octets = event.encode();
            put_varint(&mut prepared.events, octets.len() as u64);
            prepared.events.extend_from_slice(&octets);
        }
        prepared.encode_ops();
        if prepared.len() as u64 > CHANGE_OCTETS_MAX.min(segment_bytes / 2) {
            return Err(StoreFailed::Unfit("the change is larger than 8 MiB or half a segment"));
        }
        Ok(prepared)
    }

    fn take_message(&mut self, message: &Arc<Message>, change: &Change) -> Result<(), StoreFailed> {
        let frame =
            FrameParts::of(message).ok_or(StoreFailed::Unfit("the message's head is too large"))?;
        let len = u32::try_from(frame.len()).ok().filter(|len| *len < Place::LARGE);
        let len = len.ok_or(StoreFailed::Unfit("the message is too large for a frame"))?;
        let id = message.facts.id;
        self.ops.push(Op::Frame { len: if frame.large { len | Place::LARGE } else { len }, id });
        for waiting in &change.waiting {
            let lane = message.facts.lane_of(waiting.n);
            let lane =
                lane.ok_or(StoreFailed::Unfit("a recipient waits that the message does not have"))?;
            let key = WaitKey { lane, due_ms: waiting.due_ms, id, n: waiting.n };
            self.ops.push(Op::New(key));
            self.waiting.push(key);
        }
        self.frame = Some(frame);
        self.message = Some(Arc::clone(message));
        Ok(())
    }

    fn take_settled(&mut self, change: &Change) {
        for settled in &change.settled {
            self.ops.push(Op::Gone(settled.key));
            if let Some((due_ms, next)) = &settled.next {
                let key = WaitKey { due_ms: *due_ms, ..settled.key };
                self.ops.push(Op::Wait(key, bounded(next, settled.place)));
            }
        }
    }

    fn take_records(
        &mut self,
        records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), StoreFailed> {
        for (key, value) in records {
            let owned =
                key.first().is_some_and(|prefix| matches!(prefix, b'c' | b's' | b't' | b'x'));
            if !owned || key.len() > KEY_OCTETS_MAX {
                return Err(StoreFailed::Unfit(
                    "a key needs a prefix of c, s, t or x and at most 128 octets",
                ));
            }
            match value {
                Some(value) if value.len() > VALUE_OCTETS_MAX => {
                    return Err(StoreFailed::Unfit("a record's value has at most 4 KiB"));
                }
                Some(value) => self.ops.push(Op::Put(key, value)),
                None => self.ops.push(Op::Delete(key)),
            }
        }
        Ok(())
    }
}

/// A waiting record within its bounds; a place that says nothing is that of the lease.
fn bounded(waiting: &Waiting, place: Place) -> Waiting {
    let reply = waiting.last_reply.as_deref();
    Waiting {
        place: if waiting.place == CURRENT { place } else { waiting.place },
        last_reply: reply.map(|reply| cut(reply, Waiting::REPLY_OCTETS_MAX).to_owned()),
        ..waiting.clone()
    }
}
