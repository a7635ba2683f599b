//! What the door takes at most. From the bootstrap file; each bound has its reply.

use std::time::Duration;

use super::refusal::Refusal;

/// Bounds of a message and of all that is queued.
#[derive(Debug, Clone)]
pub struct IntakeLimits {
    /// Octets of one message (RFC 1870 §4).
    pub message_octets_max: u64,
    /// Octets of one message times its recipients: what its delivery will send.
    pub volume_octets_max: u64,
    /// Recipients of one message; at least 100 by RFC 5321 §4.5.3.1.8.
    pub recipients_max: usize,
    /// Recipients that may wait, all messages together.
    pub queued_recipients_max: u64,
    /// Octets of the store's log and large bodies.
    pub queued_octets_max: u64,
    /// How long a message waits for its place in memory before it hears 452.
    pub place_wait: Duration,
    /// How long a message is tried where its configuration set says nothing.
    pub age_max: Duration,
    /// The longest hold (RFC 4865 §5).
    pub hold_max: Duration,
}

impl Default for IntakeLimits {
    fn default() -> IntakeLimits {
        IntakeLimits {
            message_octets_max: 40 << 20,
            volume_octets_max: 2 << 30,
            recipients_max: 1_000,
            queued_recipients_max: 20_000_000,
            queued_octets_max: 200 << 30,
            place_wait: Duration::from_secs(30),
            age_max: Duration::from_hours(4 * 24),
            hold_max: Duration::from_hours(30 * 24),
        }
    }
}

impl IntakeLimits {
    /// Whether a message of so many octets to so many recipients may come in.
    pub(super) fn check_size(&self, octets: u64, recipients: usize) -> Result<(), Refusal> {
        if octets > self.message_octets_max {
            return Err(Refusal::MessageLarge { octets_max: self.message_octets_max });
        }
        if octets.saturating_mul(recipients as u64) > self.volume_octets_max {
            return Err(Refusal::VolumeLarge { octets_max: self.volume_octets_max });
        }
        Ok(())
    }

    /// Whether a message may be held that long (RFC 4865 §5).
    pub(super) fn check_hold(&self, until_ms: Option<u64>, now_ms: u64) -> Result<(), Refusal> {
        let until_ms = Duration::from_millis(until_ms.unwrap_or_default());
        if until_ms.saturating_sub(Duration::from_millis(now_ms)) > self.hold_max {
            return Err(Refusal::HoldLong { days_max: self.hold_max.as_secs() / (24 * 3_600) });
        }
        Ok(())
    }
}

/// Body octets up to which a message is held in memory until its commit; a longer one goes to a file of its own.
pub const MEMORY_OCTETS_MAX: u64 = 1 << 20;
/// What is reserved for a message whose client says nothing about its size: nearly every message fits.
pub(super) const RESERVE_OCTETS: u32 = 128 << 10;
/// Octets gathered before they are written to a large body's file.
pub(super) const SPILL_CHUNK_OCTETS: usize = 256 << 10;
