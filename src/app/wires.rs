//! The wires between the parts of floor 3: what the queue asks for, in the words of those who answer.
//!
//! Nothing here decides; each method turns one part's words into another's.

use std::sync::Arc;

use super::state::State;
use crate::config::Config;
use crate::delivery;
use crate::egress::Pools;
use crate::identity::Identities;
use crate::intake::Notary;
use crate::mail::event::BounceEnd;
use crate::mail::{Domain, Facts, Failure, Mailbox, Message, ReversePath};
use crate::message::notice::{About, News};
use crate::queue::{self, Fate, Permit, Records, Told};
use crate::suppression::{Entry, Reason, Suppression};
use crate::token::{self, ReturnPath};

/// SES's word for an address on the account's list.
const ON_LIST: &str = "OnAccountSuppressionList";

/// Notices for the queue, by intake's notary.
pub(super) struct NoticeWire(pub(super) Notary);

impl queue::Notices for NoticeWire {
    fn notice(&self, told: &Told<'_>) -> Option<Arc<Message>> {
        let news = match told.fate {
            Fate::Failed { end, reply } => {
                News::Failed { reply, expired: end == BounceEnd::Expired }
            }
            Fate::Delayed { reply, expires_ms } => News::Delayed { reply, until_ms: expires_ms },
            Fate::Relayed { reply } => News::Delivered { reply, relayed: true },
        };
        self.0.notice(&About { message: told.message, recipient: told.n, news, host: told.host })
    }
}

/// The suppression list for the queue.
pub(super) struct SuppressionWire {
    pub(super) list: Suppression,
    /// Domains of the mailbox simulator: as at SES, its bounces suppress nobody.
    pub(super) simulated: Vec<Domain>,
    pub(super) clock: Arc<dyn crate::clock::Clock>,
}

impl queue::Suppression for SuppressionWire {
    fn suppressed(&self, _facts: &Facts, to: &Mailbox) -> Option<&'static str> {
        // A list that cannot be read is a failed store, which ends the process; until then mail waits for nothing.
        self.list.lookup(to).ok().flatten().map(|_| ON_LIST)
    }

    fn bounced(&self, facts: &Facts, n: u32, _failure: &Failure, put: &mut dyn FnMut(Records)) {
        let recipient = facts.envelope.recipients.get(n as usize);
        let mailbox = recipient.map(|recipient| &recipient.mailbox);
        put(match mailbox.filter(|mailbox| !self.simulated.contains(mailbox.domain())) {
            Some(mailbox) => {
                let source = Some((facts.id, n));
                let entry = Entry::new(Reason::Bounce, self.clock.now_ms(), source);
                self.list.record_change(mailbox, &entry)
            }
            None => Records::new(),
        });
    }
}

/// The exits of the pools for the queue, each with the ceiling of the bootstrap file.
pub(super) struct PermitWire {
    pools: Pools,
    connections_max: u32,
}

impl PermitWire {
    pub(super) fn new(state: &State, config: &Config) -> PermitWire {
        let connections_max = config.queue.connections_per_destination;
        let connections_max = u32::try_from(connections_max).unwrap_or(u32::MAX);
        PermitWire { pools: state.pools.clone(), connections_max }
    }
}

impl queue::Permits for PermitWire {
    fn permits(&self, pool: u16, _provider: &str) -> Vec<Permit> {
        // A pool of a later release, or one that was taken away, leaves by the pool that every installation has.
        let pool = self.pools.get(pool).or_else(|| self.pools.get(Pools::DEFAULT));
        let exits = pool.map(|pool| pool.exits.as_slice()).unwrap_or_default();
        let connections_max = self.connections_max;
        exits.iter().map(|exit| Permit { exit: exit.clone(), connections_max }).collect()
    }

    fn weight(&self, _pool: u16) -> u32 {
        1
    }
}

/// Signed return paths for delivery, at the bounce domain of the message's identity.
pub(super) struct ReturnPathWire {
    keys: token::Keys,
    identities: Arc<Identities>,
}

impl ReturnPathWire {
    pub(super) fn new(state: &State) -> ReturnPathWire {
        let identities = Arc::clone(&state.identities);
        ReturnPathWire { keys: state.return_paths.clone(), identities }
    }
}

impl delivery::ReturnPaths for ReturnPathWire {
    fn return_path(&self, facts: &Facts, n: u32) -> ReversePath {
        let identity = self.identities.by_number(facts.identity);
        let bounce = identity.as_ref().map_or_else(
            || self.identities.bounce_default(),
            |identity| self.identities.bounce_domain(identity),
        );
        let path = ReturnPath { message: facts.id, recipient: n };
        // A domain always makes a mailbox; should it not, the sender's own address hears of failures.
        self.keys
            .return_path(path, bounce)
            .map_or_else(|_| facts.envelope.from.clone(), ReversePath::Mailbox)
    }
}
