//! Operations: what a commit does to the waiting recipients and the records, as octets of the log.
//!
//! Pure. Applying the same operations twice, in order, gives the same state: replay relies on it.

use crate::mail::record::{RecordError, put_varint, take_varint};
use crate::mail::{FailureClass, Lane, MessageId};

use super::types::{Place, WaitKey, Waiting};

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    /// The commit's next frame becomes the current one; [`Op::New`] and relative places speak of it.
    Frame {
        /// As [`Place::len`].
        len: u32,
        /// The message.
        id: MessageId,
    },
    /// A recipient of the current frame waits, untried; the key's id is that of the frame.
    New(WaitKey),
    /// A recipient waits with this record; a place with segment 0 is the current frame.
    Wait(WaitKey, Waiting),
    /// A recipient waits no more under this key.
    Gone(WaitKey),
    /// A record is put.
    Put(Vec<u8>, Vec<u8>),
    /// A record is deleted.
    Delete(Vec<u8>),
}

const FRAME: u8 = 1;
const NEW: u8 = 2;
const WAIT: u8 = 3;
const GONE: u8 = 4;
const PUT: u8 = 5;
const DELETE: u8 = 6;

const DELAY_TOLD: u8 = 1;
const HAS_CLASS: u8 = 2;
const HAS_REPLY: u8 = 4;

/// The place that stands for "the current frame of this commit".
pub(super) const CURRENT: Place = Place { segment: 0, offset: 0, len: 0 };

/// Appends one operation.
pub(super) fn put(out: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Frame { len, id } => {
            out.push(FRAME);
            put_varint(out, u64::from(*len));
            out.extend_from_slice(&id.octets());
        }
        Op::New(key) => {
            out.push(NEW);
            out.extend_from_slice(&key.lane.octets());
            put_varint(out, key.due_ms);
            put_varint(out, u64::from(key.n));
        }
        Op::Wait(key, waiting) => {
            out.push(WAIT);
            put_key(out, key);
            put_waiting(out, waiting);
        }
        Op::Gone(key) => {
            out.push(GONE);
            put_key(out, key);
        }
        Op::Put(key, value) => {
            out.push(PUT);
            put_octets(out, key);
            put_octets(out, value);
        }
        Op::Delete(key) => {
            out.push(DELETE);
            put_octets(out, key);
        }
    }
}

/// Reads all operations of a commit.
pub(super) fn read_all(mut octets: &[u8]) -> Result<Vec<Op>, RecordError> {
    let mut ops = Vec::new();
    let mut current = MessageId::new(0, 0, 0);
    while let Some((&kind, rest)) = octets.split_first() {
        octets = rest;
        let op = take(kind, &mut octets, current)?;
        if let Op::Frame { id, .. } = op {
            current = id;
        }
        ops.push(op);
    }
    Ok(ops)
}

fn take(kind: u8, octets: &mut &[u8], current: MessageId) -> Result<Op, RecordError> {
    Ok(match kind {
        FRAME => Op::Frame { len: take_small(octets)?, id: take_id(octets)? },
        NEW => Op::New(WaitKey {
            lane: take_lane(octets)?,
            due_ms: take_varint(octets)?,
            n: take_small(octets)?,
            id: current,
        }),
        WAIT => Op::Wait(take_key(octets)?, take_waiting(octets)?),
        GONE => Op::Gone(take_key(octets)?),
        PUT => Op::Put(take_octets(octets)?.to_vec(), take_octets(octets)?.to_vec()),
        DELETE => Op::Delete(take_octets(octets)?.to_vec()),
        _ => return Err(RecordError),
    })
}

fn put_key(out: &mut Vec<u8>, key: &WaitKey) {
    out.extend_from_slice(&key.lane.octets());
    put_varint(out, key.due_ms);
    out.extend_from_slice(&key.id.octets());
    put_varint(out, u64::from(key.n));
}

fn take_key(octets: &mut &[u8]) -> Result<WaitKey, RecordError> {
    Ok(WaitKey {
        lane: take_lane(octets)?,
        due_ms: take_varint(octets)?,
        id: take_id(octets)?,
        n: take_small(octets)?,
    })
}

/// Appends a waiting record; leaves of the index use the same octets.
pub(super) fn put_waiting(out: &mut Vec<u8>, waiting: &Waiting) {
    put_varint(out, u64::from(waiting.place.segment));
    put_varint(out, u64::from(waiting.place.offset));
    put_varint(out, u64::from(waiting.place.len));
    put_varint(out, u64::from(waiting.attempts));
    let flags = if waiting.delay_told { DELAY_TOLD } else { 0 }
        | if waiting.last_class.is_some() { HAS_CLASS } else { 0 }
        | if waiting.last_reply.is_some() { HAS_REPLY } else { 0 };
    out.push(flags);
    if let Some(class) = waiting.last_class {
        out.push(class.number());
    }
    if let Some(reply) = &waiting.last_reply {
        put_octets(out, reply.as_bytes());
    }
}

/// Takes a waiting record off the head of `octets`.
pub(super) fn take_waiting(octets: &mut &[u8]) -> Result<Waiting, RecordError> {
    let place = Place {
        segment: take_small(octets)?,
        offset: take_small(octets)?,
        len: take_small(octets)?,
    };
    let mut waiting = Waiting::new(place);
    waiting.attempts = take_small(octets)?;
    let flags = take_octet(octets)?;
    waiting.delay_told = flags & DELAY_TOLD != 0;
    if flags & HAS_CLASS != 0 {
        waiting.last_class = Some(FailureClass::of_number(u64::from(take_octet(octets)?)));
    }
    if flags & HAS_REPLY != 0 {
        let text = std::str::from_utf8(take_octets(octets)?).map_err(|_| RecordError)?;
        waiting.last_reply = Some(text.to_owned());
    }
    Ok(waiting)
}

fn put_octets(out: &mut Vec<u8>, octets: &[u8]) {
    put_varint(out, octets.len() as u64);
    out.extend_from_slice(octets);
}

/// Takes a length and that many octets.
pub(super) fn take_octets<'a>(octets: &mut &'a [u8]) -> Result<&'a [u8], RecordError> {
    let len = usize::try_from(take_varint(octets)?).map_err(|_| RecordError)?;
    let (taken, rest) = octets.split_at_checked(len).ok_or(RecordError)?;
    *octets = rest;
    Ok(taken)
}

fn take_octet(octets: &mut &[u8]) -> Result<u8, RecordError> {
    let (&octet, rest) = octets.split_first().ok_or(RecordError)?;
    *octets = rest;
    Ok(octet)
}

/// Takes a number that must fit a smaller type.
pub(super) fn take_small<T: TryFrom<u64>>(octets: &mut &[u8]) -> Result<T, RecordError> {
    T::try_from(take_varint(octets)?).map_err(|_| RecordError)
}

fn take_lane(octets: &mut &[u8]) -> Result<Lane, RecordError> {
    let (lane, rest) = octets.split_first_chunk::<{ Lane::OCTETS }>().ok_or(RecordError)?;
    *octets = rest;
    Ok(Lane::from_octets(lane))
}

/// Takes a message id.
pub(super) fn take_id(octets: &mut &[u8]) -> Result<MessageId, RecordError> {
    let (id, rest) = octets.split_first_chunk::<16>().ok_or(RecordError)?;
    *octets = rest;
    Ok(MessageId::from_octets(*id))
}

#[cfg(test)]
mod tests {
    use super::super::testkit::arb;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn operations_survive_being_written_and_read(
            keys in prop::collection::vec((arb::key(), arb::waiting()), 0..20),
            records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
        ) {
            let mut ops = Vec::new();
            for (key, waiting) in keys {
                ops.push(Op::Frame { len: waiting.place.len, id: key.id });
                ops.push(Op::New(key));
                ops.push(Op::Wait(key, waiting));
                ops.push(Op::Gone(key));
            }
            for (key, value) in records {
                ops.push(match value {
                    Some(value) => Op::Put(key, value),
                    None => Op::Delete(key),
                });
            }
            let mut octets = Vec::new();
            for op in &ops {
                put(&mut octets, op);
            }
            prop_assert_eq!(read_all(&octets), Ok(ops));
        }

        #[test]
        fn no_octets_make_the_operation_reader_panic(octets: Vec<u8>) {
            let _ = read_all(&octets);
        }
    }
}
