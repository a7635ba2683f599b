//! Messages in memory, shared by all their recipients and counted in octets.
//!
//! Never holds a message that no recipient in memory refers to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::mail::{Body, Message};
use crate::store::Place;

/// What facts and the structures around a message cost beside its octets, roughly.
const OVERHEAD_BYTES: u64 = 1024;

/// Places remembered before those of messages that are gone are swept out.
const PLACES_SWEEP: usize = 4096;

/// A message in memory; counted until the last one who holds it lets go.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) message: Arc<Message>,
    bytes: u64,
    total: Arc<AtomicU64>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// All messages in memory.
#[derive(Debug)]
pub(super) struct Memory {
    total: Arc<AtomicU64>,
    bytes_max: u64,
    /// Where the messages of several recipients are, so that one read serves them all.
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    by_place: HashMap<Place, Weak<Kept>>,
    sweep_at: usize,
}

impl Memory {
    pub(super) fn new(bytes_max: u64) -> Memory {
        Memory { total: Arc::default(), bytes_max, places: Mutex::default() }
    }

    /// Octets held.
    pub(super) fn bytes(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Octets that may still be taken.
    pub(super) fn room(&self) -> u64 {
        self.bytes_max.saturating_sub(self.bytes())
    }

    /// Counts a message in.
    pub(super) fn keep(&self, message: Arc<Message>) -> Arc<Kept> {
        let bytes = bytes_of(&message);
        self.total.fetch_add(bytes, Ordering::Relaxed);
        Arc::new(Kept { message, bytes, total: Arc::clone(&self.total) })
    }

    /// Remembers where a message with several recipients lies.
    pub(super) fn remember(&self, place: Place, kept: &Arc<Kept>) {
        let mut places = self.places.lock();
        if places.by_place.len() >= places.sweep_at.max(PLACES_SWEEP) {
            places.by_place.retain(|_, kept| kept.strong_count() > 0);
            places.sweep_at = places.by_place.len() * 2;
        }
        places.by_place.insert(place, Arc::downgrade(kept));
    }

    /// The message at a place, if it is in memory.
    pub(super) fn find(&self, place: Place) -> Option<Arc<Kept>> {
        self.places.lock().by_place.get(&place)?.upgrade()
    }
}

/// Octets that a message takes in memory.
pub(super) fn bytes_of(message: &Message) -> u64 {
    let body = match &message.body {
        Body::Memory(octets) => octets.len() as u64,
        Body::File { .. } => 0,
    };
    message.head.len() as u64 + body + OVERHEAD_BYTES
}
