//! Which destinations rest, written down so that a restart does not storm them.
//!
//! One small record each under the queue's kind; deleted when the destination is well again.

use std::sync::Arc;

use super::board::{Destination, Mark};
use super::clerk::commit_aside;
use super::hub::Hub;
use super::lane::Rest;
use crate::mail::record::{Reader, RecordError, Writer};
use crate::mail::{EnhancedStatus, Lane, Reply, reply};
use crate::store::kind::counter;
use crate::store::{Change, Store, StoreFailed};

const PREFIX: [u8; 2] = [b'x', counter::REST];
const LANE: u8 = 1;
const HOSTS: u8 = 2;
/// Octets of the reply kept.
const WHY_OCTETS_MAX: usize = 200;
/// Records read at once.
const PAGE: usize = 1000;

mod field {
    pub(super) const FAILURES: u32 = 1;
    pub(super) const UNTIL: u32 = 2;
    pub(super) const CODE: u32 = 3;
    pub(super) const STATUS: u32 = 4;
    pub(super) const TEXT: u32 = 5;
}

fn key(of: &Destination) -> Vec<u8> {
    let mut key = PREFIX.to_vec();
    match of {
        Destination::Lane(lane) => {
            key.push(LANE);
            key.extend_from_slice(&lane.octets());
        }
        Destination::Hosts { pool, fingerprint } => {
            key.push(HOSTS);
            key.extend_from_slice(&pool.to_be_bytes());
            key.extend_from_slice(&fingerprint.to_be_bytes());
        }
    }
    key
}

fn destination(key: &[u8]) -> Option<Destination> {
    let (&tag, rest) = key.strip_prefix(&PREFIX[..])?.split_first()?;
    match tag {
        LANE => Some(Destination::Lane(Lane::from_octets(rest.try_into().ok()?))),
        HOSTS => {
            let (pool, fingerprint) = rest.split_first_chunk()?;
            Some(Destination::Hosts {
                pool: u16::from_be_bytes(*pool),
                fingerprint: u64::from_be_bytes(fingerprint.try_into().ok()?),
            })
        }
        _ => None,
    }
}

fn encode(rest: &Rest) -> Vec<u8> {
    let mut w = Writer::new();
    w.number(field::FAILURES, u64::from(rest.failures))
        .number(field::UNTIL, rest.until_ms)
        .number(field::CODE, u64::from(rest.why.code))
        .maybe(field::STATUS, rest.why.enhanced.map(|status| status.to_string()))
        .octets(field::TEXT, reply::cut(&rest.why.text, WHY_OCTETS_MAX));
    w.finish()
}

fn decode(octets: &[u8]) -> Result<Rest, RecordError> {
    let why = Reply { code: 0, enhanced: None, text: String::new() };
    let mut rest = Rest { failures: 1, until_ms: 0, probing: false, why };
    let mut reader = Reader::new(octets);
    while let Some(f) = reader.field()? {
        match f.number {
            field::FAILURES => rest.failures = f.as_small()?,
            field::UNTIL => rest.until_ms = f.as_number()?,
            field::CODE => rest.why.code = f.as_small()?,
            field::STATUS => rest.why.enhanced = EnhancedStatus::parse(f.as_text()?),
            field::TEXT => f.as_text()?.clone_into(&mut rest.why.text),
            _ => {}
        }
    }
    Ok(rest)
}

/// Writes changed states. A crash before they are durable costs one probe more or less.
pub(super) fn write(hub: &Arc<Hub>, marks: &[Mark]) {
    let records = marks.iter().map(|mark| (key(&mark.of), mark.rest.as_ref().map(encode)));
    commit_aside(hub, Change { records: records.collect(), ..Change::default() });
}

/// Every destination that rested when the process ended. Blocks.
pub(super) fn read(store: &Store) -> Result<Vec<(Destination, Rest)>, StoreFailed> {
    let mut found = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(&PREFIX, after.as_deref(), PAGE)?;
        let full = page.len() == PAGE;
        for (key, value) in &page {
            // One of a later release is left alone: its destination is probed at once.
            found.extend(destination(key).zip(decode(value).ok()));
        }
        after = page.into_iter().next_back().map(|(key, _)| key);
        if !full {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Class;

    #[test]
    fn a_destination_that_rests_is_read_as_it_was_written() {
        let rest = Rest {
            failures: 3,
            until_ms: 1_790_000_000_000,
            probing: false,
            why: Reply::new(421, "4.7.0 try later"),
        };
        assert_eq!(decode(&encode(&rest)), Ok(rest));
        let lane = Lane { pool: 1, class: Class::Bulk, tenant: 2, domain: 3 };
        for of in [Destination::Lane(lane), Destination::Hosts { pool: 7, fingerprint: 9 }] {
            assert_eq!(destination(&key(&of)), Some(of));
        }
    }
}
