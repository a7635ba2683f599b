//! The log's layout: the header of a segment and the header of a commit, each under its own CRC32C.
//!
//! Pure. A nonce drawn at every (re)use of a segment stands in both, so that neither what a recycled segment held before
//! nor what a stranger writes into a message can pass for a commit.

/// Commits start at multiples of this: writing one never touches a block of one that was acknowledged, and a search for
/// the next commit after damage looks at few places.
pub(super) const BLOCK: u64 = 4096;
/// Octets of [`CommitHead`].
pub(super) const COMMIT_HEAD_OCTETS: usize = 64;
/// Octets of [`SegmentHead`].
pub(super) const SEGMENT_HEAD_OCTETS: usize = 40;

const SEGMENT_MAGIC: [u8; 8] = *b"PRLOGSG1";
const COMMIT_MAGIC: [u8; 4] = *b"PRC1";

/// `n` rounded up to whole blocks.
pub(super) const fn blocks(n: u64) -> u64 {
    n.div_ceil(BLOCK) * BLOCK
}

/// Where the next commit goes, and which numbers it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// Segment number.
    pub(super) segment: u32,
    /// Octets from the segment's start.
    pub(super) offset: u64,
    /// Commit number.
    pub(super) commit: u64,
    /// Event number.
    pub(super) event: u64,
}

impl Position {
    /// Octets of a position in the index.
    const OCTETS: usize = 29;
    const VERSION: u8 = 1;

    /// Of a store that holds nothing yet.
    pub(super) const START: Position = Position { segment: 1, offset: BLOCK, commit: 1, event: 1 };

    /// As the index holds it under `h`.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Position::OCTETS);
        out.push(Position::VERSION);
        out.extend_from_slice(&self.segment.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.commit.to_be_bytes());
        out.extend_from_slice(&self.event.to_be_bytes());
        out
    }

    /// From the index; `None` if it is none or from a later release.
    pub(super) fn decode(octets: &[u8]) -> Option<Position> {
        let ([version], rest) = octets.split_first_chunk::<1>()?;
        let (segment, rest) = rest.split_first_chunk::<4>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (commit, rest) = rest.split_first_chunk::<8>()?;
        let (event, _) = rest.split_first_chunk::<8>()?;
        (*version == Position::VERSION).then(|| Position {
            segment: u32::from_be_bytes(*segment),
            offset: u64::from_be_bytes(*offset),
            commit: u64::from_be_bytes(*commit),
            event: u64::from_be_bytes(*event),
        })
    }
}

/// The first block of a segment: `magic(8) ‖ crc(4) ‖ segment(4) ‖ nonce(8) ‖ first commit(8) ‖ first event(8)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHead {
    /// Its number.
    pub(super) segment: u32,
    /// Drawn anew for each use of the file.
    pub(super) nonce: u64,
    /// Number of its first commit.
    pub(super) first_commit: u64,
    /// Number of its first event.
    pub(super) first_event: u64,
}

impl SegmentHead {
    /// One block.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(&SEGMENT_MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.segment.to_be_bytes());
        out.extend_from_slice(&self.nonce.to_be_bytes());
        out.extend_from_slice(&self.first_commit.to_be_bytes());
        out.extend_from_slice(&self.first_event.to_be_bytes());
        let sum = crc32c::crc32c(out.get(12..).unwrap_or_default());
        if let Some(crc) = out.get_mut(8..12) {
            crc.copy_from_slice(&sum.to_be_bytes());
        }
        out.resize(4096, 0);
        out
    }

    /// From a file's first octets; `None` if it is no segment of ours or damaged.
    pub(super) fn decode(octets: &[u8]) -> Option<SegmentHead> {
        let octets = octets.get(..SEGMENT_HEAD_OCTETS)?;
        let (magic, rest) = octets.split_first_chunk::<8>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let fits = *magic == SEGMENT_MAGIC && crc32c::crc32c(rest) == u32::from_be_bytes(*crc);
        let (segment, rest) = rest.split_first_chunk::<4>()?;
        let (nonce, rest) = rest.split_first_chunk::<8>()?;
        let (first_commit, rest) = rest.split_first_chunk::<8>()?;
        let (first_event, _) = rest.split_first_chunk::<8>()?;
        fits.then(|| SegmentHead {
            segment: u32::from_be_bytes(*segment),
            nonce: u64::from_be_bytes(*nonce),
            first_commit: u64::from_be_bytes(*first_commit),
            first_event: u64::from_be_bytes(*first_event),
        })
    }
}

/// The header of a commit: `magic(4) ‖ crc(4) ‖ segment(4) ‖ nonce(8) ‖ commit(8) ‖ first event(8) ‖ events(4) ‖
/// operations length(4) ‖ events length(4) ‖ frames length(4) ‖ CRC of operations and events(4) ‖ wall time(8)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CommitHead {
    /// The segment it lies in.
    pub(super) segment: u32,
    /// The segment's nonce.
    pub(super) nonce: u64,
    /// Its number, one more than that of the commit before.
    pub(super) commit: u64,
    /// Number of its first event.
    pub(super) first_event: u64,
    /// How many events it has.
    pub(super) events: u32,
    /// Octets of its operations.
    pub(super) ops_len: u32,
    /// Octets of its events.
    pub(super) events_len: u32,
    /// Octets of its frames.
    pub(super) frames_len: u32,
    /// CRC32C of operations and events; each frame has its own.
    pub(super) crc: u32,
    /// When it was written, Unix milliseconds, for people.
    pub(super) at_ms: u64,
}

impl CommitHead {
    /// The header's octets.
    pub(super) fn encode(&self) -> [u8; COMMIT_HEAD_OCTETS] {
        let mut out = Vec::with_capacity(COMMIT_HEAD_OCTETS);
        out.extend_from_slice(&self.segment.to_be_bytes());
        out.extend_from_slice(&self.nonce.to_be_bytes());
        out.extend_from_slice(&self.commit.to_be_bytes());
        out.extend_from_slice(&self.first_event.to_be_bytes());
        for field in [self.events, self.ops_len, self.events_len, self.frames_len, self.crc] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(&self.at_ms.to_be_bytes());
        let mut head = [0; COMMIT_HEAD_OCTETS];
        let (magic, rest) = head.split_at_mut(4);
        let (crc, fields) = rest.split_at_mut(4);
        magic.copy_from_slice(&COMMIT_MAGIC);
        crc.copy_from_slice(&crc32c::crc32c(&out).to_be_bytes());
        fields.copy_from_slice(&out);
        head
    }

    /// A header of this segment's present use; `None` for anything else.
    pub(super) fn decode(octets: &[u8], segment: u32, nonce: u64) -> Option<CommitHead> {
        let octets = octets.get(..COMMIT_HEAD_OCTETS)?;
        let (magic, rest) = octets.split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        if *magic != COMMIT_MAGIC || crc32c::crc32c(rest) != u32::from_be_bytes(*crc) {
            return None;
        }
        let mut rest = rest;
        let head = CommitHead {
            segment: take_u32(&mut rest)?,
            nonce: take_u64(&mut rest)?,
            commit: take_u64(&mut rest)?,
            first_event: take_u64(&mut rest)?,
            events: take_u32(&mut rest)?,
            ops_len: take_u32(&mut rest)?,
            events_len: take_u32(&mut rest)?,
            frames_len: take_u32(&mut rest)?,
            crc: take_u32(&mut rest)?,
            at_ms: take_u64(&mut rest)?,
        };
        (head.segment == segment && head.nonce == nonce).then_some(head)
    }

    /// Octets before the frames.
    pub(super) fn frames_start(&self) -> u64 {
        COMMIT_HEAD_OCTETS as u64 + u64::from(self.ops_len) + u64::from(self.events_len)
    }

    /// Octets of the whole commit, padding included.
    pub(super) fn total(&self) -> u64 {
        blocks(self.frames_start() + u64::from(self.frames_len))
    }
}

fn take_u32(octets: &mut &[u8]) -> Option<u32> {
    let (value, rest) = octets.split_first_chunk::<4>()?;
    *octets = rest;
    Some(u32::from_be_bytes(*value))
}

fn take_u64(octets: &mut &[u8]) -> Option<u64> {
    let (value, rest) = octets.split_first_chunk::<8>()?;
    *octets = rest;
    Some(u64::from_be_bytes(*value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn headers_survive_being_written_and_read(
            segment: u32, nonce: u64, commit: u64, first_event: u64, lens: [u32; 5], at_ms: u64,
        ) {
            let [events, ops_len, events_len, frames_len, crc] = lens;
            let head = CommitHead {
                segment, nonce, commit, first_event, events, ops_len, events_len, frames_len, crc, at_ms,
            };
            prop_assert_eq!(CommitHead::decode(&head.encode(), segment, nonce), Some(head));
            prop_assert_eq!(CommitHead::decode(&head.encode(), segment, !nonce), None);
            let seg = SegmentHead { segment, nonce, first_commit: commit, first_event };
            prop_assert_eq!(SegmentHead::decode(&seg.encode()), Some(seg));
            let position = Position { segment, offset: nonce, commit, event: first_event };
            prop_assert_eq!(Position::decode(&position.encode()), Some(position));
        }

        #[test]
        fn a_header_with_a_flipped_bit_is_none(at in 0usize..COMMIT_HEAD_OCTETS, bit in 0u8..8) {
            let head = CommitHead {
                segment: 1, nonce: 2, commit: 3, first_event: 4, events: 5, ops_len: 6,
                events_len: 7, frames_len: 8, crc: 9, at_ms: 10,
            };
            let mut octets = head.encode();
            octets[at] ^= 1 << bit;
            prop_assert_eq!(CommitHead::decode(&octets, 1, 2), None);
        }
    }
}
