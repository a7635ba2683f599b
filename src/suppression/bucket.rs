//! Buckets: about forty suppressed addresses in one value of the store, found by the leading bits of the address's hash. Pure.
//!
//! Buckets are the leaves of a binary trie: one at depth `d` holds every address whose hash begins with its `d` bits. A bucket
//! that outgrows a value is replaced by its two halves in the same commit; buckets never merge, so whoever walks a path from
//! the root down meets the one bucket on it even while it is being split.

use ring::digest;

use super::entry::Entry;
use crate::mail::record::{Reader, RecordError, Writer};
use crate::store::kind;

/// Octets of an encoded bucket; above it is split. The store's own bound is 4 KiB.
pub(super) const BUCKET_OCTETS_MAX: usize = 4_000;
/// Deeper than any bucket can be: 2^40 buckets of forty are more addresses than there are.
pub(super) const DEPTH_MAX: u8 = 48;

/// The hash of an address ([`crate::mail::Mailbox::identity`]): the same in every release, and out of the reach of who
/// chooses addresses to fill one bucket.
pub(super) fn hash_of(address: &str) -> u64 {
    let digest = digest::digest(&digest::SHA256, address.as_bytes());
    digest.as_ref().first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets))
}

/// Where a bucket stands in the trie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Branch {
    /// Its bits, from the top; the rest is nought.
    pub(super) bits: u64,
    /// How many.
    pub(super) depth: u8,
}

impl Branch {
    pub(super) const ROOT: Branch = Branch { bits: 0, depth: 0 };

    /// The branch at `depth` on the way to `hash`.
    pub(super) fn towards(hash: u64, depth: u8) -> Branch {
        let mask = u64::MAX.checked_shl(64 - u32::from(depth)).unwrap_or(0);
        Branch { bits: hash & mask, depth }
    }

    /// Every branch on the way to `hash`, from the root down.
    pub(super) fn path(hash: u64) -> impl Iterator<Item = Branch> {
        (0..=DEPTH_MAX).map(move |depth| Branch::towards(hash, depth))
    }

    pub(super) fn holds(self, hash: u64) -> bool {
        Branch::towards(hash, self.depth) == self
    }

    fn halves(self) -> [Branch; 2] {
        let depth = self.depth + 1;
        let one = 1u64.checked_shl(64 - u32::from(depth)).unwrap_or(0);
        [Branch { bits: self.bits, depth }, Branch { bits: self.bits | one, depth }]
    }

    /// `s ‖ BUCKET ‖ bits ‖ depth`: in the order of hashes.
    pub(super) fn key(self) -> Vec<u8> {
        [&prefix(kind::suppressed::BUCKET)[..], &self.bits.to_be_bytes(), &[self.depth]].concat()
    }

    pub(super) fn of_key(key: &[u8]) -> Option<Branch> {
        let [_, _, bits @ .., depth] = key.first_chunk::<11>()?;
        Some(Branch { bits: u64::from_be_bytes(*bits), depth: *depth })
    }
}

/// `s ‖ kind`.
pub(super) fn prefix(kind: u8) -> [u8; 2] {
    [b's', kind]
}

/// The addresses of one bucket, in order of hash, then address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bucket(Vec<(u64, String, Entry)>);

impl Bucket {
    pub(super) fn decode(octets: &[u8]) -> Result<Bucket, RecordError> {
        let mut entries = Vec::new();
        let mut reader = Reader::new(octets);
        while let Some(f) = reader.field()? {
            if f.number == 1 {
                let (address, entry) = Entry::decode(f.as_octets()?)?;
                entries.push((hash_of(&address), address, entry));
            }
        }
        Ok(Bucket(entries))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        for (_, address, entry) in &self.0 {
            w.octets(1, entry.encode(address));
        }
        w.finish()
    }

    pub(super) fn get(&self, address: &str) -> Option<&Entry> {
        self.0.iter().find(|(_, own, _)| own == address).map(|(_, _, entry)| entry)
    }

    /// Puts an address in; one that is there already takes the later of both entries. Whether it is new.
    pub(super) fn put(&mut self, address: String, entry: Entry) -> bool {
        let hash = hash_of(&address);
        let place = self.0.binary_search_by(|(other_hash, other, _)| {
            (*other_hash, other.as_str()).cmp(&(hash, address.as_str()))
        });
        match place {
            Ok(at) => {
                if let Some((_, _, own)) = self.0.get_mut(at)
                    && own.at_ms <= entry.at_ms
                {
                    *own = entry;
                }
                false
            }
            Err(at) => {
                self.0.insert(at, (hash, address, entry));
                true
            }
        }
    }

    /// Takes an address out; whether it was there.
    pub(super) fn remove(&mut self, address: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, own, _)| own != address);
        self.0.len() < before
    }

    pub(super) fn entries(self) -> impl Iterator<Item = (u64, String, Entry)> {
        self.0.into_iter()
    }

    /// The bucket as it may be stored: itself, or the buckets that take its place when it has outgrown a value.
    pub(super) fn fit(self, at: Branch) -> Vec<(Branch, Vec<u8>)> {
        let octets = self.encode();
        if octets.len() <= BUCKET_OCTETS_MAX || at.depth >= DEPTH_MAX {
            return vec![(at, octets)];
        }
        let [low, high] = at.halves();
        let (first, second) = self.0.into_iter().partition(|(hash, _, _)| low.holds(*hash));
        let mut fitting = Bucket(first).fit(low);
        fitting.extend(Bucket(second).fit(high));
        fitting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suppression::Reason;
    use proptest::prelude::*;

    fn entry(at_ms: u64) -> Entry {
        Entry::new(Reason::Bounce, at_ms, None)
    }

    fn bucket(addresses: impl IntoIterator<Item = String>) -> Bucket {
        let mut bucket = Bucket::default();
        for address in addresses {
            bucket.put(address, entry(1));
        }
        bucket
    }

    proptest! {
        #[test]
        fn a_bucket_survives_being_written_and_read(addresses: Vec<String>) {
            let bucket = bucket(addresses);
            prop_assert_eq!(Bucket::decode(&bucket.encode()), Ok(bucket));
        }

        #[test]
        fn no_octets_make_the_reader_panic(octets: Vec<u8>) {
            let _read = Bucket::decode(&octets);
        }

        #[test]
        fn a_split_keeps_every_address_on_its_own_path(count in 1usize..3_000) {
            let all = bucket((0..count).map(|n| format!("someone.{n}@example.org")));
            let parts = all.clone().fit(Branch::ROOT);
            let mut held = 0;
            for (branch, octets) in &parts {
                prop_assert!(octets.len() <= BUCKET_OCTETS_MAX);
                for (hash, address, _) in Bucket::decode(octets).unwrap().entries() {
                    prop_assert!(branch.holds(hash));
                    let on_path = Branch::path(hash).filter(|b| parts.iter().any(|(p, _)| p == b));
                    prop_assert_eq!(on_path.collect::<Vec<_>>(), vec![*branch], "{}", address);
                    held += 1;
                }
            }
            prop_assert_eq!(held, count);
        }

        #[test]
        fn keys_of_branches_sort_as_hashes_do(hash: u64, depth in 0..=DEPTH_MAX) {
            let branch = Branch::towards(hash, depth);
            prop_assert_eq!(Branch::of_key(&branch.key()), Some(branch));
            for half in branch.halves() {
                prop_assert!(half.key() > branch.key());
            }
        }
    }

    #[test]
    fn the_later_entry_of_an_address_stays() {
        let mut bucket = bucket(["a@b.c".to_owned()]);
        assert!(!bucket.put("a@b.c".into(), entry(5)));
        assert!(!bucket.put("a@b.c".into(), entry(3)));
        assert_eq!(bucket.get("a@b.c").unwrap().at_ms, 5);
        assert!(bucket.remove("a@b.c") && !bucket.remove("a@b.c"));
    }

    #[test]
    fn a_value_holds_about_forty_addresses() {
        let one = Entry::new(
            Reason::Bounce,
            1_700_000_000_000,
            Some((crate::mail::MessageId::new(1, 2, 3), 4)),
        );
        let octets = one.encode("jane.doe.1972@mail.example.org").len() + 2;
        assert!((40..=70).contains(&(BUCKET_OCTETS_MAX / octets)), "{octets}");
    }
}
