//! The frame of a message in the log: facts, head and body (or the length of the file that holds it), under one CRC32C.
//!
//! Pure: octets in, octets out. Never trusts a length before the check sum held.
//!
//! `crc(4) ‖ magic(2) ‖ version(1) ‖ kind(1) ‖ facts length(4) ‖ head length(4) ‖ body length(8) ‖ facts ‖ head ‖ body`,
//! big-endian; the CRC covers everything after itself. Kind 0 holds its body, kind 1 has it in a file.

use bytes::Bytes;

use crate::mail::{Body, Facts, Message};

/// Octets before the facts.
pub(super) const LEAD_OCTETS: usize = 24;
const MAGIC: [u8; 2] = *b"PF";
const VERSION: u8 = 1;
const KIND_MEMORY: u8 = 0;
const KIND_FILE: u8 = 1;

/// A frame ready to be written: three pieces that stand one after the other.
#[derive(Debug, Clone)]
pub(super) struct FrameParts {
    /// Lead and facts.
    pub(super) lead: Vec<u8>,
    /// The header block.
    pub(super) head: Bytes,
    /// The body, empty when it is a file.
    pub(super) body: Bytes,
    /// Whether the body is a file.
    pub(super) large: bool,
}

impl FrameParts {
    /// Octets of the frame.
    pub(super) fn len(&self) -> usize {
        self.lead.len() + self.head.len() + self.body.len()
    }

    /// Lays a message out as a frame; `None` if its facts or head are beyond 4 GiB.
    pub(super) fn of(message: &Message) -> Option<FrameParts> {
        let facts = message.facts.encode();
        let (kind, body) = match &message.body {
            Body::Memory(octets) => (KIND_MEMORY, octets.clone()),
            Body::File { .. } => (KIND_FILE, Bytes::new()),
        };
        let mut lead = Vec::with_capacity(LEAD_OCTETS + facts.len());
        lead.extend_from_slice(&[0; 4]);
        lead.extend_from_slice(&MAGIC);
        lead.extend_from_slice(&[VERSION, kind]);
        lead.extend_from_slice(&u32::try_from(facts.len()).ok()?.to_be_bytes());
        lead.extend_from_slice(&u32::try_from(message.head.len()).ok()?.to_be_bytes());
        lead.extend_from_slice(&message.body.len().to_be_bytes());
        lead.extend_from_slice(&facts);
        let (crc, rest) = lead.split_at_mut(4);
        let sum = crc32c::crc32c(rest);
        let sum = crc32c::crc32c_append(sum, &message.head);
        let sum = crc32c::crc32c_append(sum, &body);
        crc.copy_from_slice(&sum.to_be_bytes());
        Some(FrameParts { lead, head: message.head.clone(), body, large: kind == KIND_FILE })
    }
}

/// A frame's body as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FrameBody {
    /// Its octets.
    Memory(Bytes),
    /// It is a file of this length.
    File(u64),
}

/// A frame as read.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) facts: Facts,
    pub(super) head: Bytes,
    pub(super) body: FrameBody,
}

/// The lengths a lead claims; not to be trusted before the check sum held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lead {
    crc: u32,
    kind: u8,
    facts: u32,
    head: u32,
    body: u64,
}

impl Lead {
    /// Reads a lead; `None` if it is none.
    pub(super) fn read(octets: &[u8]) -> Option<Lead> {
        let (crc, rest) = octets.split_first_chunk::<4>()?;
        let (magic, rest) = rest.split_first_chunk::<2>()?;
        let ([version, kind], rest) = rest.split_first_chunk::<2>()?;
        let (facts, rest) = rest.split_first_chunk::<4>()?;
        let (head, rest) = rest.split_first_chunk::<4>()?;
        let (body, _) = rest.split_first_chunk::<8>()?;
        let known = *magic == MAGIC && *version == VERSION && *kind <= KIND_FILE;
        known.then(|| Lead {
            crc: u32::from_be_bytes(*crc),
            kind: *kind,
            facts: u32::from_be_bytes(*facts),
            head: u32::from_be_bytes(*head),
            body: u64::from_be_bytes(*body),
        })
    }

    /// Octets of the frame.
    pub(super) fn frame_len(&self) -> u64 {
        let body = if self.kind == KIND_MEMORY { self.body } else { 0 };
        (LEAD_OCTETS as u64 + u64::from(self.facts) + u64::from(self.head)).saturating_add(body)
    }

    /// Whether the body is a file.
    pub(super) fn is_large(&self) -> bool {
        self.kind == KIND_FILE
    }
}

/// Whether these octets are one whole frame with the right check sum.
pub(super) fn is_whole(octets: &[u8]) -> bool {
    Lead::read(octets).is_some_and(|lead| {
        lead.frame_len() == octets.len() as u64
            && octets.get(4..).map(crc32c::crc32c) == Some(lead.crc)
    })
}

/// Reads a frame; the error says in words what does not fit.
pub(super) fn read(octets: &Bytes) -> Result<Frame, &'static str> {
    let lead = Lead::read(octets).ok_or("there is no frame")?;
    if !is_whole(octets) {
        return Err("the check sum does not fit");
    }
    let facts_end = LEAD_OCTETS + lead.facts as usize;
    let head_end = facts_end + lead.head as usize;
    let facts = octets.get(LEAD_OCTETS..facts_end).ok_or("the facts are cut")?;
    let facts = Facts::decode(facts).map_err(|_| "the facts cannot be read")?;
    let body = match lead.kind {
        KIND_MEMORY => FrameBody::Memory(octets.slice(head_end..)),
        _ => FrameBody::File(lead.body),
    };
    Ok(Frame { facts, head: octets.slice(facts_end..head_end), body })
}

#[cfg(test)]
mod tests {
    use super::super::testkit;
    use super::*;
    use proptest::prelude::*;

    fn joined(parts: &FrameParts) -> Bytes {
        [&parts.lead[..], &parts.head[..], &parts.body[..]].concat().into()
    }

    proptest! {
        #[test]
        fn a_message_survives_its_frame(head: Vec<u8>, body: Vec<u8>, n in 1u32..9) {
            let mut message = testkit::message(1, n);
            message.head = head.into();
            message.body = Body::Memory(body.clone().into());
            let octets = joined(&FrameParts::of(&message).unwrap());
            prop_assert!(is_whole(&octets));
            let frame = read(&octets).unwrap();
            prop_assert_eq!(&frame.facts, &*message.facts);
            prop_assert_eq!(frame.head, message.head);
            prop_assert_eq!(frame.body, FrameBody::Memory(body.into()));
        }

        #[test]
        fn a_frame_with_a_flipped_bit_is_refused(at: prop::sample::Index, bit in 0u8..8) {
            let mut octets = joined(&FrameParts::of(&testkit::message(1, 2)).unwrap()).to_vec();
            let at = at.index(octets.len());
            octets[at] ^= 1 << bit;
            prop_assert!(read(&octets.into()).is_err());
        }

        #[test]
        fn no_octets_make_the_frame_reader_panic(octets: Vec<u8>) {
            let _ = read(&octets.into());
        }
    }
}
