//! A Bloom filter in lines of 64 octets that each carry their own check sum.
//!
//! A term touches one line only, so one small read at a known place answers "surely not here" for a whole file, and what
//! was read proves itself. Pure; `file` says where the lines lie.

use super::term::Term;

/// Octets of a line: one cache line, one read.
pub(super) const LINE_OCTETS: usize = 64;
/// Octets of bits in it; the rest is their CRC32C.
const BITS_OCTETS: usize = LINE_OCTETS - 4;
const BITS: u64 = BITS_OCTETS as u64 * 8;
/// 12 bits for each term and six probes: about one false answer in 150.
const TERMS_PER_LINE: usize = 40;
const PROBES: u32 = 6;
/// Bits of the hash that one probe uses.
const PROBE_BITS: u32 = 9;

/// The line's octets do not match their check sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineDamaged;

/// Makes the lines for `terms`, which should be distinct: at least one line.
pub(super) fn build(terms: impl ExactSizeIterator<Item = Term>) -> Vec<u8> {
    let count = terms.len().div_ceil(TERMS_PER_LINE).max(1);
    let mut out = vec![0; count * LINE_OCTETS];
    for term in terms {
        let start = line_of(term, count) * LINE_OCTETS;
        for (octet, mask) in probes(term) {
            if let Some(bits) = out.get_mut(start + octet) {
                *bits |= mask;
            }
        }
    }
    for line in out.chunks_exact_mut(LINE_OCTETS) {
        let (bits, sum) = line.split_at_mut(BITS_OCTETS);
        sum.copy_from_slice(&crc32c::crc32c(bits).to_be_bytes());
    }
    out
}

/// The number of the line, of `count`, that a term touches.
pub(super) fn line_of(term: Term, count: usize) -> usize {
    let high = term.hash() >> 32;
    // The product of two 32-bit numbers, shifted back: below `count`, without a division.
    usize::try_from((high * count as u64) >> 32).unwrap_or(0)
}

/// Whether a line may hold the term; `false` is certain.
pub(super) fn line_holds(line: &[u8], term: Term) -> Result<bool, LineDamaged> {
    let (bits, sum) = line.split_at_checked(BITS_OCTETS).ok_or(LineDamaged)?;
    if sum != crc32c::crc32c(bits).to_be_bytes() {
        return Err(LineDamaged);
    }
    Ok(probes(term).all(|(octet, mask)| bits.get(octet).is_some_and(|bits| bits & mask != 0)))
}

/// Whether lines may hold the term.
pub(super) fn holds(lines: &[u8], term: Term) -> Result<bool, LineDamaged> {
    let count = lines.len() / LINE_OCTETS;
    let line = lines.chunks_exact(LINE_OCTETS).nth(line_of(term, count)).ok_or(LineDamaged)?;
    line_holds(line, term)
}

/// Octet and mask of each probe within a line.
fn probes(term: Term) -> impl Iterator<Item = (usize, u8)> {
    // Multiplied once more, since the high half of the hash chose the line.
    let mixed = term.hash().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..PROBES).map(move |probe| {
        let part = (mixed >> (probe * PROBE_BITS)) & ((1 << PROBE_BITS) - 1);
        let bit = (part * BITS) >> PROBE_BITS;
        (usize::try_from(bit / 8).unwrap_or(0), 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(number: u32) -> Term {
        Term::config_set(number)
    }

    #[test]
    fn a_filter_never_denies_what_it_holds() {
        let lines = build((0..5000).map(term).collect::<Vec<_>>().into_iter());
        assert!((0..5000).all(|number| holds(&lines, term(number)) == Ok(true)));
    }

    #[test]
    fn a_filter_is_wrong_about_less_than_one_absent_term_in_fifty() {
        let lines = build((0..5000).map(term).collect::<Vec<_>>().into_iter());
        let wrong = (5000..105_000).filter(|n| holds(&lines, term(*n)) == Ok(true)).count();
        assert!(wrong < 2000, "{wrong} of 100,000");
    }

    #[test]
    fn a_filter_of_nothing_holds_nothing() {
        let lines = build(std::iter::empty());
        assert_eq!(lines.len(), LINE_OCTETS);
        assert_eq!(holds(&lines, term(1)), Ok(false));
        assert_eq!(holds(&[], term(1)), Err(LineDamaged));
    }

    #[test]
    fn a_flipped_bit_in_a_line_is_seen() {
        let clean = build([term(1)].into_iter());
        for bit in 0..LINE_OCTETS * 8 {
            let mut lines = clean.clone();
            lines[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(holds(&lines, term(1)), Err(LineDamaged), "bit {bit}");
        }
    }
}
