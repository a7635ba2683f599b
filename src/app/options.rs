//! The bootstrap configuration in the words of each part. Pure.

use std::time::Duration;

use crate::config::Config;
use crate::events::EventsOptions;
use crate::intake::IntakeLimits;
use crate::mail::Domain;
use crate::store::StoreOptions;

pub(super) fn store(config: &Config) -> StoreOptions {
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

/// How long sessions get to end their transactions, and then deliveries in flight to hear their verdict: together the 30
/// seconds that a supervisor waits at least.
pub(super) const SESSIONS_DRAIN: Duration = Duration::from_secs(10);
