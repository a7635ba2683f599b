//! The queue: which recipient is tried next, by which connection, and what follows from the verdict.
//!
//! It never speaks to another host (that is the [`Courier`]'s), never reads a message that is still in memory, and holds
//! no state that a crash could lose: what waits is in the store, a lease lives in memory only.

mod courier;
mod leases;

pub use courier::{
    BoxFuture, Courier, Fate, MxHost, Notices, Permit, Permits, Records, Report, Route, RouteTls,
    Suppression, Told,
};
pub use leases::{Lease, Leases, Settling};
