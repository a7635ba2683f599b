//! Signing off the reactor: an RSA signature takes as long as everything else about a message, so as many run at once as there are
//! cores, on threads of their own, and no connection waits for another's.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::message::dkim::{BodyHash, BodyHasher};
use crate::supervise;

/// Places for signatures in the making. Those who wait for one are sessions, which have a bound of their own.
#[derive(Debug)]
pub(super) struct Signers {
    places: Arc<Semaphore>,
}

/// What can be hashed: octets in memory, or a hash that was made while the body went to its file.
#[derive(Debug, Clone)]
pub(super) enum Digest {
    Octets(bytes::Bytes),
    Done(BodyHash),
}

impl Digest {
    /// The body's hash; takes a pass over octets in memory.
    pub(super) fn hash(&self) -> BodyHash {
        match self {
            Digest::Done(hash) => *hash,
            Digest::Octets(octets) => {
                let mut hasher = BodyHasher::new();
                hasher.push(octets);
                hasher.finish()
            }
        }
    }
}

impl Signers {
    pub(super) fn new() -> Signers {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Signers { places: Arc::new(Semaphore::new(cores)) }
    }

    /// Runs `work` on a signer's thread; `None` if it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        supervise::blocking("signer", move || {
            let made = work();
            drop(place);
            made
        })
        .await
    }
}
