//! Delivery: one attempt to hand a message to the next hop, from the route to the verdict. It decides nothing about
//! when, or whether again: that is the queue's.
//!
//! Read it downwards: `resolve` (where to), `dial` (a connection ready for mail), `session` (transactions one after
//! another), `transaction` (one of them), `classify` (what a refusal speaks of). Commands are written from checked types
//! alone in `compose`; octets and deadlines are `wire`'s. mail-send opens connections and runs handshakes.

mod capabilities;
pub mod classify;
mod compose;
mod content;
mod deadlines;
mod dial;
mod reply;
mod resolve;
mod session;
mod tls;
mod transaction;
mod transcript;
mod wire;
mod work;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

pub use deadlines::Deadlines;

use crate::clock::Clock;
use crate::egress::Exit;
use crate::egress::routes::Routes;
use crate::mail::{Domain, Facts, Failure, ReversePath};
use crate::net::dns::Dns;
use crate::queue::{BoxFuture, Courier, Leases, Route};
use dial::Dialer;
use resolve::Resolver;
use session::Shared;
use tls::Tls;

/// Signs the return path of one recipient, so that a bounce names it.
pub trait ReturnPaths: Send + Sync + 'static {
    /// `b+…@<bounce domain>` for recipient `n`. Not asked where the message came with the null path.
    fn return_path(&self, facts: &Facts, n: u32) -> ReversePath;
}

/// How delivery goes about it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port of a host found by MX.
    pub port: u16,
    /// Whether mail may go to loopback, private and own addresses that no route names.
    pub allow_private_destinations: bool,
    /// Transactions of one connection.
    pub transactions_max: u64,
    /// How long each step may take.
    pub deadlines: Deadlines,
    /// Certificate authorities trusted beside the public ones.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            port: 25,
            allow_private_destinations: false,
            transactions_max: 1000,
            deadlines: Deadlines::default(),
            extra_roots: Vec::new(),
        }
    }
}

/// Who delivery works with.
pub struct Parts {
    /// Answers about names.
    pub dns: Dns,
    /// What goes before MX.
    pub routes: Routes,
    /// Signs return paths.
    pub paths: Arc<dyn ReturnPaths>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Carries mail over SMTP. Cheap to clone.
#[derive(Clone)]
pub struct Delivery {
    resolver: Arc<Resolver>,
    shared: Arc<Shared>,
}

impl Delivery {
    /// Fails where an extra certificate authority cannot be read.
    pub fn new(options: &Options, parts: Parts) -> Result<Delivery, rustls::Error> {
        let Parts { dns, routes, paths, clock } = parts;
        let tls = Tls::new(&options.extra_roots)?;
        let dialer = Dialer::new(tls, options.deadlines, Arc::clone(&clock));
        let shared = Shared { dialer, paths, transactions_max: options.transactions_max };
        let resolver = Resolver {
            dns,
            routes,
            clock,
            port: options.port,
            allow_private: options.allow_private_destinations,
            cache: parking_lot::Mutex::default(),
            own: parking_lot::Mutex::default(),
        };
        Ok(Delivery { resolver: Arc::new(resolver), shared: Arc::new(shared) })
    }
}

impl Courier for Delivery {
    fn route(&self, domain: Domain, _pool: u16) -> BoxFuture<'static, Result<Arc<Route>, Failure>> {
        if let Some(route) = self.resolver.cached(&domain) {
            return Box::pin(std::future::ready(Ok(route)));
        }
        let resolver = Arc::clone(&self.resolver);
        Box::pin(async move { resolver.resolve(&domain).await })
    }

    fn connect(&self, route: Arc<Route>, exit: Exit, leases: Leases) -> BoxFuture<'static, ()> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { session::run(&shared, &route, &exit, leases).await })
    }
}
