//! The octets of a sealed event file: blocks, their index, a filter, a footer. Pure; `sealed` reads and writes them.
//!
//! ```text
//! magic(8) block* index filter-line* footer trailer(16)
//! block    zstd of ( seq - previous seq : varint, length : varint, event record )*
//! index    record of block entries: place, check sum, sequence numbers, times, types, filter lines
//! footer   record: places of index and filter, sequence numbers, times, types of the whole file
//! trailer  footer length(4) crc32c of the footer(4) magic(8)
//! ```
//! Each part carries a CRC32C of its own (a filter line inside itself), so that damage is named by part and the rest
//! stays readable. Numbers in records are never reused.

use std::fmt;

use crate::mail::Event;
use crate::mail::record::{Field, Reader, RecordError, Writer, put_varint, take_varint};

use super::bloom;
use super::filter::Types;
use super::term::{self, Term};

/// First and last octets of a file.
pub(super) const MAGIC: &[u8; 8] = b"postrev1";
/// Octets after the footer.
pub(super) const TRAILER_OCTETS: usize = 16;
/// A block is closed when its events reach this many octets: large enough to compress well, small enough to read for one event.
pub(super) const BLOCK_OCTETS: usize = 256 * 1024;
/// No block is larger, whatever its entry says: one event more than [`BLOCK_OCTETS`], with room.
pub(super) const BLOCK_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// No footer is larger.
pub(super) const FOOTER_OCTETS_MAX: usize = 4096;
/// The fastest level: it finds nearly all there is in headers and dialogues.
const LEVEL: i32 = 1;

/// Which part of a file does not hold what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// The footer or the octets around it: nothing of the file can be found.
    Footer,
    /// The list of blocks.
    Index,
    /// A block, by its place in the file.
    Block(u64),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Footer => f.write_str("its footer is cut off or damaged"),
            Damage::Index => f.write_str("its index is damaged"),
            Damage::Block(offset) => write!(f, "its block at octet {offset} is damaged"),
        }
    }
}

/// What a stretch of events spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Sequence number of the first.
    pub(super) first_seq: u64,
    /// And of the last.
    pub(super) last_seq: u64,
    /// How many there are.
    pub(super) count: u64,
    /// The earliest moment, Unix milliseconds.
    pub(super) min_ms: u64,
    /// The latest.
    pub(super) max_ms: u64,
    /// Types among them.
    pub(super) types: Types,
}

impl Span {
    const EMPTY: Span = Span {
        first_seq: u64::MAX,
        last_seq: 0,
        count: 0,
        min_ms: u64::MAX,
        max_ms: 0,
        types: Types::NONE,
    };

    fn add(&mut self, other: Span) {
        self.first_seq = self.first_seq.min(other.first_seq);
        self.last_seq = self.last_seq.max(other.last_seq);
        self.count += other.count;
        self.min_ms = self.min_ms.min(other.min_ms);
        self.max_ms = self.max_ms.max(other.max_ms);
        self.types = self.types.with(other.types);
    }

    fn encode(&self, w: &mut Writer) {
        w.number(field::FIRST_SEQ, self.first_seq)
            .number(field::LAST_SEQ, self.last_seq)
            .number(field::COUNT, self.count)
            .number(field::MIN_MS, self.min_ms)
            .number(field::MAX_MS, self.max_ms)
            .number(field::TYPES, self.types.bits());
    }

    fn decode(&mut self, f: Field<'_>) -> Result<(), RecordError> {
        match f.number {
            field::FIRST_SEQ => self.first_seq = f.as_number()?,
            field::LAST_SEQ => self.last_seq = f.as_number()?,
            field::COUNT => self.count = f.as_number()?,
            field::MIN_MS => self.min_ms = f.as_number()?,
            field::MAX_MS => self.max_ms = f.as_number()?,
            field::TYPES => self.types = Types::from_bits(f.as_number()?),
            _ => {}
        }
        Ok(())
    }
}

/// Where a part of the file lies, and its check sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Part {
    /// From the file's start.
    pub(super) offset: u64,
    /// Octets.
    pub(super) len: u64,
    /// CRC32C of them; unused for the filter, whose lines have their own.
    pub(super) crc: u32,
}

impl Part {
    fn of(offset: u64, octets: &[u8]) -> Part {
        Part { offset, len: octets.len() as u64, crc: crc32c::crc32c(octets) }
    }

    /// Whether these are the octets it was made of.
    pub(super) fn holds(&self, octets: &[u8]) -> bool {
        octets.len() as u64 == self.len && crc32c::crc32c(octets) == self.crc
    }

    fn encode(&self, w: &mut Writer) {
        w.number(field::OFFSET, self.offset)
            .number(field::LEN, self.len)
            .number(field::CRC, u64::from(self.crc));
    }

    fn decode(&mut self, f: Field<'_>) -> Result<(), RecordError> {
        match f.number {
            field::OFFSET => self.offset = f.as_number()?,
            field::LEN => self.len = f.as_number()?,
            field::CRC => self.crc = f.as_small()?,
            _ => {}
        }
        Ok(())
    }
}

/// One block's entry in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Where it lies.
    pub(super) part: Part,
    /// Octets once unpacked.
    pub(super) unpacked: usize,
    /// What it spans.
    pub(super) span: Span,
    /// Its filter's lines.
    pub(super) filter: Vec<u8>,
}

impl Block {
    /// Whether it may hold all of `terms`. A damaged line says yes: the block itself will tell.
    pub(super) fn may_hold(&self, terms: &[Term]) -> bool {
        terms.iter().all(|term| bloom::holds(&self.filter, *term).unwrap_or(true))
    }
}

/// What the end of a file says of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    /// What the whole file spans.
    pub(super) span: Span,
    /// The index.
    pub(super) index: Part,
    /// The filter's lines.
    pub(super) filter: Part,
}

mod field {
    pub(super) const OFFSET: u32 = 1;
    pub(super) const LEN: u32 = 2;
    pub(super) const CRC: u32 = 3;
    pub(super) const UNPACKED: u32 = 4;
    pub(super) const FILTER: u32 = 5;
    pub(super) const FIRST_SEQ: u32 = 6;
    pub(super) const LAST_SEQ: u32 = 7;
    pub(super) const COUNT: u32 = 8;
    pub(super) const MIN_MS: u32 = 9;
    pub(super) const MAX_MS: u32 = 10;
    pub(super) const TYPES: u32 = 11;
    /// A block's entry in the index.
    pub(super) const BLOCK: u32 = 12;
    /// In the footer.
    pub(super) const INDEX: u32 = 13;
}

/// Writes a file from events in the order of their sequence numbers.
///
/// What it returns is to be appended; only a file that ends with [`Builder::close`]'s octets is one.
pub(super) struct Builder {
    zstd: zstd::bulk::Compressor<'static>,
    pending: Vec<u8>,
    pending_span: Span,
    pending_terms: Vec<Term>,
    written: u64,
    index: Writer,
    span: Span,
    terms: Vec<Term>,
}

impl Builder {
    /// An empty file.
    pub(super) fn new() -> std::io::Result<Builder> {
        Ok(Builder {
            zstd: zstd::bulk::Compressor::new(LEVEL)?,
            pending: Vec::with_capacity(BLOCK_OCTETS + BLOCK_OCTETS / 8),
            pending_span: Span::EMPTY,
            pending_terms: Vec::new(),
            written: 0,
            index: Writer::new(),
            span: Span::EMPTY,
            terms: Vec::new(),
        })
    }

    /// Adds an event; returns octets to append when a block became full.
    pub(super) fn push(&mut self, seq: u64, event: &Event) -> std::io::Result<Vec<u8>> {
        let record = event.encode();
        let previous = if self.pending_span.count == 0 { seq } else { self.pending_span.last_seq };
        put_varint(&mut self.pending, seq.saturating_sub(previous));
        put_varint(&mut self.pending, record.len() as u64);
        self.pending.extend_from_slice(&record);
        self.pending_span.add(Span {
            first_seq: seq,
            last_seq: seq,
            count: 1,
            min_ms: event.at_ms,
            max_ms: event.at_ms,
            types: Types::of(&event.kind),
        });
        term::each(event, &mut |term| self.pending_terms.push(term));
        if self.pending.len() < BLOCK_OCTETS { Ok(Vec::new()) } else { self.close_block() }
    }

    /// Closes the file: the last octets to append. What is added after it is lost.
    pub(super) fn close(&mut self) -> std::io::Result<Vec<u8>> {
        let mut out = self.close_block()?;
        let index = std::mem::take(&mut self.index).finish();
        let index_part = self.append(&mut out, &index);
        self.terms.sort_unstable();
        self.terms.dedup();
        let filter = bloom::build(self.terms.iter().copied());
        let filter_part = self.append(&mut out, &filter);
        let mut footer = Writer::new();
        self.span.encode(&mut footer);
        footer.nested(field::INDEX, |w| index_part.encode(w));
        footer.nested(field::FILTER, |w| filter_part.encode(w));
        out.extend(with_trailer(footer.finish()));
        Ok(out)
    }

    fn close_block(&mut self) -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        if self.written == 0 {
            out.extend_from_slice(MAGIC);
            self.written = MAGIC.len() as u64;
        }
        if self.pending_span.count == 0 {
            return Ok(out);
        }
        let packed = self.zstd.compress(&self.pending)?;
        let part = self.append(&mut out, &packed);
        self.pending_terms.sort_unstable();
        self.pending_terms.dedup();
        let filter = bloom::build(self.pending_terms.iter().copied());
        let (unpacked, span) = (self.pending.len() as u64, self.pending_span);
        self.index.nested(field::BLOCK, |w| {
            part.encode(w);
            span.encode(w);
            w.number(field::UNPACKED, unpacked).octets(field::FILTER, &filter);
        });
        self.span.add(span);
        self.terms.append(&mut self.pending_terms);
        self.pending.clear();
        self.pending_span = Span::EMPTY;
        Ok(out)
    }

    fn append(&mut self, out: &mut Vec<u8>, octets: &[u8]) -> Part {
        let part = Part::of(self.written, octets);
        out.extend_from_slice(octets);
        self.written += octets.len() as u64;
        part
    }
}

fn with_trailer(footer: Vec<u8>) -> Vec<u8> {
    let len = u32::try_from(footer.len()).unwrap_or(u32::MAX);
    let crc = crc32c::crc32c(&footer);
    let mut out = footer;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&crc.to_be_bytes());
    out.extend_from_slice(MAGIC);
    out
}

/// Reads the footer from the last octets of a file: at most [`FOOTER_OCTETS_MAX`] and the trailer are looked at.
pub(super) fn decode_footer(tail: &[u8]) -> Result<Footer, Damage> {
    let (head, trailer) = tail.split_last_chunk::<TRAILER_OCTETS>().ok_or(Damage::Footer)?;
    let [l0, l1, l2, l3, c0, c1, c2, c3, magic @ ..] = *trailer;
    if magic != *MAGIC {
        return Err(Damage::Footer);
    }
    let len = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).map_err(|_| Damage::Footer)?;
    let start = head.len().checked_sub(len).ok_or(Damage::Footer)?;
    let octets = head.get(start..).ok_or(Damage::Footer)?;
    if crc32c::crc32c(octets) != u32::from_be_bytes([c0, c1, c2, c3]) {
        return Err(Damage::Footer);
    }
    decode_footer_record(octets).map_err(|_| Damage::Footer)
}

fn decode_footer_record(octets: &[u8]) -> Result<Footer, RecordError> {
    let mut footer = Footer { span: Span::EMPTY, index: Part::default(), filter: Part::default() };
    let mut reader = Reader::new(octets);
    while let Some(f) = reader.field()? {
        match f.number {
            field::INDEX => footer.index = decode_part(f.as_octets()?)?,
            field::FILTER => footer.filter = decode_part(f.as_octets()?)?,
            _ => footer.span.decode(f)?,
        }
    }
    Ok(footer)
}

fn decode_part(octets: &[u8]) -> Result<Part, RecordError> {
    let mut part = Part::default();
    let mut reader = Reader::new(octets);
    while let Some(f) = reader.field()? {
        part.decode(f)?;
    }
    Ok(part)
}

/// Reads the index; `part` is what the footer says of it.
pub(super) fn decode_index(part: Part, octets: &[u8]) -> Result<Vec<Block>, Damage> {
    if !part.holds(octets) {
        return Err(Damage::Index);
    }
    let mut blocks = Vec::new();
    let mut reader = Reader::new(octets);
    while let Some(f) = reader.field().map_err(|_| Damage::Index)? {
        if f.number == field::BLOCK {
            let octets = f.as_octets().map_err(|_| Damage::Index)?;
            blocks.push(decode_block_entry(octets).map_err(|_| Damage::Index)?);
        }
    }
    Ok(blocks)
}

fn decode_block_entry(octets: &[u8]) -> Result<Block, RecordError> {
    let mut block =
        Block { part: Part::default(), unpacked: 0, span: Span::EMPTY, filter: Vec::new() };
    let mut reader = Reader::new(octets);
    while let Some(f) = reader.field()? {
        match f.number {
            field::UNPACKED => block.unpacked = f.as_small()?,
            field::FILTER => block.filter = f.as_octets()?.to_vec(),
            _ => {
                block.part.decode(f)?;
                block.span.decode(f)?;
            }
        }
    }
    Ok(block)
}

/// Reads a block's events with their sequence numbers, in order.
pub(super) fn decode_block(block: &Block, octets: &[u8]) -> Result<Vec<(u64, Event)>, Damage> {
    let damaged = Damage::Block(block.part.offset);
    if !block.part.holds(octets) || block.unpacked > BLOCK_OCTETS_MAX {
        return Err(damaged);
    }
    let raw = zstd::bulk::decompress(octets, block.unpacked).map_err(|_| damaged)?;
    decode_events(block.span.first_seq, &raw).map_err(|_| damaged)
}

fn decode_events(first_seq: u64, raw: &[u8]) -> Result<Vec<(u64, Event)>, RecordError> {
    let mut events = Vec::new();
    let (mut rest, mut seq) = (raw, first_seq);
    while !rest.is_empty() {
        seq = seq.checked_add(take_varint(&mut rest)?).ok_or(RecordError)?;
        let len = usize::try_from(take_varint(&mut rest)?).map_err(|_| RecordError)?;
        let (record, after) = rest.split_at_checked(len).ok_or(RecordError)?;
        events.push((seq, Event::decode(record)?));
        rest = after;
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use proptest::prelude::*;

    fn file(events: &[(u64, Event)]) -> Vec<u8> {
        let mut builder = Builder::new().unwrap();
        let mut out = Vec::new();
        for (seq, event) in events {
            out.extend(builder.push(*seq, event).unwrap());
        }
        out.extend(builder.close().unwrap());
        out
    }

    fn slice(octets: &[u8], part: Part) -> Option<&[u8]> {
        let start = usize::try_from(part.offset).ok()?;
        octets.get(start..start.checked_add(usize::try_from(part.len).ok()?)?)
    }

    fn read(octets: &[u8]) -> Result<Vec<(u64, Event)>, Damage> {
        let footer = decode_footer(octets)?;
        let index = slice(octets, footer.index).ok_or(Damage::Index)?;
        let mut events = Vec::new();
        for block in decode_index(footer.index, index)? {
            let damage = Damage::Block(block.part.offset);
            events.extend(decode_block(&block, slice(octets, block.part).ok_or(damage)?)?);
        }
        Ok(events)
    }

    fn some(count: u64) -> Vec<(u64, Event)> {
        (0..count)
            .map(|n| match n % 3 {
                0 => (n * 2, samples::send(n)),
                1 => (n * 2, samples::attempt(n)),
                _ => (n * 2, samples::delivery(n)),
            })
            .collect()
    }

    #[test]
    fn events_survive_being_sealed_and_read() {
        for count in [0, 1, 2, 3000] {
            assert_eq!(read(&file(&some(count))).unwrap(), some(count));
        }
    }

    #[test]
    fn a_footer_says_what_the_file_spans() {
        let octets = file(&some(3000));
        let footer = decode_footer(&octets).unwrap();
        assert_eq!((footer.span.first_seq, footer.span.last_seq), (0, 5998));
        assert_eq!(footer.span.count, 3000);
        assert_eq!(footer.span.min_ms, samples::START_MS);
        assert!(footer.span.types.meets(Types::SEND));
        let blocks = decode_index(footer.index, slice(&octets, footer.index).unwrap()).unwrap();
        assert!(blocks.len() > 1, "a file of many blocks");
        let term = Term::recipient("user3@example.net");
        assert!(blocks[0].may_hold(&[term]));
        assert!(!blocks.last().unwrap().may_hold(&[term]));
    }

    #[test]
    fn a_file_cut_anywhere_is_named_damaged() {
        let octets = file(&some(10));
        for len in 0..octets.len() {
            assert_eq!(read(&octets[..len]), Err(Damage::Footer), "cut at {len}");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_named_or_changes_nothing_read(place: prop::sample::Index, bit in 0u8..8) {
            let events = some(40);
            let mut octets = file(&events);
            let place = place.index(octets.len());
            octets[place] ^= 1 << bit;
            if let Ok(read) = read(&octets) { prop_assert_eq!(read, events) }
        }

        #[test]
        fn no_octets_make_the_reader_panic(octets: Vec<u8>) {
            let _ = decode_footer(&octets);
            let _ = decode_events(0, &octets);
            let part = Part::of(0, &octets);
            let _ = decode_index(part, &octets);
        }
    }
}
