//! The queue: which recipient is tried next, by which connection, and what follows from the verdict.
//!
//! It never speaks to another host (that is the [`Courier`]'s), never reads a message that is still in memory, and holds
//! no state that a crash could lose: what waits is in the store, a lease lives in memory only.

mod board;
mod clerk;
mod courier;
mod disk;
mod doors;
pub mod expiry;
mod hub;
mod lane;
mod leases;
mod marks;
mod memory;
mod options;
mod ready;
pub mod schedule;
pub mod settle;
#[cfg(test)]
mod settle_tests;
mod supply;
#[cfg(test)]
mod testing;
pub mod time;
pub mod turn;
pub mod words;

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::store::{Store, StoreFailed};
use crate::supervise;
use board::Destination;
use hub::Hub;

pub use courier::{
    BoxFuture, Courier, Fate, MxHost, Notices, Permit, Permits, Records, Report, Route, RouteTls,
    Suppression, Told,
};
pub use doors::{Counts, Ending, Filter, Page, Shown};
pub use hub::Partners;
pub use leases::{Lease, Leases, Settling};
pub use options::QueueOptions;

/// The queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Hub>);

impl Queue {
    /// Learns which lanes hold mail and which destinations rest, and hears of new mail from here on. Blocks; moves nothing
    /// before [`Queue::run`].
    pub fn open(
        store: Store,
        clock: Arc<dyn Clock>,
        partners: Partners,
        options: QueueOptions,
    ) -> Result<Queue, StoreFailed> {
        let rests = marks::read(&store)?;
        let hub = Hub::new(store, clock, partners, options);
        hub.with(|board| {
            let now_ms = board.time.now_ms();
            for (of, mut rest) in rests {
                // A rest written by a clock that was wrong, or longer than any of ours, is over.
                if rest.until_ms > now_ms.saturating_add(options::ms(board.options.retry_max) * 2) {
                    rest.until_ms = now_ms;
                }
                if let Destination::Lane(lane) = of
                    && let Some(id) = board.lane_for(lane, None)
                    && let Some(state) = board.lanes.get_mut(&id)
                {
                    state.rest = Some(rest);
                } else {
                    board.remembered.insert(of, rest);
                }
            }
            board.unlisted = true;
        });
        hub.store.notify(Arc::<Hub>::clone(&hub));
        Ok(Queue(hub))
    }

    /// Starts to move mail; ends by itself after [`Queue::stop`].
    pub fn run(&self) -> JoinHandle<()> {
        let hub = Arc::clone(&self.0);
        let places = clerk::Places::new(&hub);
        supervise::keep("queue", move || clerk::run(Arc::clone(&hub), Arc::clone(&places)))
    }

    /// Hands out nothing more and waits for what is in flight, as long as the options say.
    pub async fn stop(&self) {
        let hub = &self.0;
        hub.with(|board| {
            board.stopping = true;
            board.nudge = true;
            let conns: Vec<_> = board.conns.keys().copied().collect();
            for conn in conns {
                // One that is at work ends its transaction and asks again; it is told then.
                if let Some(waker) = board.conns.get_mut(&conn).and_then(|conn| conn.waker.take()) {
                    board.wakers.push(waker);
                }
            }
        });
        let quiet = async {
            while !hub.with(|board| board.in_flight == 0 && board.conns.is_empty()) {
                hub.quiet.notified().await;
            }
        };
        if tokio::time::timeout(hub.options.stop_within, quiet).await.is_err() {
            tracing::warn!("deliveries were still in flight when the queue stopped");
        }
    }
}
