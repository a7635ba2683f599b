//! What the queue asks of others, as traits: a way to the next hop, notices, suppression, permits. `app` wires them.
//!
//! Nothing here decides anything.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use super::leases::Leases;
use crate::egress::Exit;
use crate::mail::event::{Attempt, BounceEnd};
use crate::mail::facts::TlsPolicy;
use crate::mail::{Domain, Facts, Failure, Mailbox, Message, Outcome, Reply};

/// A future of a trait's method.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries mail to the next hop: `delivery` is one.
pub trait Courier: Send + Sync + 'static {
    /// Where mail for a domain goes: routes first, then MX (RFC 5321 §5.1). Answers are cached below, within their TTL:
    /// a cached one is ready at the first poll, which is what keeps a task from being spawned for it.
    fn route(&self, domain: Domain, pool: u16) -> BoxFuture<'static, Result<Arc<Route>, Failure>>;

    /// Opens one connection from `exit` to one of the route's hosts and runs transactions until [`Leases::next`] gives
    /// `None` or the connection is lost. Called only where mail waits. A connection that could not be opened says so with
    /// [`Leases::refused`]; one that is lost later simply ends.
    fn connect(&self, route: Arc<Route>, exit: Exit, leases: Leases) -> BoxFuture<'static, ()>;
}

/// Where mail for a domain goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The mailbox provider's name, or the registrable domain of its MX.
    pub provider: Arc<str>,
    /// In order of preference; never empty.
    pub hosts: Vec<MxHost>,
    /// The port, 25 unless a route says otherwise.
    pub port: u16,
    /// What is done about TLS beside the message's own demand.
    pub tls: RouteTls,
    /// Equal where a connection may carry mail for both: same hosts, port and TLS.
    pub fingerprint: u64,
}

/// One host that takes mail for a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxHost {
    /// Its name, or its address as text where a route gives an address.
    pub name: Arc<str>,
    /// Its addresses, in the order to try them; never empty.
    pub addresses: Vec<IpAddr>,
}

/// What a route does about TLS. A message's own policy may only make it stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteTls {
    /// Plain text only, as a route may ask for hosts on the same machine.
    Never,
    /// STARTTLS (RFC 3207) by this policy.
    StartTls(TlsPolicy),
    /// TLS from the first octet (RFC 8314 §3.3), as relays offer on port 465.
    Implicit(TlsPolicy),
}

/// How one attempt for one recipient went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The verdict.
    pub outcome: Outcome,
    /// The event of the attempt. The queue fills in `number`, `result`, `class` and `reply`.
    pub attempt: Attempt,
    /// Whether the next hop offered DSN and got the parameters: then it owes the notices (RFC 3461 §5.2.2).
    pub dsn_passed_on: bool,
}

/// Makes the messages that tell a sender what became of a recipient (RFC 3464): `intake` is one.
pub trait Notices: Send + Sync + 'static {
    /// The notice, to be committed together with what it tells; `None` where none is owed: the null reverse path,
    /// NOTIFY, or feedback forwarding off. Called for every end but a success nobody asked to hear of; must not block.
    fn notice(&self, told: &Told<'_>) -> Option<Arc<Message>>;
}

/// What a notice tells.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The message it speaks of.
    pub message: &'a Message,
    /// The recipient's number in the envelope.
    pub n: u32,
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// The host whose reply it was; empty for a verdict of ours.
    pub host: &'a str,
    /// What became of the recipient.
    pub fate: Fate<'a>,
}

/// What became of a recipient, for its notice.
#[derive(Debug, Clone, Copy)]
pub enum Fate<'a> {
    /// It will not be delivered.
    Failed {
        /// Which of the promised ends.
        end: BounceEnd,
        /// The reply, the receiver's or ours.
        reply: &'a Reply,
    },
    /// It waits longer than the set time, and is tried further.
    Delayed {
        /// The last reply, if it was tried.
        reply: Option<&'a Reply>,
        /// When it will be given up, Unix milliseconds.
        expires_ms: u64,
    },
    /// It was handed to a host that does not offer DSN (RFC 3461 §5.2.2): asked for by NOTIFY=SUCCESS.
    Relayed {
        /// The host's last reply.
        reply: &'a Reply,
    },
}

/// Records for the store: key, and the value to put or `None` to delete.
pub type Records = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Who must not be mailed: `suppression` is one.
pub trait Suppression: Send + Sync + 'static {
    /// Why `to` must not get this message, as SES's `bounceSubType` (`Suppressed`, `OnAccountSuppressionList`). Asked again at every
    /// lease; answers from memory, must not block.
    fn suppressed(&self, facts: &Facts, to: &Mailbox) -> Option<&'static str>;

    /// Suppresses recipient `n` after a verdict of class recipient. Calls `put` exactly once with the records (none is
    /// allowed), under whatever lock keeps two changes of one record in order: `put` hands the change to the store and
    /// returns at once.
    fn bounced(&self, facts: &Facts, n: u32, failure: &Failure, put: &mut dyn FnMut(Records));
}

/// What egress allows at this moment.
pub trait Permits: Send + Sync + 'static {
    /// The exits of a pool that may open connections to a provider now, each with its ceiling. Asked when a connection is
    /// wanted; must not block.
    fn permits(&self, pool: u16, provider: &str) -> Vec<Permit>;

    /// The share of connections a pool gets beside others when the process has no more to give; at least 1.
    fn weight(&self, pool: u16) -> u32;
}

/// One exit's leave to open connections to one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// The exit.
    pub exit: Exit,
    /// Connections at once from it to the provider.
    pub connections_max: u32,
}
