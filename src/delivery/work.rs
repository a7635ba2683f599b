//! Where a connection gets its recipients from: the queue's leases, or a list in tests.

use std::future::Future;

use crate::mail::Failure;
use crate::mail::event::Attempt;
use crate::queue::{Lease, Leases, Report, Settling};
use crate::store::StoreFailed;

/// What [`Leases`] offers; its own documentation holds.
pub(super) trait Work: Send {
    /// Resolves when an outcome is durable.
    type Settled: Future<Output = Result<(), StoreFailed>> + Send + Unpin;

    fn next(&mut self) -> impl Future<Output = Option<Lease>> + Send;
    fn try_next(&mut self) -> Option<Lease>;
    fn settle(&mut self, lease: Lease, report: Report) -> Self::Settled;
    fn give_back(&mut self, lease: Lease);
    fn refused(&mut self, failure: &Failure, attempt: Attempt);
}

impl Work for Leases {
    type Settled = Settling;

    fn next(&mut self) -> impl Future<Output = Option<Lease>> + Send {
        Leases::next(self)
    }

    fn try_next(&mut self) -> Option<Lease> {
        Leases::try_next(self)
    }

    fn settle(&mut self, lease: Lease, report: Report) -> Settling {
        Leases::settle(self, lease, report)
    }

    fn give_back(&mut self, lease: Lease) {
        Leases::give_back(self, lease);
    }

    fn refused(&mut self, failure: &Failure, attempt: Attempt) {
        Leases::refused(self, failure, attempt);
    }
}
