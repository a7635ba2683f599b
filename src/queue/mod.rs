//! The queue: which recipient is tried next, by which connection, and what follows from the verdict.
//!
//! It never speaks to another host (that is the [`Courier`]'s), never reads a message that is still in memory, and holds
//! no state that a crash could lose: what waits is in the store, a lease lives in memory only.

mod courier;
pub mod expiry;
mod leases;
mod options;
pub mod schedule;
pub mod settle;
#[cfg(test)]
mod settle_tests;
#[cfg(test)]
mod testing;
pub mod time;
pub mod turn;
pub mod words;

pub use courier::{
    BoxFuture, Courier, Fate, MxHost, Notices, Permit, Permits, Records, Report, Route, RouteTls,
    Suppression, Told,
};
pub use leases::{Lease, Leases, Settling};
pub use options::QueueOptions;
