//! Lanes: where waiting mail stands in line.

/// Urgency of a message, highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Class {
    /// Password resets, receipts.
    High,
    /// What nothing else was said about.
    #[default]
    Normal,
    /// Newsletters.
    Bulk,
}

impl Class {
    /// All classes, most urgent first.
    pub const ALL: [Class; 3] = [Class::High, Class::Normal, Class::Bulk];

    /// Its number in keys: lower is more urgent.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The class of a number; an unknown one is normal.
    pub const fn of_number(number: u8) -> Class {
        match number {
            0 => Class::High,
            2 => Class::Bulk,
            _ => Class::Normal,
        }
    }
}

/// One line of waiting recipients: pool, class, tenant and a hash of the recipient's domain.
///
/// Mail in one lane leaves in order of its due time. Many domains may share a lane where a host has too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The pool's number.
    pub pool: u16,
    /// Its class.
    pub class: Class,
    /// The tenant's number; 0 is the owner.
    pub tenant: u32,
    /// From [`Lane::hash_domain`].
    pub domain: u64,
}

impl Lane {
    /// Octets of [`Lane::octets`].
    pub const OCTETS: usize = 15;

    /// Big-endian `pool ‖ class ‖ tenant ‖ domain`, as keys hold it.
    pub fn octets(&self) -> [u8; Lane::OCTETS] {
        let mut out = [0; Lane::OCTETS];
        let (pool, rest) = out.split_at_mut(2);
        let (class, rest) = rest.split_at_mut(1);
        let (tenant, domain) = rest.split_at_mut(4);
        pool.copy_from_slice(&self.pool.to_be_bytes());
        class.copy_from_slice(&[self.class.number()]);
        tenant.copy_from_slice(&self.tenant.to_be_bytes());
        domain.copy_from_slice(&self.domain.to_be_bytes());
        out
    }

    /// The lane of a key's octets.
    pub fn from_octets(octets: &[u8; Lane::OCTETS]) -> Lane {
        let [p0, p1, class, t0, t1, t2, t3, domain @ ..] = *octets;
        Lane {
            pool: u16::from_be_bytes([p0, p1]),
            class: Class::of_number(class),
            tenant: u32::from_be_bytes([t0, t1, t2, t3]),
            domain: u64::from_be_bytes(domain),
        }
    }

    /// A hash of a domain that is the same in every release and on every host: FNV-1a, 64 bits.
    pub fn hash_domain(domain: &str) -> u64 {
        domain.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_lane_survives_being_written_and_read(pool: u16, class in 0u8..3, tenant: u32, domain: u64) {
            let lane = Lane { pool, class: Class::of_number(class), tenant, domain };
            prop_assert_eq!(Lane::from_octets(&lane.octets()), lane);
        }
    }

    #[test]
    fn octets_of_lanes_sort_as_lanes_do() {
        let lane = |pool, class, domain| Lane { pool, class, tenant: 0, domain };
        let mut lanes = [
            lane(2, Class::High, 1),
            lane(1, Class::Bulk, 0),
            lane(1, Class::High, 9),
            lane(1, Class::High, 3),
        ];
        lanes.sort_by_key(Lane::octets);
        let mut sorted = lanes;
        sorted.sort();
        assert_eq!(lanes, sorted);
    }
}
