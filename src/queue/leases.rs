//! What a connection holds of the queue: the recipients it may try, one after another.
//!
//! A lease lives in memory only: whatever becomes of the process, a recipient without an outcome is due again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::courier::Report;
use crate::mail::event::Attempt;
use crate::mail::{Failure, Message};
use crate::store::{StoreFailed, WaitKey, Waiting};

/// One recipient, to be tried now by who holds this.
///
/// Ends with [`Leases::settle`] or [`Leases::give_back`]; one that is dropped (its task panicked) counts as a try that
/// was cut off.
#[derive(Debug)]
pub struct Lease {
    /// Which recipient of which message.
    pub key: WaitKey,
    /// What is known of its tries so far.
    pub waiting: Waiting,
    /// The message, shared by all its recipients.
    pub message: Arc<Message>,
}

/// The recipients that one connection may try.
#[derive(Debug)]
pub struct Leases {}

/// Resolves when an outcome is durable. It is under way from the start and goes on when this is dropped.
#[derive(Debug)]
pub struct Settling {}

impl Leases {
    /// The next recipient for this connection; waits a while for one (the idle time of the options), then gives `None`: say
    /// QUIT. Cancellation-safe: nothing is lost when the future is dropped.
    #[allow(clippy::unused_async, reason = "a shell, for half an hour")]
    pub async fn next(&mut self) -> Option<Lease> {
        None
    }

    /// The next recipient if one is there now: what a pipelining connection asks between two transactions.
    pub fn try_next(&mut self) -> Option<Lease> {
        None
    }

    /// Ends a lease with its verdict: one commit of outcome, events, suppression and notice.
    pub fn settle(&mut self, lease: Lease, report: Report) -> Settling {
        drop((lease, report));
        Settling {}
    }

    /// Gives a lease back untried, to be handed out again at once, by preference to another connection.
    pub fn give_back(&mut self, lease: Lease) {
        drop(lease);
    }

    /// Says that no connection could be opened: the whole destination rests, then is probed by one connection.
    pub fn refused(&mut self, failure: Failure, attempt: Attempt) {
        drop((failure, attempt));
    }
}

impl Future for Settling {
    type Output = Result<(), StoreFailed>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}
