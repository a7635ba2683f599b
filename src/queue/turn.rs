//! Whose turn it is. Pure: shares by weight, classes, tenants and lanes in rounds, and places kept for the class above.
//!
//! Never lets one that waits starve: each share advances by what it took, and a lane that was served goes to the end.

use std::collections::{HashMap, VecDeque};

use crate::mail::Class;

/// One round of a share of weight 1.
const ROUND: u64 = 1 << 20;

/// Turns by weight among keys that come and go: each pick goes to the one that had least for its weight.
///
/// A key that was away starts where the others are: absence earns nothing, so nobody comes back with a burst.
#[derive(Debug)]
pub struct Shares<K> {
    now: u64,
    taken: Vec<(K, u64)>,
}

impl<K: Copy + Eq> Default for Shares<K> {
    fn default() -> Shares<K> {
        Shares { now: 0, taken: Vec::new() }
    }
}

impl<K: Copy + Eq> Shares<K> {
    /// Picks one of `waiting` (key and weight); of equals the first. The number of different keys over time must be bounded
    /// by the caller: pools and classes are.
    pub fn pick(&mut self, waiting: impl Iterator<Item = (K, u32)>) -> Option<K> {
        let (now, taken) = (self.now, &self.taken);
        let start =
            |key: K| taken.iter().find(|(k, _)| *k == key).map_or(now, |(_, t)| now.max(*t));
        let (start, key, weight) = waiting
            .map(|(key, weight)| (start(key), key, weight))
            .min_by_key(|(start, ..)| *start)?;
        let end = start + ROUND / u64::from(weight.max(1));
        self.now = start;
        match self.taken.iter_mut().find(|(k, _)| *k == key) {
            Some((_, taken)) => *taken = end,
            None => self.taken.push((key, end)),
        }
        Some(key)
    }
}

/// The weight of a class beside the others where all wait.
pub const fn weight(class: Class) -> u32 {
    match class {
        Class::High => 16,
        Class::Normal => 4,
        Class::Bulk => 1,
    }
}

/// How many of `connections_max` connections may be busy with `class` and those below it: a tenth, at least one, is
/// kept for each class above. With too few connections to keep any, every class may use one.
pub fn ceiling(class: Class, connections_max: u32) -> u32 {
    let kept = (connections_max / 10).max(1) * u32::from(class.number());
    connections_max.saturating_sub(kept).max(1)
}

/// The lanes of one ready queue that have something to send, in the order of their turns.
#[derive(Debug)]
pub struct Turns<L> {
    classes: [Tenants<L>; 3],
    shares: Shares<Class>,
    len: usize,
}

/// Tenants of one class in rounds, each with its lanes in rounds.
#[derive(Debug)]
struct Tenants<L> {
    order: VecDeque<u32>,
    lanes: HashMap<u32, VecDeque<L>>,
}

impl<L> Default for Tenants<L> {
    fn default() -> Tenants<L> {
        Tenants { order: VecDeque::new(), lanes: HashMap::new() }
    }
}

impl<L> Default for Turns<L> {
    fn default() -> Turns<L> {
        Turns { classes: Default::default(), shares: Shares::default(), len: 0 }
    }
}

impl<L> Turns<L> {
    /// Puts a lane at the end of its tenant's line. The caller sees to it that a lane stands in line once.
    pub fn push(&mut self, class: Class, tenant: u32, lane: L) {
        let tenants = self.class_mut(class);
        let lanes = tenants.lanes.entry(tenant).or_default();
        if lanes.is_empty() {
            tenants.order.push_back(tenant);
        }
        lanes.push_back(lane);
        self.len += 1;
    }

    /// Takes the lane whose turn it is among the classes that `admits` lets through.
    pub fn next(&mut self, admits: impl Fn(Class) -> bool) -> Option<L> {
        let classes = &self.classes;
        let waiting = Class::ALL
            .into_iter()
            .zip(classes)
            .filter(|(class, tenants)| !tenants.order.is_empty() && admits(*class))
            .map(|(class, _)| (class, weight(class)));
        let class = self.shares.pick(waiting)?;
        let lane = self.class_mut(class).next();
        self.len -= usize::from(lane.is_some());
        lane
    }

    /// The most urgent class that waits.
    pub fn first_class(&self) -> Option<Class> {
        let mut classes = Class::ALL.into_iter().zip(&self.classes);
        classes.find(|(_, tenants)| !tenants.order.is_empty()).map(|(class, _)| class)
    }

    /// Lanes that stand in line.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no lane stands in line.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes every lane out.
    pub fn drain(&mut self) -> Vec<L> {
        let classes = std::mem::take(&mut self.classes);
        self.len = 0;
        classes.into_iter().flat_map(|tenants| tenants.lanes.into_values().flatten()).collect()
    }

    fn class_mut(&mut self, class: Class) -> &mut Tenants<L> {
        let [high, normal, bulk] = &mut self.classes;
        match class {
            Class::High => high,
            Class::Normal => normal,
            Class::Bulk => bulk,
        }
    }
}

impl<L> Tenants<L> {
    fn next(&mut self) -> Option<L> {
        let tenant = self.order.pop_front()?;
        let lanes = self.lanes.get_mut(&tenant)?;
        let lane = lanes.pop_front();
        if lanes.is_empty() {
            self.lanes.remove(&tenant);
        } else {
            self.order.push_back(tenant);
        }
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn class_of(number: u8) -> Class {
        Class::of_number(number % 3)
    }

    #[track_caller]
    fn check_ceilings(connections_max: u32, want: [u32; 3]) {
        assert_eq!(
            Class::ALL.map(|class| ceiling(class, connections_max)),
            want,
            "{connections_max}"
        );
    }

    #[test]
    fn a_tenth_of_the_connections_is_kept_for_the_class_above() {
        check_ceilings(100, [100, 90, 80]);
        check_ceilings(20, [20, 18, 16]);
        check_ceilings(5, [5, 4, 3]);
        check_ceilings(3, [3, 2, 1]);
        check_ceilings(1, [1, 1, 1]);
    }

    #[test]
    fn classes_share_by_weight_while_all_wait() {
        let mut turns = Turns::default();
        for class in Class::ALL {
            turns.push(class, 0, class);
        }
        let mut counts = [0u32; 3];
        for _ in 0..2100 {
            let class = turns.next(|_| true).unwrap();
            counts[usize::from(class.number())] += 1;
            turns.push(class, 0, class);
        }
        assert!((1590..=1610).contains(&counts[0]), "{counts:?}");
        assert!((390..=410).contains(&counts[1]), "{counts:?}");
        assert!((90..=110).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn a_class_that_comes_back_gets_no_burst() {
        let mut turns = Turns::default();
        turns.push(Class::High, 0, Class::High);
        for _ in 0..1000 {
            let class = turns.next(|_| true).unwrap();
            turns.push(class, 0, class);
        }
        turns.push(Class::Bulk, 0, Class::Bulk);
        let mut bulk = 0;
        for _ in 0..34 {
            let class = turns.next(|_| true).unwrap();
            bulk += u32::from(class == Class::Bulk);
            turns.push(class, 0, class);
        }
        assert!((1..=3).contains(&bulk), "{bulk}");
    }

    #[test]
    fn a_tenant_with_a_thousand_lanes_gets_as_many_turns_as_one_with_one() {
        let mut turns = Turns::default();
        (0..1000).for_each(|lane| turns.push(Class::Normal, 1, (1, lane)));
        turns.push(Class::Normal, 2, (2, 0));
        let mut second = 0;
        for _ in 0..100 {
            let lane = turns.next(|_| true).unwrap();
            second += i32::from(lane.0 == 2);
            turns.push(Class::Normal, lane.0, lane);
        }
        assert_eq!(second, 50);
    }

    #[test]
    fn pools_get_connections_by_weight() {
        let mut shares = Shares::default();
        let mut counts = [0u32; 2];
        for _ in 0..400 {
            let pool = shares.pick([(0usize, 3), (1, 1)].into_iter()).unwrap();
            counts[pool] += 1;
        }
        assert_eq!(counts, [300, 100]);
    }

    proptest! {
        /// Each lane that waits is served within a number of turns that depends on who else waits, never on how much they send.
        #[test]
        fn no_lane_starves(lanes in proptest::collection::vec((0u8..3, 0u32..4), 1..40)) {
            let mut turns = Turns::default();
            for (lane, (class, tenant)) in lanes.iter().enumerate() {
                turns.push(class_of(*class), *tenant, lane);
            }
            let mut served = vec![0u32; lanes.len()];
            for _ in 0..21 * 4 * lanes.len() * 2 {
                let lane = turns.next(|_| true).unwrap();
                served[lane] += 1;
                turns.push(class_of(lanes[lane].0), lanes[lane].1, lane);
            }
            prop_assert!(served.iter().all(|&times| times > 0), "{:?}", served);
        }

        /// What is pushed comes out once, whatever is admitted meanwhile; a class that is not admitted never does.
        #[test]
        fn every_lane_comes_out_once_and_only_when_admitted(lanes in proptest::collection::vec((0u8..3, 0u32..4), 0..40), shut in 0u8..3) {
            let mut turns = Turns::default();
            for (lane, (class, tenant)) in lanes.iter().enumerate() {
                turns.push(class_of(*class), *tenant, lane);
            }
            let shut = class_of(shut);
            let mut out = Vec::new();
            while let Some(lane) = turns.next(|class| class != shut) {
                prop_assert_ne!(class_of(lanes[lane].0), shut);
                out.push(lane);
            }
            out.extend(turns.drain());
            prop_assert!(turns.is_empty());
            out.sort_unstable();
            prop_assert_eq!(out, (0..lanes.len()).collect::<Vec<_>>());
        }
    }
}
