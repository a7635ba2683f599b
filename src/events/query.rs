//! Walks over the event log: sealed files and the live tail of the store's log as one sequence, in either direction.
//!
//! A walk holds no lock and no list of events longer than one block; where it stands is a sequence number, so it goes on
//! rightly when a segment is sealed or a file removed under it. Everything here blocks.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::mail::event::Send;
use crate::mail::{Event, EventKind, MessageId};
use crate::store::StoreFailed;

use super::catalog::{Catalog, Files};
use super::filter::{Filter, Types};
use super::format::{Block, Span};
use super::sealed::{OpenSealed, Sealed, SealedError};
use super::source::Source;
use super::term::Term;

/// Events of the live tail that are read at a time.
const TAIL_EVENTS: u64 = 1024;
/// Blocks one query may unpack before it answers with what it has and a cursor: about a second.
const BLOCKS_MAX: usize = 1500;
/// Sends a query remembers while it joins events to them; past this it forgets all and starts again.
const SENDS_MAX: usize = 10_000;
/// The Send of a message lies this near, in milliseconds, to the moment its id names, whatever clocks did: a day.
const SEND_NEAR_MS: u64 = 24 * 60 * 60 * 1000;

/// In which order events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The newest first; the cursor is the number that all that follows is below.
    NewestFirst,
    /// The oldest first; the cursor is the number that all that follows is not below.
    OldestFirst,
}

/// Events and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// With their sequence numbers.
    pub events: Vec<(u64, Event)>,
    /// The cursor of the next page; `None` when there is no more. A page may be short, even empty, and still have one:
    /// a query reads only so much at a time.
    pub next: Option<u64>,
}

/// Why a query failed. Damaged files do not fail it: they are passed over and named in the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryError {
    /// The store's log cannot be read.
    Store(StoreFailed),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueryError::Store(failed) => failed.fmt(f),
        }
    }
}

impl std::error::Error for QueryError {}

impl From<StoreFailed> for QueryError {
    fn from(failed: StoreFailed) -> QueryError {
        QueryError::Store(failed)
    }
}

/// One query on its way.
pub(super) struct Walk<'a> {
    source: &'a dyn Source,
    catalog: &'a Catalog,
    filter: &'a Filter,
    terms: Vec<Term>,
    order: Order,
    limit: usize,
    blocks_left: usize,
    found: Vec<(u64, Event)>,
    sends: HashMap<MessageId, Option<Arc<Send>>>,
}

/// Where a step left the walk.
enum Step {
    /// Go on at this number.
    At(u64),
    /// There is nothing further.
    End,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        source: &'a dyn Source,
        catalog: &'a Catalog,
        filter: &'a Filter,
        order: Order,
        limit: usize,
    ) -> Walk<'a> {
        Walk {
            source,
            catalog,
            filter,
            terms: filter.terms(),
            order,
            limit: limit.max(1),
            blocks_left: BLOCKS_MAX,
            found: Vec::new(),
            sends: HashMap::new(),
        }
    }

    /// Walks from `cursor`, or from the end that comes first, until the page is full or the budget spent.
    pub(super) fn page(mut self, cursor: Option<u64>) -> Result<Page, QueryError> {
        let mut at = match (cursor, self.order) {
            (Some(cursor), _) => cursor,
            (None, Order::NewestFirst) => self.source.next_event(),
            (None, Order::OldestFirst) => 0,
        };
        loop {
            if self.found.len() >= self.limit {
                return Ok(self.full_page());
            }
            if self.blocks_left == 0 {
                return Ok(Page { events: self.found, next: Some(at) });
            }
            match self.step(at)? {
                Step::At(next) => at = next,
                Step::End => return Ok(Page { events: self.found, next: None }),
            }
        }
    }

    fn full_page(mut self) -> Page {
        self.found.truncate(self.limit);
        let next = self.found.last().map(|(seq, _)| match self.order {
            Order::NewestFirst => *seq,
            Order::OldestFirst => seq + 1,
        });
        Page { events: self.found, next }
    }

    fn step(&mut self, at: u64) -> Result<Step, QueryError> {
        let files = self.catalog.files();
        match self.order {
            Order::NewestFirst => self.step_down(at, &files),
            Order::OldestFirst => self.step_up(at, &files),
        }
    }

    fn step_down(&mut self, at: u64, files: &Files) -> Result<Step, QueryError> {
        if at == 0 {
            return Ok(Step::End);
        }
        let sealed_end = files.next_seq();
        if at > sealed_end {
            let low = sealed_end.max(at.saturating_sub(TAIL_EVENTS));
            return self.tail(low, at, files);
        }
        let file = files.readable().rev().find(|file| file.footer.span.first_seq < at);
        let Some(file) = file else { return Ok(Step::End) };
        Ok(Step::At(self.file(file, at)))
    }

    fn step_up(&mut self, at: u64, files: &Files) -> Result<Step, QueryError> {
        if let Some(file) = files.readable().find(|file| file.footer.span.last_seq >= at) {
            return Ok(Step::At(self.file(file, at)));
        }
        if at >= self.source.next_event() {
            return Ok(Step::End);
        }
        self.tail(at, at.saturating_add(TAIL_EVENTS), files)
    }

    /// Takes events of the live tail in `low..high`.
    fn tail(&mut self, low: u64, high: u64, files: &Files) -> Result<Step, QueryError> {
        let limit = usize::try_from(high - low).unwrap_or(usize::MAX);
        let mut events = self.source.events_from(low, limit)?;
        events.retain(|(seq, _)| *seq < high);
        if self.catalog.files().version != files.version {
            // A segment was sealed meanwhile, and the log may have let go of it: look again from the same place.
            return Ok(Step::At(if self.order == Order::NewestFirst { high } else { low }));
        }
        self.blocks_left = self.blocks_left.saturating_sub(1);
        let last = events.last().map(|(seq, _)| *seq);
        self.take(events);
        Ok(match (self.order, last) {
            (Order::NewestFirst, _) => Step::At(low),
            (Order::OldestFirst, Some(last)) => Step::At(last + 1),
            (Order::OldestFirst, None) => Step::End,
        })
    }

    /// Takes events of a sealed file beyond `at`, until it ends, the page is full or the budget spent; returns where it
    /// stopped. What cannot be read is noted and passed over.
    fn file(&mut self, file: &Sealed, at: u64) -> u64 {
        let span = file.footer.span;
        let mut stand = match self.order {
            Order::NewestFirst => at.min(span.last_seq + 1),
            Order::OldestFirst => at.max(span.first_seq),
        };
        match self.candidates(file, stand) {
            Ok((open, blocks)) => {
                for block in blocks {
                    if self.found.len() >= self.limit || self.blocks_left == 0 {
                        return stand;
                    }
                    self.block(file, &open, &block, stand);
                    stand = self.beyond(block.span);
                }
            }
            Err(error) => self.note(file, &error),
        }
        self.beyond(span)
    }

    /// Where a walk stands that has just passed `span`.
    fn beyond(&self, span: Span) -> u64 {
        match self.order {
            Order::NewestFirst => span.first_seq,
            Order::OldestFirst => span.last_seq + 1,
        }
    }

    /// Blocks of a file beyond `at` that may hold something for us, in the walk's order.
    fn candidates(&self, file: &Sealed, at: u64) -> Result<(OpenSealed, Vec<Block>), SealedError> {
        let open = file.open(self.catalog.disk())?;
        let span = file.footer.span;
        if !self.filter.may_meet(span.min_ms, span.max_ms, span.types)
            || !open.may_hold(&self.terms)?
        {
            return Ok((open, Vec::new()));
        }
        let mut blocks = open.blocks()?;
        blocks.retain(|block| {
            let Span { first_seq, last_seq, min_ms, max_ms, types, .. } = block.span;
            let ahead = match self.order {
                Order::NewestFirst => first_seq < at,
                Order::OldestFirst => last_seq >= at,
            };
            ahead && self.filter.may_meet(min_ms, max_ms, types) && block.may_hold(&self.terms)
        });
        if self.order == Order::NewestFirst {
            blocks.reverse();
        }
        Ok((open, blocks))
    }

    fn block(&mut self, file: &Sealed, open: &OpenSealed, block: &Block, at: u64) {
        self.blocks_left = self.blocks_left.saturating_sub(1);
        match open.events(block) {
            Ok(mut events) => {
                events.retain(|(seq, _)| match self.order {
                    Order::NewestFirst => *seq < at,
                    Order::OldestFirst => *seq >= at,
                });
                self.take(events);
            }
            Err(error) => self.note(file, &error),
        }
    }

    fn note(&self, file: &Sealed, error: &SealedError) {
        // Retention may have removed it since the list was made.
        let gone =
            matches!(error, SealedError::Io(error) if error.kind() == io::ErrorKind::NotFound);
        if !gone {
            self.catalog.note(&file.path, error);
        }
    }

    /// Keeps what the filter asks for, in the walk's order. `events` are in theirs.
    fn take(&mut self, events: Vec<(u64, Event)>) {
        if self.filter.asks_send() {
            self.learn(&events);
        }
        let mut met = Vec::new();
        for (seq, event) in events {
            if self.filter.matches_event(&event) && self.send_meets(seq, &event) {
                met.push((seq, event));
            }
        }
        if self.order == Order::NewestFirst {
            met.reverse();
        }
        self.found.append(&mut met);
    }

    /// Remembers the Sends among `events`: most often they stand beside what follows from them.
    fn learn(&mut self, events: &[(u64, Event)]) {
        for (_, event) in events {
            if let EventKind::Send(send) = &event.kind {
                self.sends.insert(event.message, Some(Arc::new(send.clone())));
            }
        }
    }

    fn send_meets(&mut self, seq: u64, event: &Event) -> bool {
        if !self.filter.asks_send() {
            return true;
        }
        if let EventKind::Send(send) = &event.kind {
            return self.filter.matches_send(send);
        }
        if self.sends.len() > SENDS_MAX {
            self.sends.clear();
        }
        let (source, catalog, id) = (self.source, self.catalog, event.message);
        let blocks_left = &mut self.blocks_left;
        let send = self.sends.entry(id).or_insert_with(|| {
            // Most often one block.
            *blocks_left = blocks_left.saturating_sub(1);
            send_of(source, catalog, id, seq).ok().flatten().map(Arc::new)
        });
        send.as_ref().is_some_and(|send| self.filter.matches_send(send))
    }
}

/// The Send of a message, if the log still has it. It was written before the event of number `before`, and most often
/// just before.
pub(super) fn send_of(
    source: &dyn Source,
    catalog: &Catalog,
    id: MessageId,
    before: u64,
) -> Result<Option<Send>, QueryError> {
    let filter = Filter {
        types: Types::SEND,
        since_ms: id.unix_ms().saturating_sub(SEND_NEAR_MS),
        until_ms: id.unix_ms().saturating_add(SEND_NEAR_MS),
        ..Filter::of_message(id)
    };
    let page = Walk::new(source, catalog, &filter, Order::NewestFirst, 1).page(Some(before))?;
    Ok(page.events.into_iter().find_map(|(_, event)| match event.kind {
        EventKind::Send(send) => Some(send),
        EventKind::Attempt(_)
        | EventKind::Delivery(_)
        | EventKind::DeliveryDelay(_)
        | EventKind::Bounce(_)
        | EventKind::Reject { .. }
        | EventKind::Unknown(_) => None,
    }))
}

/// The filter of a message's whole life: nothing of it lies long before the moment its id names.
pub(super) fn life_of(id: MessageId) -> Filter {
    let since_ms = id.unix_ms().saturating_sub(SEND_NEAR_MS);
    Filter { since_ms, ..Filter::of_message(id) }
}
