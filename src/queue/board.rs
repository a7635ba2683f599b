//! Everything the queue knows in memory, under one lock held for microseconds. No I/O, no waiting.
//!
//! Each method leaves the board consistent before anything in it could panic, and asks for what needs a task (a read, a
//! look-up, a connection) by a line in [`Work`], which the clerk takes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use super::lane::{Entry, LaneId, LaneState, Rest, Stage, Who, who};
use super::options::{QueueOptions, ms};
use super::ready::{Conn, ConnId, Group, GroupId, GroupKey, Ready, ReadyId};
use super::schedule;
use super::time::QueueTime;
use super::turn::Shares;
use crate::mail::{Domain, Failure, Lane};

/// How long a lane with nothing to do keeps its route in memory.
const IDLE_MS_MAX: u64 = 60_000;

/// How long a probe that ended without a verdict rests.
const PROBE_LOST_MS: u64 = 30_000;

/// What needs a task.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Lanes whose domain is to be read.
    pub(super) learn: VecDeque<LaneId>,
    /// Lanes whose route is to be asked for.
    pub(super) ask: VecDeque<LaneId>,
    /// Lanes to be read from disk.
    pub(super) load: VecDeque<LaneId>,
    /// Groups that want connections.
    pub(super) open: VecDeque<GroupId>,
    /// Lanes of failing destinations in which somebody may be too late.
    pub(super) sweep: VecDeque<LaneId>,
    /// Leases that were dropped without a verdict.
    pub(super) orphans: Vec<(LaneId, Entry)>,
    /// Destinations whose state changed, to be written down.
    pub(super) marks: Vec<Mark>,
    /// Probes that failed for one recipient's trace.
    pub(super) probes: Vec<(Entry, Failure, crate::mail::event::Attempt)>,
}

/// A destination's state, to be written: `None` is well again.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) of: Destination,
    pub(super) rest: Option<Rest>,
}

/// What can fail as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Destination {
    /// One lane: its domain's DNS, or what its host says of it.
    Lane(Lane),
    /// All lanes of one pool with the same hosts.
    Hosts { pool: u16, fingerprint: u64 },
}

/// What happened to a lease.
#[derive(Debug)]
pub(super) enum Ended {
    /// Its outcome is durable; it waits again at this queue time, if it does.
    Settled(Option<u64>),
    /// It is given back untried.
    Untried(Entry),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) time: QueueTime,
    pub(super) options: Arc<QueueOptions>,
    pub(super) lanes: HashMap<LaneId, LaneState>,
    pub(super) names: HashMap<Lane, LaneId>,
    others: HashMap<(Lane, Domain), LaneId>,
    timers: BTreeSet<(u64, LaneId)>,
    idle: VecDeque<(u64, LaneId)>,
    pub(super) groups: HashMap<GroupId, Group>,
    pub(super) group_names: HashMap<GroupKey, GroupId>,
    pub(super) readies: HashMap<ReadyId, Ready>,
    pub(super) ready_names: HashMap<(u16, Arc<str>), ReadyId>,
    pub(super) conns: HashMap<ConnId, Conn>,
    pub(super) pools: Shares<u16>,
    /// Groups that wait for a connection of the whole process.
    pub(super) hungry: VecDeque<GroupId>,
    /// Destinations that failed before the last restart and have not been formed again.
    pub(super) remembered: HashMap<Destination, Rest>,
    last_id: u64,
    /// Recipients ready in memory.
    pub(super) entries: usize,
    pub(super) in_flight: usize,
    pub(super) work: Work,
    pub(super) wakers: Vec<Waker>,
    /// Whether the clerk has something to do.
    pub(super) nudge: bool,
    /// Whether lanes on disk may be unknown here.
    pub(super) unlisted: bool,
    pub(super) stopping: bool,
}

impl Board {
    pub(super) fn new(time: QueueTime, options: Arc<QueueOptions>) -> Board {
        Board {
            time,
            options,
            lanes: HashMap::new(),
            names: HashMap::new(),
            others: HashMap::new(),
            timers: BTreeSet::new(),
            idle: VecDeque::new(),
            groups: HashMap::new(),
            group_names: HashMap::new(),
            readies: HashMap::new(),
            ready_names: HashMap::new(),
            conns: HashMap::new(),
            pools: Shares::default(),
            hungry: VecDeque::new(),
            remembered: HashMap::new(),
            last_id: 0,
            entries: 0,
            in_flight: 0,
            work: Work::default(),
            wakers: Vec::new(),
            nudge: false,
            unlisted: false,
            stopping: false,
        }
    }

    /// A number that was never given before.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    // ---- lanes come and go ----

    /// The lane of this name and domain, made if there is room; `None` leaves its mail on disk for later.
    pub(super) fn lane_for(&mut self, lane: Lane, domain: Option<&Domain>) -> Option<LaneId> {
        let Some(&id) = self.names.get(&lane) else {
            return self.new_lane(lane, domain, None);
        };
        let (Some(domain), Some(state)) = (domain, self.lanes.get_mut(&id)) else {
            return Some(id);
        };
        match &state.domain {
            None => state.domain = Some(domain.clone()),
            Some(known) if known == domain => {}
            Some(_) => {
                // Two domains with one hash must never be sent to one host.
                let name = (lane, domain.clone());
                return match self.others.get(&name) {
                    Some(&other) => Some(other),
                    None => self.new_lane(lane, Some(domain), Some(id)),
                };
            }
        }
        Some(id)
    }

    fn new_lane(
        &mut self,
        lane: Lane,
        domain: Option<&Domain>,
        owner: Option<LaneId>,
    ) -> Option<LaneId> {
        if self.lanes.len() >= self.options.lanes_max {
            self.unlisted = true;
            return None;
        }
        let id = LaneId(self.fresh_id());
        let mut state = LaneState::new(lane, domain.cloned(), owner);
        state.rest = self.remembered.remove(&Destination::Lane(lane));
        self.lanes.insert(id, state);
        match (owner, domain) {
            (Some(_), Some(domain)) => self.others.insert((lane, domain.clone()), id),
            _ => self.names.insert(lane, id),
        };
        Some(id)
    }

    fn forget_lane(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.remove(&id) else { return };
        match (lane.owner, lane.domain) {
            (Some(_), Some(domain)) => self.others.remove(&(lane.lane, domain)),
            _ => self.names.remove(&lane.lane),
        };
        if let Some(at) = lane.timer_ms {
            self.timers.remove(&(at, id));
        }
        if let Some(rest) = lane.rest {
            self.remembered.insert(Destination::Lane(lane.lane), rest);
        }
        self.leave_group(lane.way);
    }

    /// The lane whose disk part this one's recipients belong to.
    pub(super) fn owner_of(&self, id: LaneId) -> LaneId {
        self.lanes.get(&id).and_then(|lane| lane.owner).unwrap_or(id)
    }

    /// Something of a lane is due on disk at `due_ms`, queue time.
    pub(super) fn note(&mut self, id: LaneId, due_ms: u64) {
        let owner = self.owner_of(id);
        if let Some(lane) = self.lanes.get_mut(&owner) {
            lane.note(due_ms);
            self.arrange(owner);
        }
    }

    // ---- what a lane does next ----

    /// Decides what a lane that stands still does next: wait for its timer, ask the way, stand in line. Idempotent.
    pub(super) fn arrange(&mut self, id: LaneId) {
        let now_ms = self.time.now_ms();
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.stage != Stage::Still || self.stopping {
            return;
        }
        if lane.ready() == 0 && !lane.is_disk_due(now_ms) {
            let at = lane.disk_ms();
            return self.wait(id, at);
        }
        match &lane.rest {
            Some(rest) if now_ms < rest.until_ms => {
                let at = rest.until_ms;
                return self.wait(id, Some(at));
            }
            Some(rest) if rest.probing => return,
            _ => {}
        }
        if lane.ready() == 0 && lane.loading {
            return;
        }
        let fresh = now_ms.saturating_sub(lane.routed_ms) < ms(self.options.route_age_max);
        match lane.way.filter(|_| fresh) {
            Some(group) => self.line_up(id, group),
            None => self.find_way(id),
        }
    }

    fn find_way(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.domain.is_some() {
            lane.stage = Stage::Asking;
            self.work.ask.push_back(id);
        } else {
            lane.stage = Stage::Learning;
            self.work.learn.push_back(id);
        }
        self.nudge = true;
    }

    /// Puts a lane into its group's turns, unless the group rests.
    fn line_up(&mut self, id: LaneId, group_id: GroupId) {
        let now_ms = self.time.now_ms();
        let (Some(group), Some(lane)) = (self.groups.get_mut(&group_id), self.lanes.get_mut(&id))
        else {
            return;
        };
        match &mut group.rest {
            Some(rest) if now_ms < rest.until_ms => {
                let at = rest.until_ms;
                return self.wait(id, Some(at));
            }
            Some(rest) if rest.probing => {
                lane.stage = Stage::Parked;
                group.parked.push(id);
                return;
            }
            Some(rest) => rest.probing = true,
            None => {}
        }
        if let Some(rest) = &mut lane.rest {
            rest.probing = true;
        }
        lane.stage = Stage::Queued;
        lane.idle_ms = None;
        let want = if lane.rest.is_some() { 1 } else { lane.ready().max(1) };
        group.turns.push(lane.lane.class, lane.lane.tenant, id);
        let others = group.turns.len() - 1;
        self.set_timer(id, None);
        self.supply(group_id, want + others);
    }

    /// Nothing to do until `at_ms`, or until new mail comes.
    fn wait(&mut self, id: LaneId, at_ms: Option<u64>) {
        self.set_timer(id, at_ms);
        let now_ms = self.time.now_ms();
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if at_ms.is_none() {
            lane.idle_ms = Some(now_ms);
            if !std::mem::replace(&mut lane.in_idle_line, true) {
                self.idle.push_back((now_ms, id));
            }
        }
    }

    fn set_timer(&mut self, id: LaneId, at_ms: Option<u64>) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.timer_ms == at_ms {
            return;
        }
        if let Some(old) = lane.timer_ms {
            self.timers.remove(&(old, id));
        }
        lane.timer_ms = at_ms;
        if let Some(at) = at_ms {
            self.timers.insert((at, id));
            // The clerk may be asleep until a later moment.
            self.nudge |= self.timers.first() == Some(&(at, id));
        }
    }

    /// Lets the lanes act whose time has come, and forgets those that were idle for long. Costs what is due.
    pub(super) fn tick(&mut self) {
        let now_ms = self.time.now_ms();
        while let Some(&(at, id)) = self.timers.first() {
            if at > now_ms {
                break;
            }
            self.set_timer(id, None);
            self.arrange(id);
            // A lane that asks for the same moment again would hold the clerk for ever.
            if self.timers.contains(&(at, id)) {
                self.set_timer(id, Some(now_ms + 1000));
            }
        }
        while let Some(&(since, id)) = self.idle.front() {
            let over = self.lanes.len() >= self.options.lanes_max;
            if since + IDLE_MS_MAX > now_ms && !over {
                break;
            }
            self.idle.pop_front();
            self.settle_idle(id, since);
        }
    }

    /// A lane that went idle at `since_ms` is forgotten if it stayed so, or looked at again later.
    fn settle_idle(&mut self, id: LaneId, since_ms: u64) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.in_idle_line = false;
        match lane.idle_ms {
            Some(at) if at == since_ms && lane.may_go() => self.forget_lane(id),
            Some(at) if at > since_ms => {
                lane.in_idle_line = true;
                self.idle.push_back((at, id));
            }
            _ => {}
        }
    }

    /// When the next lane has to act, queue time.
    pub(super) fn next_timer_ms(&self) -> Option<u64> {
        self.timers.first().map(|&(at, _)| at)
    }

    // ---- mail comes in ----

    /// A recipient was committed. `entry` is there when its message may stay in memory.
    pub(super) fn arrived(&mut self, id: LaneId, entry: Option<Entry>) {
        let now_ms = self.time.now_ms();
        let crowded = self.entries >= self.options.entries_max / 2;
        let fresh_max = if crowded { 32 } else { self.options.fresh_per_lane_max };
        let full = self.entries >= self.options.entries_max;
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let entry = entry.filter(|_| !full && lane.rest.is_none() && lane.fresh_len() < fresh_max);
        let Some(entry) = entry else { return self.note(id, now_ms) };
        lane.push_fresh(entry);
        self.entries += 1;
        match (lane.stage, lane.way) {
            (Stage::Queued, Some(group)) => {
                let want = lane.ready();
                self.supply(group, want);
            }
            _ => self.arrange(id),
        }
    }

    /// A read from disk ended: `entries` of this lane, and when more is due.
    pub(super) fn loaded(&mut self, id: LaneId, entries: Vec<Entry>, next_ms: Option<u64>) {
        let mut touched = vec![id];
        for entry in entries {
            let domain = super::settle::mailbox(&entry.kept.message.facts, entry.key.n)
                .map(|mailbox| mailbox.domain().clone());
            // The owner knows who settled meanwhile; one of another domain is held there too.
            let held = self.lanes.get(&id).is_some_and(|lane| lane.is_held(who(&entry.key)));
            let target = self.lane_for(entry.key.lane, domain.as_ref());
            let Some(target) = target.filter(|_| !held) else { continue };
            if let Some(lane) = self.lanes.get_mut(&target)
                && lane.push_loaded(entry)
            {
                self.entries += 1;
            }
            if !touched.contains(&target) {
                touched.push(target);
            }
        }
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.end_load(next_ms);
        }
        for id in touched {
            let lane = self.lanes.get(&id).map(|lane| (lane.stage, lane.way, lane.ready()));
            match lane {
                Some((Stage::Queued, Some(group), len)) => self.supply(group, len),
                _ => self.arrange(id),
            }
        }
    }

    /// Which lanes a read must not return: those in memory of the lane and of the others that share its hash.
    pub(super) fn held_for_load(&self, id: LaneId) -> std::collections::HashSet<Who> {
        let Some(lane) = self.lanes.get(&id) else { return std::collections::HashSet::default() };
        let mut held = lane.held().clone();
        if !self.others.is_empty() {
            let others = self.lanes.values().filter(|other| other.owner == Some(id));
            held.extend(others.flat_map(|other| other.held().iter().copied()));
        }
        held
    }

    // ---- leases end ----

    /// A lease ended.
    pub(super) fn lease_ended(&mut self, id: LaneId, of: Who, ended: Ended) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let now_ms = self.time.now_ms();
        let owner = self.owner_of(id);
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
        match ended {
            Ended::Untried(entry) if lane.rest.is_none() => {
                lane.push_back_untried(entry);
                self.entries += 1;
            }
            Ended::Untried(_) => {
                self.release(id, owner, of);
                self.note(owner, now_ms);
            }
            Ended::Settled(next_ms) => {
                self.release(id, owner, of);
                if let Some(next_ms) = next_ms {
                    self.note(owner, next_ms);
                }
            }
        }
        self.probe_lost(id);
        self.arrange(id);
    }

    /// Lets a recipient go, also where a read of the owner's may have seen it.
    pub(super) fn release(&mut self, id: LaneId, owner: LaneId, of: Who) {
        if owner != id
            && let Some(lane) = self.lanes.get_mut(&owner)
            && lane.loading
        {
            lane.hold(of);
            lane.release(of);
        }
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.release(of);
        }
    }

    /// A probe whose lease ended without a verdict on the destination is repeated later.
    fn probe_lost(&mut self, id: LaneId) {
        let until_ms = self.time.now_ms() + PROBE_LOST_MS;
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let still = lane.in_flight == 0 && lane.stage != Stage::Queued;
        if let Some(rest) = lane.rest.as_mut().filter(|rest| still && rest.probing) {
            rest.probing = false;
            rest.until_ms = until_ms;
        }
    }

    // ---- destinations fail and recover ----

    /// The next rest after one more failed probe.
    pub(super) fn rest_after(&self, before: Option<&Rest>, failure: &Failure, salt: u64) -> Rest {
        let failures = before.map_or(0, |rest| rest.failures) + 1;
        let chance = schedule::chance(crate::mail::MessageId::new(0, 0, salt), 0, failures);
        let wait =
            schedule::wait(failures, self.options.retry_first, self.options.retry_max, chance);
        let until_ms = self.time.now_ms() + ms(wait);
        Rest { failures, until_ms, probing: false, why: failure.reply.clone() }
    }

    /// A lane's whole destination failed: what was loaded goes back to disk, and one probe is made after a pause.
    pub(super) fn lane_failed(&mut self, id: LaneId, failure: &Failure) {
        let now_ms = self.time.now_ms();
        let Some(lane) = self.lanes.get(&id) else { return };
        // Connections that were under way when the first of them failed tell nothing new.
        if lane.rest.as_ref().is_some_and(|rest| now_ms < rest.until_ms) {
            return;
        }
        let rest = self.rest_after(lane.rest.as_ref(), failure, lane.lane.domain);
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.rest = Some(rest.clone());
        self.work.marks.push(Mark { of: Destination::Lane(lane.lane), rest: Some(rest) });
        self.nudge = true;
        self.unload(id);
        self.look_at(id);
    }

    /// A lane's destination answered for itself.
    pub(super) fn lane_recovered(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.rest.take().is_some() {
            self.work.marks.push(Mark { of: Destination::Lane(lane.lane), rest: None });
            self.nudge = true;
        }
    }

    /// Gives what a lane has loaded back to disk.
    pub(super) fn unload(&mut self, id: LaneId) {
        let now_ms = self.time.now_ms();
        let owner = self.owner_of(id);
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let dropped = lane.drop_window(now_ms);
        self.entries = self.entries.saturating_sub(dropped);
        if dropped > 0 && owner != id {
            self.note(owner, now_ms);
        }
    }

    /// Has a failing lane looked through, if somebody in it may be too late.
    pub(super) fn look_at(&mut self, id: LaneId) {
        let now_ms = self.time.now_ms();
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.look_at_ms <= now_ms && lane.owner.is_none() {
            // The look itself finds out when the next one is due.
            lane.look_at_ms = u64::MAX;
            self.work.sweep.push_back(id);
            self.nudge = true;
        }
    }
}
