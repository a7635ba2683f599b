//! What a connection holds of the queue: the recipients it may try, one after another.
//!
//! A lease lives in memory only: whatever becomes of the process, a recipient without an outcome is due again.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::board::Ended;
use super::courier::{BoxFuture, Report};
use super::hub::{After, Hub};
use super::lane::{Entry, LaneId, who};
use super::memory::Kept;
use super::ready::ConnId;
use crate::mail::event::Attempt;
use crate::mail::{EnhancedStatus, Failure, FailureClass, Message, Reply};
use crate::store::{Change, Store, StoreFailed, WaitKey, Waiting};
use crate::supervise;

/// One recipient, to be tried now by who holds this.
///
/// Ends with [`Leases::settle`] or [`Leases::give_back`]; one that is dropped (its task panicked) counts as a try that
/// was cut off.
pub struct Lease {
    /// Which recipient of which message.
    pub key: WaitKey,
    /// What is known of its tries so far.
    pub waiting: Waiting,
    /// The message, shared by all its recipients.
    pub message: Arc<Message>,
    home: Option<Home>,
}

/// Where a lease belongs.
struct Home {
    hub: Arc<Hub>,
    lane: LaneId,
    kept: Arc<Kept>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Lease {
    /// Takes the lease apart, so that its end is not taken for an accident.
    fn open(mut self) -> Option<(Home, Entry)> {
        let home = self.home.take()?;
        let kept = Arc::clone(&home.kept);
        Some((home, Entry { key: self.key, waiting: self.waiting.clone(), kept }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else { return };
        let entry = Entry { key: self.key, waiting: self.waiting.clone(), kept: home.kept };
        home.hub.with(|board| {
            board.nudge = true;
            board.work.orphans.push((home.lane, entry));
        });
    }
}

/// The recipients that one connection may try. Dropping it says that the connection is gone.
pub struct Leases {
    hub: Arc<Hub>,
    conn: ConnId,
    /// Whether it was told anything since it was made: a connection that ends before it asked for work or said why not
    /// must not be opened again at once.
    spoke: bool,
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").field("conn", &self.conn).finish_non_exhaustive()
    }
}

impl Leases {
    pub(super) fn new(hub: Arc<Hub>, conn: ConnId) -> Leases {
        Leases { hub, conn, spoke: false }
    }

    /// The next recipient for this connection; waits a while for one (the idle time of the options), then gives `None`: say
    /// QUIT. Cancellation-safe: nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Lease> {
        // The way of a busy connection, without a timer.
        if let Poll::Ready(lease) = self.poll(None) {
            return lease;
        }
        let idle_max = self.hub.options.idle_max;
        let wait = poll_fn(|cx| self.poll(Some(cx.waker())));
        if let Ok(lease) = tokio::time::timeout(idle_max, wait).await {
            return lease;
        }
        self.hub.with(|board| board.close(self.conn));
        None
    }

    /// The next recipient if one is there now: what a pipelining connection asks between two transactions.
    pub fn try_next(&mut self) -> Option<Lease> {
        match self.poll(None) {
            Poll::Ready(lease) => lease,
            Poll::Pending => None,
        }
    }

    fn poll(&mut self, waker: Option<&Waker>) -> Poll<Option<Lease>> {
        self.spoke = true;
        self.hub.take(self.conn, waker).map(|taken| {
            taken.map(|(lane, entry)| Lease {
                key: entry.key,
                waiting: entry.waiting,
                message: Arc::clone(&entry.kept.message),
                home: Some(Home { hub: Arc::clone(&self.hub), lane, kept: entry.kept }),
            })
        })
    }

    /// Ends a lease with its verdict: one commit of outcome, events, suppression and notice.
    pub fn settle(&mut self, lease: Lease, report: Report) -> Settling {
        match lease.open() {
            Some((home, entry)) => home.hub.settle(home.lane, &entry, report),
            None => Settling::nothing(),
        }
    }

    /// Gives a lease back untried, to be handed out again at once, by preference to another connection.
    pub fn give_back(&mut self, lease: Lease) {
        if let Some((home, entry)) = lease.open() {
            let of = who(&entry.key);
            home.hub.with(|board| board.lease_ended(home.lane, of, Ended::Untried(entry)));
        }
    }

    /// Says that no connection could be opened: the whole destination rests, then is probed by one connection.
    pub fn refused(&mut self, failure: &Failure, attempt: Attempt) {
        self.spoke = true;
        self.hub.with(|board| board.refused(self.conn, failure, attempt));
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        if !self.spoke {
            let status = EnhancedStatus::new(4, 3, 0);
            let failure = Failure {
                reply: Reply::local(status, "the connection was cut off by a fault of ours"),
                class: FailureClass::Infrastructure,
                whole_destination: true,
            };
            self.refused(&failure, Attempt::default());
        }
        self.hub.with(|board| board.closed(self.conn));
    }
}

/// Resolves when an outcome is durable. It is under way from the start and goes on when this is dropped.
#[must_use = "the next message's final dot waits for the last outcome"]
pub struct Settling(State);

enum State {
    /// Never locked: the mutex only lets a reference to this be held across an await.
    Running(Mutex<BoxFuture<'static, Result<(), StoreFailed>>>),
    Done(Result<(), StoreFailed>),
}

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Running(_) => "Settling(running)",
            State::Done(_) => "Settling(done)",
        })
    }
}

impl Settling {
    /// Hands a change to the store now.
    pub(super) fn start(store: &Store, change: Change, after: After) -> Settling {
        let store = store.clone();
        let mut work: BoxFuture<'static, Result<(), StoreFailed>> = Box::pin(async move {
            let result = store.commit(change).await.map(drop);
            after.done(&result);
            result
        });
        // The first poll puts the change into the committer's line; whoever waits for the rest polls again.
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Settling(State::Done(result)),
            Poll::Pending => Settling(State::Running(Mutex::new(work))),
        }
    }

    /// Nothing to wait for.
    pub(super) fn nothing() -> Settling {
        Settling(State::Done(Ok(())))
    }
}

impl Future for Settling {
    type Output = Result<(), StoreFailed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.0 {
            State::Done(result) => return Poll::Ready(result.clone()),
            State::Running(work) => std::task::ready!(work.get_mut().as_mut().poll(cx)),
        };
        self.0 = State::Done(result.clone());
        Poll::Ready(result)
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        let done = State::Done(Ok(()));
        if let State::Running(work) = std::mem::replace(&mut self.0, done)
            && tokio::runtime::Handle::try_current().is_ok()
        {
            drop(supervise::spawn("queue-settle", work.into_inner()));
        }
    }
}
