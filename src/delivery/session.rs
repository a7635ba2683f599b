//! The life of a connection: transactions one after another for as long as there is work.
//!
//! Invariant: the outcome of one transaction is durable before the next one's final dot is sent; MAIL, RCPT and DATA may
//! go before, and where the host pipelines they go in one write with the content before them (RFC 2920 §3.1).

use std::sync::Arc;

use super::ReturnPaths;
use super::compose::{Commands, Transaction, compose, must_search_content};
use super::content::is_eight_bit;
use super::dial::{Connection, Dialer, Refused, demand, millis, stricter};
use super::transaction::{self, Open, Verdict};
use super::work::Work;
use crate::egress::Exit;
use crate::mail::event::Attempt;
use crate::mail::{EnhancedStatus, Failure, FailureClass, Outcome, Reply, ReversePath};
use crate::queue::{Lease, Report, Route};

/// What every session of this process shares.
pub(super) struct Shared {
    pub(super) dialer: Dialer,
    pub(super) paths: Arc<dyn ReturnPaths>,
    pub(super) transactions_max: u64,
}

/// Runs transactions from `exit` to `route` until the work is done or the connection lost; opens another only for a
/// recipient that this one could not be tried on.
///
/// Dials before it takes a recipient: hosts that cannot be reached are the destination's trouble and nobody's try.
pub(super) async fn run<W: Work>(shared: &Shared, route: &Route, exit: &Exit, mut work: W) {
    let mut connection = match shared.dialer.dial(route, exit, demand(route)).await {
        Ok(connection) => connection,
        Err(Refused { failure, attempt }) => return work.refused(&failure, attempt),
    };
    let mut first = None;
    loop {
        let session = Session {
            shared,
            route,
            exit,
            work: &mut work,
            connection,
            settling: None,
            reset: false,
            done: 0,
        };
        let Some(lease) = session.serve(first).await else { return };
        let Some((fresh, lease)) = redial(shared, route, exit, (&mut work, lease)).await else {
            return;
        };
        (connection, first) = (fresh, Some(lease));
    }
}

/// A fresh connection for a recipient that the last one could not be tried on.
async fn redial<W: Work>(
    shared: &Shared,
    route: &Route,
    exit: &Exit,
    (work, mut lease): (&mut W, Lease),
) -> Option<(Connection, Lease)> {
    let own = demand(route);
    loop {
        let policy = stricter(own, lease.message.facts.tls);
        match shared.dialer.dial(route, exit, policy).await {
            Ok(connection) => return Some((connection, lease)),
            Err(Refused { failure, attempt }) if policy != own => {
                // The message demands more than the route: its own failure, not the destination's.
                let failure = Failure { whole_destination: false, ..failure };
                let report =
                    Report { outcome: Outcome::Deferred(failure), attempt, dsn_passed_on: false };
                work.settle(lease, report).await.ok()?;
                lease = work.next().await?;
            }
            // The next connection that is opened finds out for all of them.
            Err(_) => {
                work.give_back(lease);
                return None;
            }
        }
    }
}

struct Session<'a, W: Work> {
    shared: &'a Shared,
    route: &'a Route,
    exit: &'a Exit,
    work: &'a mut W,
    connection: Connection,
    /// The last outcome, on its way to the disk.
    settling: Option<W::Settled>,
    /// Whether a transaction was begun and neither finished nor taken back.
    reset: bool,
    /// Transactions so far.
    done: u64,
}

/// What became of a lease before anything was sent for it.
enum Prepared {
    /// It can be tried here.
    Open(Box<Open>),
    /// It needs a fresh connection.
    Elsewhere(Lease),
    /// It has its outcome.
    Settled,
    /// The store failed.
    Stop,
}

/// What follows a transaction.
enum Then {
    /// The next one, its envelope on its way.
    Following(Box<Open>),
    /// Whatever the work gives.
    Next,
    /// A fresh connection for this one.
    Fresh(Lease),
    /// Nothing: the connection is lost, or the store failed.
    End,
}

impl<W: Work> Session<'_, W> {
    /// Tries `lease`, if there is one already, and what follows; gives back the one that needs a fresh connection.
    async fn serve(mut self, mut lease: Option<Lease>) -> Option<Lease> {
        loop {
            let Some(next) = (match lease.take() {
                Some(lease) => Some(lease),
                None => self.work.next().await,
            }) else {
                self.quit().await;
                return None;
            };
            let mut open = match self.prepare(next).await {
                Prepared::Open(open) => open,
                Prepared::Settled => continue,
                Prepared::Elsewhere(lease) => {
                    self.quit().await;
                    return Some(lease);
                }
                Prepared::Stop => return None,
            };
            loop {
                match self.transact(open).await {
                    Then::Following(following) => open = following,
                    Then::Next => break,
                    Then::Fresh(lease) => return Some(lease),
                    Then::End => return None,
                }
            }
        }
    }

    /// One transaction, from its envelope to its verdict.
    async fn transact(&mut self, mut open: Box<Open>) -> Then {
        let deadlines = self.shared.dialer.deadlines;
        match transaction::envelope(&mut self.connection, &mut open, &deadlines).await {
            Verdict::Go => {}
            Verdict::Untried => return Then::Fresh(open.lease),
            Verdict::Lost(outcome) => {
                let _ = self.finish(*open, outcome).await;
                return Then::End;
            }
            Verdict::Refused { outcome, reset } => {
                self.reset = reset;
                return if self.finish(*open, outcome).await { Then::Next } else { Then::End };
            }
        }
        // What the last recipient got must be on record before this one gets anything.
        if !self.durable().await {
            self.work.give_back(open.lease);
            return Then::End;
        }
        let mut following = self.following().await;
        let tail = following.as_mut().map(|next| next.pipeline(false)).unwrap_or_default();
        let ended = transaction::content(&mut self.connection, &mut open, &deadlines, tail).await;
        // RFC 3030 §2: after a chunk that failed the transaction is taken back.
        self.reset =
            self.connection.offered.chunking && !matches!(ended.outcome, Outcome::Delivered(_));
        let stored = self.finish(*open, ended.outcome).await;
        match following {
            Some(next) if ended.lost || !stored => {
                self.work.give_back(next.lease);
                Then::End
            }
            Some(next) => Then::Following(next),
            None if ended.lost || !stored => Then::End,
            None => Then::Next,
        }
    }

    /// Makes the commands of a lease, or says why it is not tried here.
    async fn prepare(&mut self, lease: Lease) -> Prepared {
        let facts = &lease.message.facts;
        let policy = stricter(demand(self.route), facts.tls);
        if stricter(self.connection.meets, policy) != self.connection.meets
            || self.done >= self.shared.transactions_max
        {
            return Prepared::Elsewhere(lease);
        }
        let began = self.shared.dialer.clock.uptime();
        let commands = match self.commands(&lease).await {
            Ok(commands) => commands,
            Err(outcome) => {
                let open = Open::new(lease, Commands::default(), false, began);
                return if self.finish(open, outcome).await {
                    Prepared::Settled
                } else {
                    Prepared::Stop
                };
            }
        };
        let mut open = Box::new(Open::new(lease, commands, std::mem::take(&mut self.reset), began));
        if self.done == 0 {
            open.transcript = std::mem::take(&mut self.connection.preamble);
        } else {
            open.transcript.note("on a connection in use");
        }
        open.reused = self.done > 0;
        self.done += 1;
        Prepared::Open(open)
    }

    async fn commands(&self, lease: &Lease) -> Result<Commands, Outcome> {
        let facts = &lease.message.facts;
        let Some(recipient) = facts.envelope.recipients.get(lease.key.n as usize) else {
            return Err(Outcome::Deferred(ours("the message has no such recipient")));
        };
        let offered = &self.connection.offered;
        let eight_bit = must_search_content(&lease.message, offered)
            && is_eight_bit(&lease.message).await.map_err(|error| {
                Outcome::Deferred(ours(&format!("the message could not be read: {error}")))
            })?;
        // RFC 5321 §4.5.5: what came with the null path leaves with it.
        let from = match &facts.envelope.from {
            ReversePath::Null => ReversePath::Null,
            ReversePath::Mailbox(_) => self.shared.paths.return_path(facts, lease.key.n),
        };
        let of = Transaction { message: &lease.message, recipient, from: &from, eight_bit };
        compose(&of, offered).map_err(Outcome::Bounced)
    }

    /// The next recipient, where its envelope may go out behind the content of this one.
    async fn following(&mut self) -> Option<Box<Open>> {
        let offered = &self.connection.offered;
        // A chunk that fails must be followed by RSET, which nobody can know in advance.
        if !offered.pipelining || offered.chunking {
            return None;
        }
        let lease = self.work.try_next()?;
        match self.prepare(lease).await {
            Prepared::Open(open) => Some(open),
            Prepared::Elsewhere(lease) => {
                self.work.give_back(lease);
                None
            }
            Prepared::Settled | Prepared::Stop => None,
        }
    }

    /// Waits for the last outcome to be on disk; `false`: it never will be.
    async fn durable(&mut self) -> bool {
        match self.settling.take() {
            Some(settling) => settling.await.is_ok(),
            None => true,
        }
    }

    /// Hands an outcome to the queue; `false`: the store failed.
    async fn finish(&mut self, open: Open, outcome: Outcome) -> bool {
        let stored = self.durable().await;
        let took = self.shared.dialer.clock.uptime().saturating_sub(open.began);
        let attempt = Attempt {
            exit: self.exit.name(),
            host: self.connection.host.to_string(),
            address: self.connection.address.to_string(),
            provider: self.route.provider.to_string(),
            tls: self.connection.tls.clone(),
            duration_ms: millis(took),
            transcript: open.transcript.into_text(),
            ..Attempt::default()
        };
        let report = Report { outcome, attempt, dsn_passed_on: open.dsn_passed_on };
        self.settling = Some(self.work.settle(open.lease, report));
        stored
    }

    /// Says good-bye once the last outcome is on disk.
    async fn quit(mut self) {
        let deadline = self.shared.dialer.deadlines.quit;
        if self.durable().await
            && self.connection.wire.send(&mut b"QUIT\r\n".as_slice(), deadline).await.is_ok()
        {
            // Nothing depends on the reply, but RFC 5321 §4.1.1.10 asks to wait for it.
            let _ = self.connection.wire.reply(deadline).await;
        }
    }
}

/// A failure on our side.
fn ours(text: &str) -> Failure {
    Failure {
        reply: Reply::local(EnhancedStatus::new(4, 3, 0), text),
        class: FailureClass::Infrastructure,
        whole_destination: false,
    }
}
