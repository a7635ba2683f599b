//! `/metrics`: figures in the text format that Prometheus reads (OpenMetrics), gathered anew at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::events::EventsStatus;
use crate::store::StoreStatus;
use crate::supervise;
use crate::telemetry::tally::{self, Tally};

use super::admin::shapes::Counts;
use super::probes::{Probes, SmtpFigures};

/// The content type of the text.
pub(super) const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of a scrape. Blocks.
pub(super) fn text(probes: &Probes) -> String {
    let figures = Figures {
        tally: tally::read(),
        store: probes.store.status(),
        events: probes.events.status(),
        smtp: probes.readiness.smtp(),
        ready: probes.readiness.missing(&probes.store).is_empty(),
        uptime_seconds: probes.clock.uptime().as_secs_f64(),
        process: process(),
    };
    let mut registry = Registry::with_prefix("postrider");
    registry.register_collector(Box::new(figures));
    let mut out = String::new();
    match prometheus_client::encoding::text::encode(&mut out, &registry) {
        Ok(()) => out,
        Err(error) => {
            tracing::error!(error = %error, "metrics do not encode: {error}");
            String::new()
        }
    }
}

/// The counts of `status`.
pub(super) fn counts() -> Counts {
    let Tally { accepted, delivered, deferred, bounced, rejected, .. } = tally::read();
    Counts { accepted, delivered, deferred, bounced, rejected, panics: supervise::panics() }
}

#[derive(Debug)]
struct Figures {
    tally: Tally,
    store: StoreStatus,
    events: EventsStatus,
    smtp: SmtpFigures,
    ready: bool,
    uptime_seconds: f64,
    process: Process,
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.mail(&mut out)?;
        self.smtp(&mut out)?;
        self.store(&mut out)?;
        self.events(&mut out)?;
        self.process(&mut out)
    }
}

impl Figures {
    fn mail(&self, out: &mut Out<'_>) -> fmt::Result {
        out.count("messages_accepted", "Messages accepted", self.tally.accepted)?;
        out.count("messages_rejected", "Messages rejected after acceptance", self.tally.rejected)?;
        out.count("attempts", "Tries of one recipient", self.tally.attempts)?;
        out.count("recipients_delivered", "Recipients delivered", self.tally.delivered)?;
        out.count("attempts_deferred", "Tries that were put off", self.tally.deferred)?;
        out.count("recipients_delayed", "Recipients told to be late", self.tally.delayed)?;
        out.count("recipients_bounced", "Recipients bounced", self.tally.bounced)?;
        out.level("queue_recipients", "Recipients that wait", self.store.waiting)
    }

    fn smtp(&self, out: &mut Out<'_>) -> fmt::Result {
        let smtp = &self.smtp;
        out.level("smtp_connections_open", "SMTP connections open now", smtp.open)?;
        out.count("smtp_connections", "SMTP connections that came", smtp.connections)?;
        out.count("smtp_connections_refused", "SMTP connections without a place", smtp.refused)?;
        out.count("smtp_logins_refused", "SMTP logins refused", smtp.logins_refused)
    }

    fn store(&self, out: &mut Out<'_>) -> fmt::Result {
        let store = &self.store;
        out.count("store_changes", "Changes committed", store.changes)?;
        out.count("store_syncs", "Groups written, one sync each", store.groups)?;
        out.seconds("store_sync_seconds", "Time spent in syncs", store.sync_us)?;
        out.count("store_checkpoints", "Checkpoints of the index", store.checkpoints)?;
        out.level("store_log_bytes", "Octets of the log on disk", store.log_bytes)?;
        out.level("store_index_bytes", "Octets of the index on disk", store.index_bytes)?;
        out.level("store_segments", "Segments of the log in use", store.segments)?;
        out.level("store_replay_bytes", "Octets a restart replays", store.replay_bytes)?;
        out.level("store_memory_bytes", "Octets of messages in memory", store.memory_bytes)?;
        out.level("disk_free_bytes", "Octets free on the store's disk", store.free_bytes)?;
        out.level("disk_reserve_bytes", "Octets that must stay free", store.reserve_bytes)?;
        out.level("store_failed", "1 after a failed write", u64::from(store.failed.is_some()))
    }

    fn events(&self, out: &mut Out<'_>) -> fmt::Result {
        let events = &self.events;
        out.level("events_bytes", "Octets of sealed event files", events.bytes)?;
        out.level("events_files", "Sealed event files", events.files)?;
        out.level("events_damaged", "Damaged event files", events.damaged.len() as u64)?;
        let unsealed = events.next_event.saturating_sub(events.sealed_event);
        out.level("events_unsealed", "Events still in the log alone", unsealed)
    }

    fn process(&self, out: &mut Out<'_>) -> fmt::Result {
        out.level("ready", "1 if mail is taken", u64::from(self.ready))?;
        out.count("panics", "Panics caught", supervise::panics())?;
        out.level("resident_bytes", "Octets of memory in use", self.process.resident_bytes)?;
        out.seconds("cpu_seconds", "Processor time used", self.process.cpu_us)?;
        out.level("open_files", "Open files", self.process.open_files)?;
        out.put("uptime_seconds", "Time since start", &ConstGauge::new(self.uptime_seconds))
    }
}

/// Writes one figure after the other.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn count(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.put(name, help, &ConstCounter::new(value))
    }

    fn seconds(&mut self, name: &str, help: &str, us: u64) -> fmt::Result {
        self.put(name, help, &ConstCounter::new(std::time::Duration::from_micros(us).as_secs_f64()))
    }

    fn level(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.put(name, help, &ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn put(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, None, metric.metric_type())?)
    }
}

/// What the kernel says of the process; nought where it says nothing.
#[derive(Debug, Default)]
struct Process {
    resident_bytes: u64,
    cpu_us: u64,
    open_files: u64,
}

fn process() -> Process {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(cpu.tv_sec).unwrap_or(0);
    Process {
        resident_bytes: resident_bytes(&status).unwrap_or(0),
        cpu_us: seconds * 1_000_000 + u64::try_from(cpu.tv_nsec).unwrap_or(0) / 1000,
        open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
    }
}

/// From `VmRSS:   12345 kB`.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_on_memory_is_understood() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t   3644 kB\nX: 1\n"), Some(3644 * 1024));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
        assert!(process().resident_bytes > 0 && process().open_files > 0);
    }
}
