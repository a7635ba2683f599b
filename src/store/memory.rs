//! Places in memory for messages on their way to a commit: taken before 354, given back when dropped.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Octets of one unit: a semaphore counts to 2^61, but its permits are taken as `u32`.
const UNIT: u64 = 1024;

/// A place in memory for a message that is being taken; given back when dropped.
#[derive(Debug)]
pub struct MemoryPlace {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Octets as units.
pub(super) fn units(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

/// Octets of free units.
pub(super) fn free_bytes(memory: &Semaphore) -> u64 {
    memory.available_permits() as u64 * UNIT
}

/// Waits for room for `bytes`, at most all there is. First come, first served. Cancellation-safe.
pub(super) async fn take(memory: &Arc<Semaphore>, bytes: u32, max: u64) -> MemoryPlace {
    let wanted = u32::try_from(units(u64::from(bytes).min(max))).unwrap_or(u32::MAX);
    MemoryPlace { _permit: Arc::clone(memory).acquire_many_owned(wanted).await.ok() }
}
