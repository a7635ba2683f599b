//! The queue's settings and bounds, each with its unit and reason.

use std::time::Duration;

/// How the queue paces itself and what it may hold in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOptions {
    /// Wait after the first failed try; each further one doubles it.
    pub retry_first: Duration,
    /// The longest wait between two tries.
    pub retry_max: Duration,
    /// A recipient that has waited this long gets its DeliveryDelay, once.
    pub delay_after: Duration,
    /// Connections of the whole process.
    pub connections_max: u32,
    /// How long a connection with nothing to do is kept for the next message.
    pub idle_max: Duration,
    /// First attempts of one lane held in memory with their message; what comes after them is read from disk.
    pub fresh_per_lane_max: usize,
    /// Recipients in memory, all lanes together.
    pub entries_max: usize,
    /// Octets of messages in memory, all lanes together.
    pub bytes_max: u64,
    /// Lanes known in memory; the mail of further ones waits on disk until others are done.
    pub lanes_max: usize,
    /// Recipients read from disk at once for one lane.
    pub load_entries_max: usize,
    /// Disk reads at once.
    pub loads_max: usize,
    /// Look-ups of routes at once.
    pub lookups_max: usize,
    /// A lane asks for its route anew after this long; the answer's own TTL is kept by the courier.
    pub route_age_max: Duration,
    /// How long a connection beyond those that work is not tried after one was refused.
    pub refused_pause: Duration,
    /// How long stopping waits for what is in flight.
    pub stop_within: Duration,
}

impl Default for QueueOptions {
    fn default() -> QueueOptions {
        QueueOptions {
            retry_first: Duration::from_mins(1),
            retry_max: Duration::from_hours(4),
            delay_after: Duration::from_hours(4),
            connections_max: 500,
            idle_max: Duration::from_secs(5),
            fresh_per_lane_max: 1000,
            entries_max: 50_000,
            bytes_max: 64 << 20,
            lanes_max: 200_000,
            load_entries_max: 64,
            loads_max: 4,
            lookups_max: 64,
            route_age_max: Duration::from_mins(1),
            refused_pause: Duration::from_secs(30),
            stop_within: Duration::from_secs(30),
        }
    }
}

/// A span in whole milliseconds.
pub(super) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
