//! The board's connections: who gets work, who is woken, who is opened, who must go. No I/O, no waiting.

use std::sync::Arc;
use std::task::Waker;

use super::board::{Board, Destination, Mark};
use super::courier::Permit;
use super::lane::{Entry, LaneId, Stage};
use super::options::ms;
use super::ready::{Conn, ConnId, ConnStage, Group, GroupId, GroupKey, Ready, ReadyId, Way};
use super::turn;
use crate::egress::Exit;
use crate::mail::event::Attempt;
use crate::mail::{Class, Failure};

/// What a connection that asks for work hears.
#[derive(Debug)]
pub(super) enum Take {
    /// Try this one.
    Lease(LaneId, Entry),
    /// Nothing now: its waker is kept.
    Wait,
    /// No more: say QUIT.
    Close,
}

/// A connection to open.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) conn: ConnId,
    pub(super) way: Way,
    pub(super) exit: Exit,
}

impl Board {
    // ---- groups ----

    /// A lane's way is known.
    pub(super) fn routed(&mut self, id: LaneId, way: Way) {
        let now_ms = self.time.now_ms();
        let Some(lane) = self.lanes.get(&id) else { return };
        let (pool, old) = (lane.lane.pool, lane.way);
        let key = match &way {
            Way::Route(route) => GroupKey::Route { pool, fingerprint: route.fingerprint },
            Way::Void(_) => GroupKey::Void(id),
        };
        let group = self.group_for(key, pool, way);
        if old != Some(group) {
            self.leave_group(old);
            if let Some(group) = self.groups.get_mut(&group) {
                group.lanes += 1;
            }
        }
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.way = Some(group);
            lane.routed_ms = now_ms;
            if lane.stage == Stage::Asking {
                lane.stage = Stage::Still;
            }
        }
        self.arrange(id);
    }

    fn group_for(&mut self, key: GroupKey, pool: u16, way: Way) -> GroupId {
        if let Some(&id) = self.group_names.get(&key)
            && let Some(group) = self.groups.get_mut(&id)
        {
            // Addresses may be newer.
            group.way = way;
            return id;
        }
        let provider: Arc<str> = match &way {
            Way::Route(route) => Arc::clone(&route.provider),
            Way::Void(_) => "".into(),
        };
        let ready_id = self.ready_for(pool, provider);
        let id = GroupId(self.fresh_id());
        let mut group = Group::new(key, ready_id, way);
        if let GroupKey::Route { pool, fingerprint } = key {
            group.rest = self.remembered.remove(&Destination::Hosts { pool, fingerprint });
        }
        self.groups.insert(id, group);
        self.group_names.insert(key, id);
        if let Some(ready) = self.readies.get_mut(&ready_id) {
            ready.groups.push(id);
        }
        id
    }

    fn ready_for(&mut self, pool: u16, provider: Arc<str>) -> ReadyId {
        let name = (pool, provider);
        if let Some(&id) = self.ready_names.get(&name) {
            return id;
        }
        let id = ReadyId(self.fresh_id());
        self.readies.insert(id, Ready::new(pool, Arc::clone(&name.1)));
        self.ready_names.insert(name, id);
        id
    }

    /// One lane less goes this way.
    pub(super) fn leave_group(&mut self, way: Option<GroupId>) {
        let Some(id) = way else { return };
        if let Some(group) = self.groups.get_mut(&id) {
            group.lanes = group.lanes.saturating_sub(1);
        }
        self.forget_group_if_empty(id);
    }

    fn forget_group_if_empty(&mut self, id: GroupId) {
        let empty = self
            .groups
            .get(&id)
            .is_some_and(|g| g.lanes == 0 && g.conns == 0 && g.turns.is_empty());
        let Some(group) = self.groups.get(&id).filter(|_| empty) else { return };
        let (key, ready_id, rest) = (group.key, group.ready, group.rest.clone());
        if let (GroupKey::Route { pool, fingerprint }, Some(rest)) = (key, rest) {
            self.remembered.insert(Destination::Hosts { pool, fingerprint }, rest);
        }
        self.groups.remove(&id);
        self.group_names.remove(&key);
        let Some(ready) = self.readies.get_mut(&ready_id) else { return };
        ready.groups.retain(|&group| group != id);
        if ready.groups.is_empty() && ready.conns == 0 {
            let name = (ready.pool, Arc::clone(&ready.provider));
            self.readies.remove(&ready_id);
            self.ready_names.remove(&name);
        }
    }

    // ---- work for connections ----

    /// Sees to it that up to `want` connections come for the group's work: idle ones are woken, more are asked for.
    pub(super) fn supply(&mut self, id: GroupId, want: usize) {
        let now_ms = self.time.now_ms();
        let Some(group) = self.groups.get_mut(&id) else { return };
        let (Some(class), Some(ready)) =
            (group.turns.first_class(), self.readies.get(&group.ready))
        else {
            return;
        };
        if !ready.admits(class) {
            return;
        }
        let want = if group.rest.is_some() { 1 } else { want };
        while group.woken < want
            && let Some(conn) = group.idle.pop()
        {
            let Some(conn) = self.conns.get_mut(&conn) else { continue };
            conn.stage = ConnStage::Woken;
            group.woken += 1;
            self.wakers.extend(conn.waker.take());
        }
        if group.coming() < want && !group.full && now_ms >= group.pause_until_ms {
            group.want = want;
            if !group.asked {
                group.asked = true;
                self.work.open.push_back(id);
                self.nudge = true;
            }
        }
    }

    /// Gives a connection its next recipient. `waker` is kept where it has to wait; without one it does not wait.
    pub(super) fn take(&mut self, id: ConnId, waker: Option<&Waker>) -> Take {
        let Some(conn) = self.conns.get_mut(&id) else { return Take::Close };
        let (group_id, before) = (conn.group, conn.stage);
        if before == ConnStage::Closing || self.stopping {
            return Take::Close;
        }
        conn.stage = ConnStage::Busy;
        self.came(group_id, id, before);
        if let Some(group) = self.groups.get_mut(&group_id)
            && group.retire > 0
        {
            group.retire -= 1;
            self.close(id);
            return Take::Close;
        }
        if let Some((lane, entry)) = self.pick(group_id, id) {
            // The first connection that is through shows how much waits behind it.
            if before == ConnStage::Connecting {
                let want = self.lanes.get(&lane).map_or(0, super::lane::LaneState::ready);
                let others = self.groups.get(&group_id).map_or(0, |group| group.turns.len());
                self.supply(group_id, want + others);
            }
            return Take::Lease(lane, entry);
        }
        self.set_class(id, None);
        match waker {
            Some(waker) => self.lie_down(id, waker),
            None => Take::Wait,
        }
    }

    /// A connection asked for work: it is neither on its way nor idle any more, and its hosts are well.
    fn came(&mut self, group_id: GroupId, id: ConnId, before: ConnStage) {
        let Some(group) = self.groups.get_mut(&group_id) else { return };
        match before {
            ConnStage::Connecting => {
                group.connecting = group.connecting.saturating_sub(1);
                if group.rest.take().is_some() {
                    if let GroupKey::Route { pool, fingerprint } = group.key {
                        let of = Destination::Hosts { pool, fingerprint };
                        self.work.marks.push(Mark { of, rest: None });
                        self.nudge = true;
                    }
                    self.unpark(group_id);
                }
            }
            ConnStage::Woken => group.woken = group.woken.saturating_sub(1),
            ConnStage::Idle => group.idle.retain(|&idle| idle != id),
            ConnStage::Busy | ConnStage::Closing => {}
        }
    }

    fn unpark(&mut self, group_id: GroupId) {
        let Some(group) = self.groups.get_mut(&group_id) else { return };
        for id in std::mem::take(&mut group.parked) {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.stage = Stage::Still;
            }
            self.arrange(id);
        }
    }

    fn lie_down(&mut self, id: ConnId, waker: &Waker) -> Take {
        let Some(conn) = self.conns.get_mut(&id) else { return Take::Close };
        conn.stage = ConnStage::Idle;
        conn.waker = Some(waker.clone());
        if let Some(group) = self.groups.get_mut(&conn.group) {
            group.idle.push(id);
        }
        Take::Wait
    }

    fn set_class(&mut self, id: ConnId, class: Option<Class>) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let from = std::mem::replace(&mut conn.class, class);
        if let Some(ready) = self.readies.get_mut(&conn.ready) {
            ready.turn(from, class);
        }
    }

    /// The recipient whose turn it is in a group.
    fn pick(&mut self, group_id: GroupId, conn: ConnId) -> Option<(LaneId, Entry)> {
        // What this connection did last no longer counts.
        self.set_class(conn, None);
        loop {
            let group = self.groups.get_mut(&group_id)?;
            let ready = self.readies.get(&group.ready)?;
            let id = group.turns.next(|class| ready.admits(class))?;
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.stage = Stage::Still;
            let resting = lane.rest.as_ref().is_some_and(|rest| !rest.probing);
            if lane.way != Some(group_id) || resting {
                self.arrange(id);
                continue;
            }
            let Some(entry) = lane.pop() else {
                self.load(id);
                self.arrange(id);
                continue;
            };
            lane.in_flight += 1;
            let class = lane.lane.class;
            self.entries = self.entries.saturating_sub(1);
            self.in_flight += 1;
            self.set_class(conn, Some(class));
            self.load(id);
            self.requeue(id);
            return Some((id, entry));
        }
    }

    /// Has a lane read, if what it has in memory runs out and more is due on disk.
    fn load(&mut self, id: LaneId) {
        let now_ms = self.time.now_ms();
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        // A probe is one recipient: the next is read when the destination has answered.
        let probe_out = lane.rest.is_some() && lane.in_flight > 0;
        if lane.wants_page(now_ms) && !probe_out {
            lane.begin_load();
            self.work.load.push_back(id);
            self.nudge = true;
        }
    }

    /// Puts a lane that was served at the end of the line, unless it is being probed.
    fn requeue(&mut self, id: LaneId) {
        if self.lanes.get(&id).is_some_and(|lane| lane.rest.is_none()) {
            self.arrange(id);
        }
    }

    // ---- connections open and close ----

    /// Takes the connections that a group wants and may have. The caller opens them.
    pub(super) fn open(&mut self, id: GroupId, permits: &[Permit], weight: u32) -> Vec<Opening> {
        let mut openings = Vec::new();
        let Some(group) = self.groups.get_mut(&id) else { return openings };
        group.asked = false;
        let Some(class) = group.turns.first_class().filter(|_| !self.stopping) else {
            return openings;
        };
        loop {
            let conn = ConnId(self.fresh_id());
            let count = self.conns.len();
            let Some(group) = self.groups.get_mut(&id) else { break };
            let Some(ready) = self.readies.get_mut(&group.ready) else { break };
            ready.weight = weight;
            ready.connections_max =
                permits.iter().fold(0, |sum, permit| sum.saturating_add(permit.connections_max));
            if group.coming() >= group.want {
                break;
            }
            if ready.conns >= turn::ceiling(class, ready.connections_max) {
                group.full = true;
                break;
            }
            if count >= self.options.connections_max as usize {
                group.full = true;
                self.hungry.push_back(id);
                break;
            }
            let Some(exit) = ready.exit(permits) else {
                group.full = true;
                break;
            };
            ready.conns += 1;
            *ready.by_exit.entry(exit.number).or_default() += 1;
            group.conns += 1;
            group.connecting += 1;
            group.starving = false;
            let stage = ConnStage::Connecting;
            let opened = Conn {
                group: id,
                ready: group.ready,
                exit: exit.number,
                stage,
                class: None,
                waker: None,
            };
            openings.push(Opening { conn, way: group.way.clone(), exit });
            self.conns.insert(conn, opened);
        }
        self.feed_starving(id);
        openings
    }

    /// Who needs permits to be asked for: the group's pool and provider.
    pub(super) fn ready_of(&self, id: GroupId) -> Option<(u16, Arc<str>)> {
        let ready = self.readies.get(&self.groups.get(&id)?.ready)?;
        Some((ready.pool, Arc::clone(&ready.provider)))
    }

    /// Takes a connection away from others for a group that has none and may open none.
    fn feed_starving(&mut self, id: GroupId) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        if !group.full || group.conns > 0 || group.starving {
            return;
        }
        group.starving = true;
        let ready = group.ready;
        let global = self.conns.len() >= self.options.connections_max as usize;
        let victims =
            self.groups.iter().filter(|(other, g)| **other != id && (global || g.ready == ready));
        let victim =
            victims.max_by_key(|(_, g)| (!g.idle.is_empty(), g.conns - g.retire.min(g.conns)));
        let Some(victim) = victim.map(|(&victim, _)| victim) else { return };
        let Some(victim) = self.groups.get_mut(&victim) else { return };
        match victim.idle.pop() {
            Some(conn) => self.close(conn),
            None => victim.retire += 1,
        }
    }

    /// Tells a connection that it gets no more.
    pub(super) fn close(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let before = std::mem::replace(&mut conn.stage, ConnStage::Closing);
        let (group_id, waker) = (conn.group, conn.waker.take());
        self.wakers.extend(waker);
        self.set_class(id, None);
        let Some(group) = self.groups.get_mut(&group_id) else { return };
        match before {
            ConnStage::Idle => group.idle.retain(|&idle| idle != id),
            ConnStage::Woken => {
                group.woken = group.woken.saturating_sub(1);
                // It was called for somebody: another goes.
                let want = group.turns.len().min(1);
                self.supply(group_id, want);
            }
            ConnStage::Connecting => group.connecting = group.connecting.saturating_sub(1),
            ConnStage::Busy | ConnStage::Closing => {}
        }
    }

    /// A connection is gone.
    pub(super) fn closed(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(&id) else { return };
        let (group_id, ready_id, exit) = (conn.group, conn.ready, conn.exit);
        self.close(id);
        self.conns.remove(&id);
        if let Some(group) = self.groups.get_mut(&group_id) {
            group.conns = group.conns.saturating_sub(1);
        }
        if let Some(ready) = self.readies.get_mut(&ready_id) {
            ready.conns = ready.conns.saturating_sub(1);
            if let Some(open) = ready.by_exit.get_mut(&exit) {
                *open = open.saturating_sub(1);
            }
        }
        self.refill(ready_id);
        self.forget_group_if_empty(group_id);
    }

    /// A place is free: the groups of its ready queue may try again, and one of those that wait for the process.
    pub(super) fn refill(&mut self, ready_id: ReadyId) {
        let groups =
            self.readies.get(&ready_id).map(|ready| ready.groups.clone()).unwrap_or_default();
        // Those without any connection first.
        for starving in [true, false] {
            for &id in &groups {
                let Some(group) = self.groups.get_mut(&id) else { continue };
                if (group.conns == 0) == starving && !group.turns.is_empty() {
                    group.full = false;
                    let want = group.turns.len();
                    self.supply(id, want);
                }
            }
        }
        self.feed_hungry();
    }

    /// Lets the pool whose turn it is try again for a connection of the process.
    fn feed_hungry(&mut self) {
        if self.hungry.is_empty() || self.conns.len() >= self.options.connections_max as usize {
            return;
        }
        let pool = |id: &GroupId| Some(self.readies.get(&self.groups.get(id)?.ready)?.pool);
        let weights = self.hungry.iter().filter_map(|id| {
            let ready = self.readies.get(&self.groups.get(id)?.ready)?;
            Some((ready.pool, ready.weight))
        });
        let Some(chosen) = self.pools.pick(weights) else {
            self.hungry.clear();
            return;
        };
        let Some(at) = self.hungry.iter().position(|id| pool(id) == Some(chosen)) else { return };
        let Some(id) = self.hungry.remove(at) else { return };
        if let Some(group) = self.groups.get_mut(&id) {
            group.full = false;
            let want = group.turns.len();
            self.supply(id, want);
        }
    }

    /// Nothing is full for ever: egress may allow more by now, a pause may be over.
    pub(super) fn retry_full(&mut self) {
        let full: Vec<GroupId> =
            self.groups.iter().filter(|(_, g)| !g.turns.is_empty()).map(|(&id, _)| id).collect();
        for id in full {
            if let Some(group) = self.groups.get_mut(&id) {
                group.full = false;
                let want = group.turns.len();
                self.supply(id, want);
            }
        }
    }

    // ---- hosts fail ----

    /// A connection could not be opened. With others open it is a sign of too many; alone, the hosts rest.
    pub(super) fn refused(&mut self, id: ConnId, failure: &Failure, attempt: Attempt) {
        let now_ms = self.time.now_ms();
        let Some(conn) = self.conns.get(&id).filter(|conn| conn.stage == ConnStage::Connecting)
        else {
            return;
        };
        let group_id = conn.group;
        self.close(id);
        let pause_ms = ms(self.options.refused_pause);
        let Some(group) = self.groups.get_mut(&group_id) else { return };
        // This one still counts until it is gone.
        if group.open() > 1 {
            group.pause_until_ms = now_ms + pause_ms;
            return;
        }
        if group.rest.as_ref().is_some_and(|rest| now_ms < rest.until_ms) {
            return;
        }
        self.hosts_failed(group_id, failure, attempt);
    }

    fn hosts_failed(&mut self, group_id: GroupId, failure: &Failure, attempt: Attempt) {
        let Some(group) = self.groups.get(&group_id) else { return };
        let rest = self.rest_after(group.rest.as_ref(), failure, group_id.0);
        let Some(group) = self.groups.get_mut(&group_id) else { return };
        group.rest = Some(rest.clone());
        if let GroupKey::Route { pool, fingerprint } = group.key {
            let of = Destination::Hosts { pool, fingerprint };
            self.work.marks.push(Mark { of, rest: Some(rest) });
            self.nudge = true;
        }
        let mut lanes = group.turns.drain();
        lanes.append(&mut group.parked);
        self.tell_probe(&lanes, failure, attempt);
        for id in lanes {
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            lane.stage = Stage::Still;
            if let Some(rest) = &mut lane.rest {
                rest.probing = false;
            }
            self.unload(id);
            self.look_at(id);
            self.arrange(id);
        }
    }

    /// One recipient's trace shows the probe; the others wait for the same reason.
    fn tell_probe(&mut self, lanes: &[LaneId], failure: &Failure, attempt: Attempt) {
        let first = lanes.iter().find_map(|id| self.lanes.get(id)?.peek());
        if let Some(entry) = first {
            let entry = Entry {
                key: entry.key,
                waiting: entry.waiting.clone(),
                kept: Arc::clone(&entry.kept),
            };
            self.work.probes.push((entry, failure.clone(), attempt));
            self.nudge = true;
        }
    }
}
