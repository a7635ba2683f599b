//! Leaves: up to 64 waiting recipients of one lane packed into one record of the index, so that ten million cost the
//! index some hundred thousand entries.
//!
//! Pure. The leaves of a lane never overlap and stand in order; a leaf's key is that of its first entry.

use std::collections::BTreeMap;

use crate::mail::record::{RecordError, put_varint, take_varint};
use crate::mail::{Lane, MessageId};

use super::ops::{put_waiting, take_id, take_small, take_waiting};
use super::types::{Place, WaitKey, Waiting};

/// Prefix of leaves in the index.
pub(super) const PREFIX: u8 = b'q';
/// Octets of a leaf's key: prefix, lane, due, id, n.
pub(super) const KEY_OCTETS: usize = 1 + Lane::OCTETS + 8 + 16 + 4;
/// Entries of a leaf.
const ENTRIES_MAX: usize = 64;
/// Entries that a split leaves in a leaf, so that the next insert need not split again.
const ENTRIES_SPLIT: usize = 48;
/// Octets of a leaf: sled moves what is larger than a few KiB out of its pages.
const OCTETS_MAX: usize = 4096;
/// Format of a leaf.
const VERSION: u8 = 1;

/// One waiting recipient.
pub(super) type Entry = (WaitKey, Waiting);

/// `q ‖ lane ‖ due ‖ id ‖ n`, big-endian, so that the order of octets is the order of keys.
pub(super) fn key_octets(key: &WaitKey) -> Vec<u8> {
    let mut out = Vec::with_capacity(KEY_OCTETS);
    out.push(PREFIX);
    out.extend_from_slice(&key.lane.octets());
    out.extend_from_slice(&key.due_ms.to_be_bytes());
    out.extend_from_slice(&key.id.octets());
    out.extend_from_slice(&key.n.to_be_bytes());
    out
}

/// The key of octets that [`key_octets`] wrote.
pub(super) fn read_key(octets: &[u8]) -> Result<WaitKey, RecordError> {
    let (&prefix, rest) = octets.split_first().ok_or(RecordError)?;
    let (lane, rest) = rest.split_first_chunk::<{ Lane::OCTETS }>().ok_or(RecordError)?;
    let (due, rest) = rest.split_first_chunk::<8>().ok_or(RecordError)?;
    let (id, rest) = rest.split_first_chunk::<16>().ok_or(RecordError)?;
    let n = <[u8; 4]>::try_from(rest).map_err(|_| RecordError)?;
    if prefix != PREFIX {
        return Err(RecordError);
    }
    Ok(WaitKey {
        lane: Lane::from_octets(lane),
        due_ms: u64::from_be_bytes(*due),
        id: MessageId::from_octets(*id),
        n: u32::from_be_bytes(n),
    })
}

/// The first key a lane can have.
pub(super) fn first_of(lane: Lane) -> WaitKey {
    WaitKey { lane, due_ms: 0, id: MessageId::from_octets([0; 16]), n: 0 }
}

/// The last key a lane can have.
pub(super) fn last_of(lane: Lane) -> WaitKey {
    WaitKey { lane, due_ms: u64::MAX, id: MessageId::from_octets([0xff; 16]), n: u32::MAX }
}

fn put_entry(out: &mut Vec<u8>, base_ms: u64, (key, waiting): &Entry) {
    put_varint(out, key.due_ms.wrapping_sub(base_ms));
    out.extend_from_slice(&key.id.octets());
    put_varint(out, u64::from(key.n));
    put_waiting(out, waiting);
}

/// The entries of a leaf, read from its key and its octets.
pub(super) fn decode(key: &[u8], octets: &[u8]) -> Result<Vec<Entry>, RecordError> {
    let first = read_key(key)?;
    let (&version, mut octets) = octets.split_first().ok_or(RecordError)?;
    if version != VERSION {
        return Err(RecordError);
    }
    let mut entries = Vec::with_capacity(ENTRIES_MAX);
    while !octets.is_empty() {
        let due_ms = first.due_ms.wrapping_add(take_varint(&mut octets)?);
        let (id, n) = (take_id(&mut octets)?, take_small(&mut octets)?);
        let key = WaitKey { lane: first.lane, due_ms, id, n };
        entries.push((key, take_waiting(&mut octets)?));
    }
    Ok(entries)
}

/// Entries of one lane, in order, as leaves: keys and octets.
pub(super) fn pack(entries: &[Entry]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut leaves = Vec::new();
    let mut rest = entries;
    while let Some((first, _)) = rest.first() {
        let room = if rest.len() <= ENTRIES_MAX { ENTRIES_MAX } else { ENTRIES_SPLIT };
        let mut octets = vec![VERSION];
        let mut taken = 0;
        for entry in rest.iter().take(room) {
            let before = octets.len();
            put_entry(&mut octets, first.due_ms, entry);
            // One entry always fits: a key and a reply of 200 octets are far below the bound.
            if octets.len() > OCTETS_MAX && taken > 0 {
                octets.truncate(before);
                break;
            }
            taken += 1;
        }
        leaves.push((key_octets(first), octets));
        rest = rest.get(taken..).unwrap_or_default();
    }
    leaves
}

/// Brings changes into the entries of a leaf. `removed` gets what was there and was replaced or deleted.
pub(super) fn merge<'a>(
    entries: Vec<Entry>,
    changes: impl Iterator<Item = (&'a WaitKey, &'a Option<Waiting>)>,
    removed: &mut Vec<(MessageId, Place)>,
) -> Vec<Entry> {
    let mut map: BTreeMap<WaitKey, Waiting> = entries.into_iter().collect();
    for (key, value) in changes {
        let old = match value {
            Some(waiting) => map.insert(*key, waiting.clone()),
            None => map.remove(key),
        };
        removed.extend(old.map(|old| (key.id, old.place)));
    }
    map.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::testkit::arb;
    use super::*;
    use proptest::prelude::*;

    fn lane_entries() -> impl Strategy<Value = BTreeMap<WaitKey, Waiting>> {
        prop::collection::btree_map(arb::key_of_lane(7), arb::waiting(), 0..300)
    }

    proptest! {
        #[test]
        fn leaves_hold_every_entry_once_in_order_and_stay_small(entries in lane_entries()) {
            let entries: Vec<Entry> = entries.into_iter().collect();
            let leaves = pack(&entries);
            let mut read = Vec::new();
            for (key, octets) in &leaves {
                prop_assert!(octets.len() <= OCTETS_MAX);
                let part = decode(key, octets).unwrap();
                prop_assert!(!part.is_empty() && part.len() <= ENTRIES_MAX);
                prop_assert_eq!(&key_octets(&part[0].0), key);
                read.extend(part);
            }
            prop_assert_eq!(read, entries);
        }

        #[test]
        fn merging_into_a_leaf_is_what_a_map_would_do(
            start in lane_entries(),
            changes in prop::collection::btree_map(arb::key_of_lane(7), prop::option::of(arb::waiting()), 0..100),
        ) {
            let mut removed = Vec::new();
            let got = merge(start.clone().into_iter().collect(), changes.iter(), &mut removed);
            let mut model = start;
            let mut gone = Vec::new();
            for (key, value) in &changes {
                let old = match value {
                    Some(waiting) => model.insert(*key, waiting.clone()),
                    None => model.remove(key),
                };
                gone.extend(old.map(|old| (key.id, old.place)));
            }
            prop_assert_eq!(got, model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(removed, gone);
        }

        #[test]
        fn keys_sort_as_their_octets(a in arb::key(), b in arb::key()) {
            prop_assert_eq!(a.cmp(&b), key_octets(&a).cmp(&key_octets(&b)));
            prop_assert_eq!(read_key(&key_octets(&a)), Ok(a));
        }

        #[test]
        fn no_octets_make_the_leaf_reader_panic(octets: Vec<u8>, key in arb::key()) {
            let _ = decode(&key_octets(&key), &octets);
        }
    }
}
