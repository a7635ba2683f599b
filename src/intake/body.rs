//! The body of a message while it comes in: in memory as long as a place there is reserved for it, then in a file of its own.
//!
//! Never grows past its reservation: a body that finds no more memory goes to its file early instead of waiting, since its
//! client is sending already. Files are written and hashed off the reactor.

use std::io;
use std::time::Duration;

use bytes::Bytes;

use super::limits::{MEMORY_OCTETS_MAX, RESERVE_OCTETS, SPILL_CHUNK_OCTETS};
use crate::mail::{Body, MessageId};
use crate::message::dkim::{BodyHash, BodyHasher};
use crate::store::{LargeWriter, MemoryPlace, Store};
use crate::supervise;

/// See the module.
pub(super) struct Incoming {
    store: Store,
    id: MessageId,
    /// What is in memory: all of it, or what the file does not have yet.
    buffer: Vec<u8>,
    places: Vec<MemoryPlace>,
    reserved: u64,
    file: Option<Spilled>,
}

struct Spilled {
    writer: LargeWriter,
    /// Made where the message will be signed; then a body in a file need not be read again.
    hasher: Option<BodyHasher>,
}

/// A body that came in whole.
pub(super) struct Received {
    pub(super) body: Body,
    /// Of a body in a file that will be signed.
    pub(super) hash: Option<BodyHash>,
    /// Held until the commit.
    pub(super) places: Vec<MemoryPlace>,
}

impl Incoming {
    /// Reserves memory for a message of `size` octets, or for one of usual size; waits for it up to `wait`. `None` when the time
    /// is over.
    pub(super) async fn reserve(
        store: &Store,
        size: Option<u64>,
        wait: Duration,
    ) -> Option<Incoming> {
        let reserve = reservation(size);
        let place = tokio::time::timeout(wait, store.memory(reserve)).await.ok()?;
        Some(Incoming {
            id: store.new_id(),
            store: store.clone(),
            buffer: Vec::new(),
            places: vec![place],
            reserved: u64::from(reserve),
            file: None,
        })
    }

    pub(super) fn id(&self) -> MessageId {
        self.id
    }

    /// Takes the next octets of the body. `signed`: the message will be signed.
    pub(super) async fn push(&mut self, octets: &[u8], signed: bool) -> io::Result<()> {
        if self.file.is_none() && !self.fits(octets.len()).await {
            self.spill(signed).await?;
        }
        self.buffer.extend_from_slice(octets);
        if self.file.is_some() && self.buffer.len() >= SPILL_CHUNK_OCTETS {
            self.write_out().await?;
        }
        Ok(())
    }

    /// The whole body; a file is durable then.
    pub(super) async fn finish(mut self) -> io::Result<Received> {
        if self.file.is_some() {
            self.write_out().await?;
        }
        let Some(Spilled { writer, hasher }) = self.file else {
            // A place in the queue's memory must not hold what the growing of the buffer left over.
            self.buffer.shrink_to_fit();
            let body = Body::Memory(Bytes::from(self.buffer));
            return Ok(Received { body, hash: None, places: self.places });
        };
        let body = blocking(move || writer.finish()).await?;
        Ok(Received { body, hash: hasher.map(BodyHasher::finish), places: self.places })
    }

    /// Whether `more` octets may stay in memory: below the bound, and inside the reservation or what can be added to it at once.
    async fn fits(&mut self, more: usize) -> bool {
        let needed = self.buffer.len() as u64 + more as u64;
        if needed <= self.reserved {
            return true;
        }
        if needed > MEMORY_OCTETS_MAX {
            return false;
        }
        let step = u32::try_from(needed - self.reserved).unwrap_or(u32::MAX).max(RESERVE_OCTETS);
        let Ok(place) = tokio::time::timeout(Duration::ZERO, self.store.memory(step)).await else {
            return false;
        };
        self.places.push(place);
        self.reserved += u64::from(step);
        true
    }

    async fn spill(&mut self, signed: bool) -> io::Result<()> {
        let (store, id) = (self.store.clone(), self.id);
        let writer = blocking(move || store.large_writer(id)).await?;
        self.file = Some(Spilled { writer, hasher: signed.then(BodyHasher::new) });
        self.write_out().await
    }

    async fn write_out(&mut self) -> io::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let mut buffer = std::mem::take(&mut self.buffer);
        let (file, buffer) = blocking(move || {
            file.writer.write(&buffer)?;
            if let Some(hasher) = &mut file.hasher {
                hasher.push(&buffer);
            }
            buffer.clear();
            // What gathered before the spill need not be kept for the chunks after it.
            buffer.shrink_to(SPILL_CHUNK_OCTETS);
            Ok((file, buffer))
        })
        .await?;
        (self.file, self.buffer) = (Some(file), buffer);
        Ok(())
    }
}

/// What is reserved before 354.
fn reservation(size: Option<u64>) -> u32 {
    let size = size.filter(|size| *size > 0).unwrap_or(u64::from(RESERVE_OCTETS));
    u32::try_from(size.min(MEMORY_OCTETS_MAX)).unwrap_or(RESERVE_OCTETS)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let panicked = || Err(io::Error::other("the writer of a large body panicked"));
    supervise::blocking("large body", work).await.unwrap_or_else(panicked)
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("id", &self.id).finish_non_exhaustive()
    }
}
