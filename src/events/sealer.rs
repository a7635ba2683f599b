//! The sealer: rewrites each sealed segment of the log into an event file, and lets old files go.
//!
//! A segment is given back to the store only when its events are durable in a file of ours. After a crash in between the
//! same file is written again, octet for octet.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::store::{SegmentInfo, StoreFailed};
use crate::supervise;

use super::EventsOptions;
use super::catalog::Catalog;
use super::sealed;
use super::source::Source;

/// How often age and size are looked at, and how long a failed sealing rests before the next try.
const PAUSE: Duration = Duration::from_secs(30);

/// Why a segment was not sealed. It stays in the log and is tried again.
#[derive(Debug)]
pub(super) enum SealError {
    Store(StoreFailed),
    Io(std::io::Error),
    /// The work panicked; it was logged.
    Panicked,
}

impl std::fmt::Display for SealError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SealError::Store(failed) => failed.fmt(f),
            SealError::Io(error) => error.fmt(f),
            SealError::Panicked => f.write_str("it panicked"),
        }
    }
}

/// Events in memory at a time while a segment is sealed: a few megabytes.
const BATCH_EVENTS: usize = 1024;

/// What the sealer works on.
#[derive(Clone)]
pub(super) struct Sealer {
    pub(super) source: Arc<dyn Source>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: EventsOptions,
    /// Wall time at start less uptime, Unix milliseconds.
    pub(super) born_ms: u64,
}

/// How far the wall clock may run ahead of uptime before it is not believed.
const CLOCK_SLACK_MS: u64 = 60 * 60 * 1000;

impl Sealer {
    /// Seals and retains until it is dropped.
    pub(super) async fn run(self) {
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(error = %error, "events stay in the log for now: {error}");
            }
            // A pass of the time limit is a wake-up too.
            let _ = tokio::time::timeout(PAUSE, self.source.wait_sealed()).await;
        }
    }

    /// Seals what is ready, oldest first, then removes what is past its time.
    pub(super) async fn round(&self) -> Result<(), SealError> {
        for segment in self.source.sealed_segments() {
            if !segment.events_taken {
                self.seal(segment).await?;
            }
        }
        let this = self.clone();
        supervise::blocking("events", move || this.retain()).await.ok_or(SealError::Panicked)?
    }

    async fn seal(&self, segment: SegmentInfo) -> Result<(), SealError> {
        let this = self.clone();
        supervise::blocking("events", move || this.write(segment))
            .await
            .ok_or(SealError::Panicked)??;
        self.source.taken(segment.segment).await.map_err(SealError::Store)
    }

    fn write(&self, segment: SegmentInfo) -> Result<(), SealError> {
        let SegmentInfo { first_event, next_event, .. } = segment;
        if first_event == next_event || self.has(segment) {
            return Ok(());
        }
        let (disk, dir) = (self.catalog.disk(), self.catalog.dir());
        let mut file = sealed::Writing::start(disk, dir, first_event).map_err(SealError::Io)?;
        let mut at = first_event;
        while at < next_event {
            let batch = self.source.events_from(at, BATCH_EVENTS).map_err(SealError::Store)?;
            let within = batch.iter().filter(|(seq, _)| *seq < next_event);
            // Events that cannot be read are missing, and said so by the store: the others count.
            at = next_event;
            for (seq, event) in within {
                file.add(*seq, event).map_err(SealError::Io)?;
                at = seq + 1;
            }
        }
        file.finish().map_err(SealError::Io)?;
        self.catalog.add(sealed::name_of(first_event)).map_err(SealError::Io)
    }

    /// Whether a file holds the segment already: we crashed, or started anew, before the store was told.
    fn has(&self, segment: SegmentInfo) -> bool {
        let name = sealed::name_of(segment.first_event);
        let files = self.catalog.files();
        let known = files.entries.iter().find(|entry| entry.name == name);
        known
            .and_then(|entry| entry.sealed.as_ref())
            .is_some_and(|file| file.footer.span.last_seq + 1 == segment.next_event)
    }

    fn retain(&self) -> Result<(), SealError> {
        let age_ms = millis(self.options.age_max);
        let before_ms = self.believed_now_ms().saturating_sub(age_ms);
        let removed =
            self.catalog.retain(before_ms, self.options.bytes_max).map_err(SealError::Io)?;
        if removed > 0 {
            tracing::info!(files = removed, "{removed} event files were past their time");
        }
        Ok(())
    }

    /// The time by which events grow old: a clock that was set years ahead must not empty the log. One that was set right
    /// after the start only keeps events longer, until the next start.
    fn believed_now_ms(&self) -> u64 {
        let uptime_ms = millis(self.clock.uptime());
        let ahead_max = self.born_ms.saturating_add(uptime_ms).saturating_add(CLOCK_SLACK_MS);
        self.clock.now_ms().min(ahead_max)
    }
}

/// Wall time less uptime: when the clock was made, Unix milliseconds.
pub(super) fn born_ms(clock: &dyn Clock) -> u64 {
    clock.now_ms().saturating_sub(millis(clock.uptime()))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
