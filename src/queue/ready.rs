//! Ready queues in memory: connections and the lanes that share them. Pure.
//!
//! A *ready queue* is a pool and a provider: its connections are counted together. A *group* inside it is one route
//! (hosts, port, TLS): its lanes may share connections.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;

use super::courier::{Permit, Route};
use super::lane::{LaneId, Rest};
use super::turn::{self, Turns};
use crate::egress::Exit;
use crate::mail::{Class, Failure};

/// A group's number; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct GroupId(pub(super) u64);

/// A ready queue's number; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ReadyId(pub(super) u64);

/// A connection's number; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnId(pub(super) u64);

/// Where a group's mail goes.
#[derive(Debug, Clone)]
pub(super) enum Way {
    /// To these hosts.
    Route(Arc<Route>),
    /// Nowhere: the domain takes no mail (RFC 7505) or does not exist, and each recipient ends with this.
    Void(Arc<Failure>),
}

/// What tells groups apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum GroupKey {
    Route { pool: u16, fingerprint: u64 },
    Void(LaneId),
}

/// Lanes that may share connections.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: GroupKey,
    pub(super) ready: ReadyId,
    pub(super) way: Way,
    pub(super) turns: Turns<LaneId>,
    /// Lanes whose way this is.
    pub(super) lanes: usize,
    pub(super) rest: Option<Rest>,
    /// Lanes that wait for the probe.
    pub(super) parked: Vec<LaneId>,
    /// Connections with nothing to do, the one used last on top.
    pub(super) idle: Vec<ConnId>,
    /// Connections being opened.
    pub(super) connecting: usize,
    /// Connections that were woken and have not come yet.
    pub(super) woken: usize,
    /// All of them.
    pub(super) conns: usize,
    /// Connections to take away for another group's sake.
    pub(super) retire: usize,
    /// Whether the clerk was asked for more, and for how many.
    pub(super) asked: bool,
    pub(super) want: usize,
    /// No more can be had until a connection closes or a moment passes.
    pub(super) full: bool,
    pub(super) pause_until_ms: u64,
    /// Whether another's connection was taken away for this one.
    pub(super) starving: bool,
}

impl Group {
    pub(super) fn new(key: GroupKey, ready: ReadyId, way: Way) -> Group {
        Group {
            key,
            ready,
            way,
            turns: Turns::default(),
            lanes: 0,
            rest: None,
            parked: Vec::new(),
            idle: Vec::new(),
            connecting: 0,
            woken: 0,
            conns: 0,
            retire: 0,
            asked: false,
            want: 0,
            full: false,
            pause_until_ms: 0,
            starving: false,
        }
    }

    /// Connections that will ask for work soon.
    pub(super) fn coming(&self) -> usize {
        self.connecting + self.woken
    }

    /// Connections that reached their host.
    pub(super) fn open(&self) -> usize {
        self.conns - self.connecting
    }
}

/// A pool's connections to a provider.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) pool: u16,
    pub(super) provider: Arc<str>,
    pub(super) groups: Vec<GroupId>,
    /// Connections by exit.
    pub(super) by_exit: HashMap<u16, u32>,
    pub(super) conns: u32,
    /// What egress allows, as of the last time it was asked.
    pub(super) connections_max: u32,
    /// The pool's weight, likewise.
    pub(super) weight: u32,
    /// Connections busy with each class.
    busy: [u32; 3],
}

impl Ready {
    pub(super) fn new(pool: u16, provider: Arc<str>) -> Ready {
        Ready {
            pool,
            provider,
            groups: Vec::new(),
            by_exit: HashMap::new(),
            conns: 0,
            connections_max: u32::MAX,
            weight: 1,
            busy: [0; 3],
        }
    }

    /// Whether one more connection may be busy with a class.
    pub(super) fn admits(&self, class: Class) -> bool {
        let at_or_below: u32 = self.busy.iter().skip(usize::from(class.number())).sum();
        at_or_below < turn::ceiling(class, self.connections_max)
    }

    /// A connection turns from one class to another; `None` is idle.
    pub(super) fn turn(&mut self, from: Option<Class>, to: Option<Class>) {
        for (class, up) in [(from, false), (to, true)] {
            let Some(count) = class.and_then(|c| self.busy.get_mut(usize::from(c.number()))) else {
                continue;
            };
            *count = if up { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    /// The exit for the next connection: the one with most room; `None` where egress allows no more.
    pub(super) fn exit(&self, permits: &[Permit]) -> Option<Exit> {
        let room = |permit: &Permit| {
            let open = self.by_exit.get(&permit.exit.number).copied().unwrap_or(0);
            permit.connections_max.saturating_sub(open)
        };
        // Of equals the first: `max_by_key` would give the last.
        let best = permits.iter().rev().max_by_key(|permit| room(permit))?;
        (room(best) > 0).then(|| best.exit.clone())
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnStage {
    /// It has not asked for work yet.
    Connecting,
    /// It works.
    Busy,
    /// It has nothing to do.
    Idle,
    /// It had nothing to do and was woken.
    Woken,
    /// It may not have more.
    Closing,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) group: GroupId,
    pub(super) ready: ReadyId,
    pub(super) exit: u16,
    pub(super) stage: ConnStage,
    pub(super) class: Option<Class>,
    pub(super) waker: Option<Waker>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Domain;

    fn permit(number: u16, connections_max: u32) -> Permit {
        let ehlo = Domain::parse("mail.example.org").unwrap();
        Permit { exit: Exit { number, source: None, ehlo }, connections_max }
    }

    #[test]
    fn connections_spread_over_exits_and_stop_at_their_ceilings() {
        let mut ready = Ready::new(1, "example.net".into());
        let permits = [permit(1, 2), permit(2, 1)];
        let mut order = Vec::new();
        while let Some(exit) = ready.exit(&permits) {
            *ready.by_exit.entry(exit.number).or_default() += 1;
            order.push(exit.number);
        }
        assert_eq!(order, [1, 1, 2]);
    }

    #[test]
    fn slow_bulk_cannot_hold_every_connection() {
        let mut ready = Ready::new(1, "example.net".into());
        ready.connections_max = 20;
        let mut bulk = 0;
        while ready.admits(Class::Bulk) {
            ready.turn(None, Some(Class::Bulk));
            bulk += 1;
        }
        assert_eq!(bulk, 16);
        assert!(ready.admits(Class::Normal) && ready.admits(Class::High));
        ready.turn(None, Some(Class::Normal));
        ready.turn(None, Some(Class::Normal));
        assert!(!ready.admits(Class::Normal));
        assert!(ready.admits(Class::High));
    }
}
