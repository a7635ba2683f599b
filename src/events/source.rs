//! Where events come from before they are sealed: the store's log, by trait so that a test can choose where segments end.

use std::future::Future;
use std::pin::Pin;

use crate::mail::Event;
use crate::store::{SegmentInfo, Store, StoreFailed};

/// The log that holds the newest events.
pub trait Source: Send + Sync + 'static {
    /// Events from `seq` on, at most `limit`, in order, as far as the log has them. Blocks.
    fn events_from(&self, seq: u64, limit: usize) -> Result<Vec<(u64, Event)>, StoreFailed>;
    /// The number the next event will have.
    fn next_event(&self) -> u64;
    /// Segments that take no more commits, oldest first.
    fn sealed_segments(&self) -> Vec<SegmentInfo>;
    /// Says that a segment's events are durable in a file of ours.
    fn taken(&self, segment: u32) -> Pending<'_, Result<(), StoreFailed>>;
    /// Waits until a segment was sealed since the last call.
    fn wait_sealed(&self) -> Pending<'_, ()>;
}

/// A future behind a pointer, since traits with `dyn` need one.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Source for Store {
    fn events_from(&self, seq: u64, limit: usize) -> Result<Vec<(u64, Event)>, StoreFailed> {
        Store::events_from(self, seq, limit)
    }

    fn next_event(&self) -> u64 {
        self.status().next_event
    }

    fn sealed_segments(&self) -> Vec<SegmentInfo> {
        Store::sealed_segments(self)
    }

    fn taken(&self, segment: u32) -> Pending<'_, Result<(), StoreFailed>> {
        Box::pin(self.events_taken(segment))
    }

    fn wait_sealed(&self) -> Pending<'_, ()> {
        Box::pin(Store::wait_sealed(self))
    }
}

/// No log at all: what is sealed stands alone, as when the store is closed.
pub(super) struct NoLog;

impl Source for NoLog {
    fn events_from(&self, _seq: u64, _limit: usize) -> Result<Vec<(u64, Event)>, StoreFailed> {
        Ok(Vec::new())
    }

    fn next_event(&self) -> u64 {
        0
    }

    fn sealed_segments(&self) -> Vec<SegmentInfo> {
        Vec::new()
    }

    fn taken(&self, _segment: u32) -> Pending<'_, Result<(), StoreFailed>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn wait_sealed(&self) -> Pending<'_, ()> {
        Box::pin(std::future::pending())
    }
}
