//! What the queue's parts share: the board under its lock, the store, and the doors to others.
//!
//! The lock is held for the board's own work alone: never over an await, a read of the disk or a call to another module.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::board::{Board, Ended};
use super::courier::{Courier, Fate, Notices, Permits, Report, Suppression, Told};
use super::lane::{Entry, LaneId, who};
use super::leases::{Leases, Settling};
use super::memory::{Memory, bytes_of};
use super::options::QueueOptions;
use super::ready::ConnId;
use super::settle::{self, Case, Next, Owed, Settlement};
use super::supply::Take;
use super::time::QueueTime;
use crate::clock::Clock;
use crate::mail::event::{Attempt, BounceEnd};
use crate::mail::{EnhancedStatus, Facts, Failure, FailureClass, Message, Outcome, Reply};
use crate::store::{Change, CommitSink, NewWaiting, Place, Store, StoreFailed, WaitKey, Waiting};

/// Whom the queue works with.
pub struct Partners {
    /// Opens connections.
    pub courier: Arc<dyn Courier>,
    /// Writes notices.
    pub notices: Arc<dyn Notices>,
    /// Knows who must not be mailed.
    pub suppression: Arc<dyn Suppression>,
    /// Gives leave to open connections.
    pub permits: Arc<dyn Permits>,
}

pub(super) struct Hub {
    pub(super) board: Mutex<Board>,
    pub(super) memory: Memory,
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) partners: Partners,
    pub(super) options: Arc<QueueOptions>,
    /// Wakes the clerk.
    pub(super) nudge: Notify,
    /// Wakes who waits for the queue to be quiet.
    pub(super) quiet: Notify,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hub")
    }
}

impl Hub {
    pub(super) fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        partners: Partners,
        options: QueueOptions,
    ) -> Arc<Hub> {
        let options = Arc::new(options);
        let time = QueueTime::new(clock.now_ms(), clock.uptime());
        Arc::new(Hub {
            board: Mutex::new(Board::new(time, Arc::clone(&options))),
            memory: Memory::new(options.bytes_max),
            store,
            clock,
            partners,
            options,
            nudge: Notify::new(),
            quiet: Notify::new(),
        })
    }

    /// Runs `work` on the board as of now; whom it woke is woken after the lock.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Board) -> R) -> R {
        let (wall_ms, uptime) = (self.clock.now_ms(), self.clock.uptime());
        let mut board = self.board.lock();
        let step = board.time.observe(wall_ms, uptime);
        let result = work(&mut board);
        let wakers = std::mem::take(&mut board.wakers);
        let nudge = std::mem::take(&mut board.nudge);
        let quiet = board.stopping && board.in_flight == 0 && board.conns.is_empty();
        drop(board);
        wakers.into_iter().for_each(Waker::wake);
        if nudge {
            self.nudge.notify_one();
        }
        if quiet {
            self.quiet.notify_one();
        }
        if let Some(step) = step {
            tracing::warn!(
                clock.step_ms = step.by_ms,
                "the wall clock was stepped; every deadline moves with it"
            );
        }
        result
    }

    /// Queue time as of now.
    pub(super) fn time(&self) -> QueueTime {
        self.with(|board| board.time.clone())
    }

    // ---- leases ----

    /// What a connection gets; a recipient that was suppressed meanwhile ends here.
    pub(super) fn take(
        self: &Arc<Hub>,
        conn: ConnId,
        waker: Option<&Waker>,
    ) -> Poll<Option<(LaneId, Entry)>> {
        loop {
            match self.with(|board| board.take(conn, waker)) {
                Take::Wait => return Poll::Pending,
                Take::Close => return Poll::Ready(None),
                Take::Lease(lane, entry) => match self.suppressed(&entry) {
                    None => return Poll::Ready(Some((lane, entry))),
                    Some(sub_type) => drop(self.end_suppressed(lane, &entry, sub_type)),
                },
            }
        }
    }

    fn suppressed(&self, entry: &Entry) -> Option<&'static str> {
        let facts = &entry.kept.message.facts;
        let to = settle::mailbox(facts, entry.key.n)?;
        self.partners.suppression.suppressed(facts, to)
    }

    fn end_suppressed(self: &Arc<Hub>, lane: LaneId, entry: &Entry, sub_type: &str) -> Settling {
        let status = EnhancedStatus::new(5, 1, 1);
        let reply = Reply::local(status, "the address is on the suppression list");
        let time = self.time();
        let settlement = settle::suppressed(&self.case(entry, &time), sub_type, &reply);
        self.commit(lane, entry, settlement, "")
    }

    pub(super) fn case<'a>(&'a self, entry: &'a Entry, time: &'a QueueTime) -> Case<'a> {
        Case {
            key: &entry.key,
            waiting: &entry.waiting,
            facts: &entry.kept.message.facts,
            time,
            options: &self.options,
        }
    }

    /// Ends a lease with its verdict.
    pub(super) fn settle(self: &Arc<Hub>, lane: LaneId, entry: &Entry, report: Report) -> Settling {
        let time = self.with(|board| {
            match &report.outcome {
                Outcome::Deferred(failure) if failure.whole_destination => {
                    board.lane_failed(lane, failure);
                }
                Outcome::Deferred(_) | Outcome::Bounced(_) | Outcome::Delivered(_) => {
                    board.lane_recovered(lane);
                }
            }
            board.time.clone()
        });
        let host = report.attempt.host.clone();
        let settlement = settle::attempted(&self.case(entry, &time), report);
        self.commit(lane, entry, settlement, &host)
    }

    /// Ends a lease whose holder is gone without a word, as a try that was cut off.
    pub(super) fn settle_orphan(self: &Arc<Hub>, lane: LaneId, entry: &Entry) -> Settling {
        let status = EnhancedStatus::new(4, 3, 0);
        let failure = Failure {
            reply: Reply::local(status, "the attempt was cut off by a fault of ours"),
            class: FailureClass::Infrastructure,
            whole_destination: false,
        };
        let outcome = Outcome::Deferred(failure);
        self.settle(
            lane,
            entry,
            Report { outcome, attempt: Attempt::default(), dsn_passed_on: false },
        )
    }

    /// Ends a recipient by the operator's word. It is counted as a lease from here to its commit.
    pub(super) fn end(
        self: &Arc<Hub>,
        lane: LaneId,
        entry: &Entry,
        end: BounceEnd,
        reply: &Reply,
    ) -> Settling {
        let time = self.time();
        let settlement = settle::ended(&self.case(entry, &time), end, reply, None);
        self.commit(lane, entry, settlement, "")
    }

    /// Hands a settlement to the store, with its notice and its suppression.
    pub(super) fn commit(
        self: &Arc<Hub>,
        lane: LaneId,
        entry: &Entry,
        settlement: Settlement,
        host: &str,
    ) -> Settling {
        let Settlement { mut change, next, suppress, owed } = settlement;
        let message = &entry.kept.message;
        if let Some(owed) = owed {
            self.add_notice(&mut change, entry, &owed, host);
        }
        let after = After { hub: Arc::clone(self), lane, key: entry.key, next };
        let Some(failure) = suppress else { return Settling::start(&self.store, change, after) };
        let mut parts = Some((change, after));
        let mut settling = None;
        let facts: &Facts = &message.facts;
        self.partners.suppression.bounced(facts, entry.key.n, &failure, &mut |records| {
            if let Some((mut change, after)) = parts.take() {
                change.records.extend(records);
                settling = Some(Settling::start(&self.store, change, after));
            }
        });
        // A suppression that forgot to call must not hold the outcome back.
        settling
            .or_else(|| {
                parts.take().map(|(change, after)| Settling::start(&self.store, change, after))
            })
            .unwrap_or_else(Settling::nothing)
    }

    fn add_notice(&self, change: &mut Change, entry: &Entry, owed: &Owed, host: &str) {
        let (message, n) = (&*entry.kept.message, entry.key.n);
        let at_ms = self.clock.now_ms();
        let fate = match owed {
            Owed::Failed(end, reply) => Fate::Failed { end: *end, reply },
            Owed::Delayed(reply, expires_ms) => {
                Fate::Delayed { reply: reply.as_ref(), expires_ms: *expires_ms }
            }
            Owed::Relayed(reply) => Fate::Relayed { reply },
        };
        let told = Told { message, n, at_ms, host, fate };
        let Some(notice) = self.partners.notices.notice(&told) else { return };
        let count = u32::try_from(notice.facts.envelope.recipients.len()).unwrap_or(0);
        change.waiting = (0..count).map(|n| NewWaiting { n, due_ms: at_ms }).collect();
        change.message = Some(notice);
    }

    /// The leases of a new connection.
    pub(super) fn leases(self: &Arc<Hub>, conn: ConnId) -> Leases {
        Leases::new(Arc::clone(self), conn)
    }
}

/// What is done when an outcome is durable.
#[derive(Debug)]
pub(super) struct After {
    hub: Arc<Hub>,
    lane: LaneId,
    key: WaitKey,
    next: Next,
}

impl After {
    /// The commit ended. A failed store ends the process: until then nothing more of this lane moves.
    pub(super) fn done(self, result: &Result<(), StoreFailed>) {
        let After { hub, lane, key, next } = self;
        if let Err(failed) = result {
            tracing::error!(message.id = %key.id, recipient.number = key.n, error = %failed, "an outcome could not be stored");
            return hub.with(|board| board.in_flight = board.in_flight.saturating_sub(1));
        }
        hub.with(|board| {
            let next = match next {
                Next::Done => None,
                Next::At(due_ms) => Some(due_ms),
                Next::Unchanged => Some(board.time.now_ms()),
            };
            board.lease_ended(lane, who(&key), Ended::Settled(next));
        });
    }
}

impl CommitSink for Hub {
    fn committed(&self, message: &Arc<Message>, place: Place, waiting: &[WaitKey]) {
        // The committer must live: what is lost here is found again on disk.
        let arrive = AssertUnwindSafe(|| self.arrive(message, place, waiting));
        if std::panic::catch_unwind(arrive).is_err() {
            tracing::error!(message.id = %message.facts.id, "a fault in the queue: its lanes are read anew from disk");
            self.with(|board| {
                board.unlisted = true;
                board.nudge = true;
            });
        }
    }
}

impl Hub {
    fn arrive(&self, message: &Arc<Message>, place: Place, waiting: &[WaitKey]) {
        let fits = bytes_of(message) <= self.memory.room();
        let kept = fits.then(|| self.memory.keep(Arc::clone(message)));
        if let Some(kept) = kept.as_ref().filter(|_| waiting.len() > 1) {
            self.memory.remember(place, kept);
        }
        self.with(|board| {
            let (now_ms, wall_ms) = (board.time.now_ms(), board.time.wall_ms());
            let moments = super::expiry::Moments::of(&message.facts, &board.time, &self.options);
            for &key in waiting {
                let domain =
                    settle::mailbox(&message.facts, key.n).map(crate::mail::Mailbox::domain);
                let Some(lane) = board.lane_for(key.lane, domain) else { continue };
                let owner = board.owner_of(lane);
                if let Some(state) = board.lanes.get_mut(&owner) {
                    state.look_at_ms = state.look_at_ms.min(moments.look_at_ms(false));
                }
                let due_ms = board.time.read(key.due_ms, key.id.unix_ms());
                if key.due_ms > wall_ms && due_ms > now_ms {
                    board.note(lane, due_ms);
                    continue;
                }
                let entry = kept.as_ref().map(|kept| Entry {
                    key,
                    waiting: Waiting::new(place),
                    kept: Arc::clone(kept),
                });
                board.arrived(lane, entry);
            }
        });
    }
}
