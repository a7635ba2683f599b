//! The event log: what happened to every message, kept for weeks and found by whom, what, where and when.
//!
//! An event is written in the commit that made it true, into the store's log; when a segment of the log is full, its events
//! are rewritten here into a compressed file with an index. Readers see both as one sequence, numbered without gaps.
//! This module never writes an event and never decides anything about mail.
//!
//! Everything that reads may touch the disk: call it through [`crate::supervise::blocking`].

mod bloom;
mod catalog;
pub mod filter;
mod format;
pub mod json;
mod query;
mod sealed;
mod sealer;
mod source;
mod term;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::mail::event::Send;
use crate::mail::{Event, MessageId};
use crate::store::{Disk, Store};
use crate::supervise;

pub use filter::{Filter, Types};
pub use query::{Order, Page, QueryError};
pub use source::{Pending, Source};

use catalog::Catalog;
use query::Walk;
use sealer::Sealer;

/// Events of one message that a trace returns: 1,000 recipients with a few tries each.
pub const TRACE_EVENTS_MAX: usize = 10_000;
/// Events of one page.
pub const PAGE_EVENTS_MAX: usize = 1000;
/// How often a follower looks for new events.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// How long events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsOptions {
    /// Older ones are removed, a file at a time.
    pub age_max: Duration,
    /// Octets of sealed files; past it the oldest are removed.
    pub bytes_max: u64,
}

impl Default for EventsOptions {
    /// 30 days or 5 GiB, whichever is first.
    fn default() -> EventsOptions {
        EventsOptions { age_max: Duration::from_hours(30 * 24), bytes_max: 5 << 30 }
    }
}

/// How far the log reaches, for `status` and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsStatus {
    /// Sealed files.
    pub files: u64,
    /// Their octets.
    pub bytes: u64,
    /// The time of the oldest sealed event, Unix milliseconds; `None` when none is sealed.
    pub oldest_ms: Option<u64>,
    /// Number of the oldest sealed event, or of the first in the log.
    pub first_event: u64,
    /// One past the last sealed event.
    pub sealed_event: u64,
    /// The number the next event will have.
    pub next_event: u64,
    /// Files that cannot be read in full: name and reason.
    pub damaged: Vec<(String, String)>,
}

/// The event log. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    sealer: Sealer,
}

impl Events {
    /// Opens the log of a store, in `events/` of its data folder. Blocks.
    pub fn open(
        store: &Store,
        clock: Arc<dyn Clock>,
        options: EventsOptions,
    ) -> Result<Events, std::io::Error> {
        let source = Arc::new(store.clone());
        Events::over(source, store.disk(), &store.dir().join("events"), clock, options)
    }

    /// Opens the log over any source, with its sealed files in `dir`. Blocks.
    pub fn over(
        source: Arc<dyn Source>,
        disk: Arc<dyn Disk>,
        dir: &std::path::Path,
        clock: Arc<dyn Clock>,
        options: EventsOptions,
    ) -> Result<Events, std::io::Error> {
        let catalog = Arc::new(Catalog::open(disk, dir.to_path_buf())?);
        let born_ms = sealer::born_ms(&*clock);
        Ok(Events { sealer: Sealer { source, catalog, clock, options, born_ms } })
    }

    /// Gives every sealed event in `dir`, oldest first, while no store is open: for a rebuild. What is damaged is passed
    /// over. Blocks.
    pub fn each_sealed(
        disk: Arc<dyn Disk>,
        dir: &std::path::Path,
        clock: Arc<dyn Clock>,
        each: &mut dyn FnMut(&Event),
    ) -> std::io::Result<()> {
        let options = EventsOptions::default();
        let events = Events::over(Arc::new(source::NoLog), disk, dir, clock, options)?;
        let mut seq = 0;
        loop {
            let page = events.after(seq, PAGE_EVENTS_MAX);
            let page = page.map_err(|error| std::io::Error::other(error.to_string()))?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            seq = last + 1;
            for (_, event) in &page {
                each(event);
            }
        }
    }

    /// Starts the sealer, which runs until the task is aborted: at any moment that is safe.
    pub fn start(&self) -> JoinHandle<()> {
        let sealer = self.sealer.clone();
        supervise::keep("events", move || sealer.clone().run())
    }

    /// A page of what `filter` asks for; `limit` is cut at [`PAGE_EVENTS_MAX`]. Blocks.
    pub fn query(
        &self,
        filter: &Filter,
        cursor: Option<u64>,
        limit: usize,
        order: Order,
    ) -> Result<Page, QueryError> {
        self.walk(filter, order, limit.min(PAGE_EVENTS_MAX)).page(cursor)
    }

    /// Events from number `seq` on, oldest first, at most `limit`: how followers read. Blocks.
    pub fn after(&self, seq: u64, limit: usize) -> Result<Vec<(u64, Event)>, QueryError> {
        let all = Filter::default();
        Ok(self.query(&all, Some(seq), limit, Order::OldestFirst)?.events)
    }

    /// The life of a message, oldest first, at most [`TRACE_EVENTS_MAX`] events. Blocks.
    pub fn of_message(&self, id: MessageId) -> Result<Vec<(u64, Event)>, QueryError> {
        let filter = query::life_of(id);
        let mut events = Vec::new();
        let mut cursor = None;
        loop {
            let left = TRACE_EVENTS_MAX.saturating_sub(events.len());
            let page = self.walk(&filter, Order::NewestFirst, left).page(cursor)?;
            events.extend(page.events);
            cursor = page.next;
            if cursor.is_none() || events.len() >= TRACE_EVENTS_MAX {
                events.reverse();
                return Ok(events);
            }
        }
    }

    /// The Send of the message that the event of number `seq` speaks of, from which the event's `mail` object is made.
    /// Blocks.
    pub fn send_of(&self, seq: u64, id: MessageId) -> Result<Option<Send>, QueryError> {
        query::send_of(&*self.sealer.source, &self.sealer.catalog, id, seq)
    }

    /// The number the next event will have.
    pub fn next_event(&self) -> u64 {
        self.sealer.source.next_event()
    }

    /// Waits until there is an event of number `seq` or above. Cancellation-safe.
    pub async fn wait_for(&self, seq: u64) {
        while self.next_event() <= seq {
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }

    /// Figures.
    pub fn status(&self) -> EventsStatus {
        let files = self.sealer.catalog.files();
        let oldest = files.readable().next().map(|file| file.footer.span);
        EventsStatus {
            files: files.entries.len() as u64,
            bytes: files.octets(),
            oldest_ms: oldest.map(|span| span.min_ms),
            first_event: oldest.map_or(0, |span| span.first_seq),
            sealed_event: files.next_seq(),
            next_event: self.next_event(),
            damaged: self.sealer.catalog.damaged(),
        }
    }

    fn walk<'a>(&'a self, filter: &'a Filter, order: Order, limit: usize) -> Walk<'a> {
        Walk::new(&*self.sealer.source, &self.sealer.catalog, filter, order, limit)
    }
}
