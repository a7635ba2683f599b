//! The bootstrap configuration in the words of each part. Pure.

use std::time::Duration;

use crate::config::Config;
use crate::delivery::{self, Deadlines};
use crate::events::EventsOptions;
use crate::intake::IntakeLimits;
use crate::mail::Domain;
use crate::net::dns::DnsOptions;
use crate::queue::QueueOptions;
use crate::store::StoreOptions;

/// The store of a configuration.
pub fn store(config: &Config) -> StoreOptions {
    let store = &config.store;
    StoreOptions {
        segment_bytes: store.segment_size.octets(),
        reserve_bytes: store.reserve.map(crate::config::Size::octets),
        ballast_bytes: store.ballast.octets(),
        message_bytes_max: config.limits.message_size.octets(),
        memory_bytes_max: store.memory.octets(),
        cache_bytes: store.cache.octets(),
        ..StoreOptions::new(config.data_dir.clone())
    }
}

pub(super) fn events(config: &Config) -> EventsOptions {
    EventsOptions {
        age_max: config.events.keep_for.duration(),
        bytes_max: config.events.keep_size.octets(),
    }
}

/// The domain of signed return paths.
pub(super) fn bounce_domain(config: &Config) -> Domain {
    config.delivery.bounce_domain.clone().unwrap_or_else(|| config.hostname.clone())
}

pub(super) fn intake(config: &Config) -> IntakeLimits {
    let limits = &config.limits;
    IntakeLimits {
        message_octets_max: limits.message_size.octets(),
        volume_octets_max: limits.recipients_times_size.octets(),
        recipients_max: usize::try_from(limits.recipients).unwrap_or(usize::MAX),
        queued_recipients_max: limits.queued_recipients,
        queued_octets_max: limits.queued_size.octets(),
        age_max: config.queue.max_age.duration(),
        ..IntakeLimits::default()
    }
}

pub(super) fn queue(config: &Config) -> QueueOptions {
    let queue = &config.queue;
    QueueOptions {
        retry_first: queue.first_retry.duration(),
        retry_max: queue.longest_retry.duration(),
        delay_after: queue.delay_warning.duration(),
        connections_max: u32::try_from(queue.connections).unwrap_or(u32::MAX),
        idle_max: config.delivery.idle_timeout.duration(),
        stop_within: DELIVERIES_DRAIN,
        ..QueueOptions::default()
    }
}

pub(super) fn delivery(config: &Config) -> delivery::Options {
    let delivery = &config.delivery;
    delivery::Options {
        port: u16::try_from(delivery.port).unwrap_or(25),
        allow_private_destinations: delivery.allow_private_destinations,
        transactions_max: delivery.messages_per_connection,
        deadlines: Deadlines {
            connect: delivery.connect_timeout.duration(),
            greeting: delivery.greeting_timeout.duration(),
            command: delivery.command_timeout.duration(),
            piece: delivery.data_timeout.duration(),
            dot: delivery.dot_timeout.duration(),
            ..Deadlines::default()
        },
        extra_roots: Vec::new(),
    }
}

pub(super) fn dns(config: &Config) -> DnsOptions {
    DnsOptions {
        servers: config.dns_servers.clone(),
        timeout: config.delivery.dns_timeout.duration(),
        ..DnsOptions::default()
    }
}

/// How long sessions get to end their transactions…
pub(super) const SESSIONS_DRAIN: Duration = Duration::from_secs(10);
/// …and then deliveries in flight to hear their verdict: together below the 30 seconds that stopping may take.
const DELIVERIES_DRAIN: Duration = Duration::from_secs(18);
