//! The clerk: the one task that does what the board asks for. It reads lanes from disk, asks for routes, opens
//! connections, writes down which destinations rest, and lets time pass.
//!
//! It holds no state of its own: after a panic it starts again where the board stands.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::board::Work;
use super::courier::{Report, Route};
use super::hub::Hub;
use super::lane::{Entry, LaneId, Stage};
use super::ready::{GroupId, Way};
use super::supply::Opening;
use super::{disk, marks, settle};
use crate::mail::event::Attempt;
use crate::mail::{EventKind, Failure, Outcome};
use crate::store::Change;
use crate::supervise;

/// The clerk looks at the clock at least this often, so that a step of it or a changed permit is seen in time.
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How often lanes that found no room in memory are looked for on disk.
const LIST_PAUSE_MS: u64 = 10_000;

/// Bounds of what the clerk has under way at once.
pub(super) struct Places {
    loads: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new(hub: &Hub) -> Arc<Places> {
        Arc::new(Places {
            loads: Arc::new(Semaphore::new(hub.options.loads_max)),
            lookups: Arc::new(Semaphore::new(hub.options.lookups_max)),
        })
    }
}

/// Runs until the queue stops.
pub(super) async fn run(hub: Arc<Hub>, places: Arc<Places>) {
    let (mut full_looked_ms, mut listed_ms) = (0, 0);
    loop {
        let work = hub.with(|board| {
            board.tick();
            std::mem::take(&mut board.work)
        });
        take_up(&hub, &places, work);
        let now_ms = hub.time().now_ms();
        if now_ms.saturating_sub(full_looked_ms) >= 1000 {
            full_looked_ms = now_ms;
            hub.with(super::board::Board::retry_full);
        }
        let unlisted = hub.with(|board| board.unlisted);
        if unlisted && now_ms.saturating_sub(listed_ms) >= LIST_PAUSE_MS {
            listed_ms = now_ms;
            disk::list_lanes(&hub).await;
        }
        let (stopping, next_ms) = hub.with(|board| (board.stopping, board.next_timer_ms()));
        if stopping {
            return;
        }
        let until = next_ms.map_or(u64::MAX, |at| at.saturating_sub(now_ms));
        let pause = Duration::from_millis(until).clamp(Duration::from_millis(1), PAUSE_MAX);
        // Whoever nudges meanwhile wakes us: the permit of `notify_one` is kept.
        let _ = tokio::time::timeout(pause, hub.nudge.notified()).await;
    }
}

fn take_up(hub: &Arc<Hub>, places: &Arc<Places>, work: Work) {
    for (lane, entry) in work.orphans {
        drop(hub.settle_orphan(lane, &entry));
    }
    for (entry, failure, attempt) in work.probes {
        tell_probe(hub, &entry, &failure, attempt);
    }
    if !work.marks.is_empty() {
        marks::write(hub, &work.marks);
    }
    for id in work.open {
        open(hub, id);
    }
    for id in work.ask {
        ask(hub, places, id);
    }
    for id in work.learn {
        in_place(&places.loads, "queue-learn", disk::learn(Arc::clone(hub), id));
    }
    for id in work.load {
        in_place(&places.loads, "queue-load", disk::load(Arc::clone(hub), id));
    }
    for id in work.sweep {
        in_place(&places.loads, "queue-sweep", disk::sweep(Arc::clone(hub), id));
    }
}

/// Runs `work` as a task once there is a place for it.
fn in_place(
    places: &Arc<Semaphore>,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let places = Arc::clone(places);
    drop(supervise::spawn(name, async move {
        let place = places.acquire_owned().await;
        work.await;
        drop(place);
    }));
}

// ---- routes ----

fn ask(hub: &Arc<Hub>, places: &Arc<Places>, id: LaneId) {
    let asked = hub.with(|board| {
        let lane = board.lanes.get(&id)?;
        Some((lane.domain.clone()?, lane.lane.pool))
    });
    let Some((domain, pool)) = asked else { return };
    let mut answer = hub.partners.courier.route(domain, pool);
    // A cached answer is there at once and costs no task.
    match Pin::new(&mut answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => routed(hub, id, result),
        Poll::Pending => {
            let hub = Arc::clone(hub);
            in_place(&places.lookups, "queue-route", async move {
                let result = answer.await;
                routed(&hub, id, result);
            });
        }
    }
}

fn routed(hub: &Arc<Hub>, id: LaneId, result: Result<Arc<Route>, Failure>) {
    hub.with(|board| match result {
        Ok(route) => board.routed(id, Way::Route(route)),
        // A domain that takes no mail or does not exist is a verdict on each of its recipients.
        Err(failure) if failure.reply.enhanced.is_some_and(|status| status.class == 5) => {
            board.routed(id, Way::Void(Arc::new(failure)));
        }
        Err(failure) => {
            if let Some(lane) = board.lanes.get_mut(&id)
                && lane.stage == Stage::Asking
            {
                lane.stage = Stage::Still;
            }
            board.lane_failed(id, &failure);
            board.arrange(id);
        }
    });
}

// ---- connections ----

fn open(hub: &Arc<Hub>, id: GroupId) {
    let Some((pool, provider)) = hub.with(|board| board.ready_of(id)) else { return };
    let permits = hub.partners.permits.permits(pool, &provider);
    let weight = hub.partners.permits.weight(pool);
    let openings = hub.with(|board| board.open(id, &permits, weight));
    for Opening { conn, way, exit } in openings {
        let leases = hub.leases(conn);
        match way {
            Way::Route(route) => {
                let connection = hub.partners.courier.connect(route, exit, leases);
                drop(supervise::spawn("delivery", connection));
            }
            Way::Void(failure) => {
                drop(supervise::spawn("queue-void", refuse_all(leases, failure)));
            }
        }
    }
}

/// Ends every recipient of a domain that takes no mail.
async fn refuse_all(mut leases: super::Leases, failure: Arc<Failure>) {
    while let Some(lease) = leases.next().await {
        let outcome = Outcome::Bounced(Failure::clone(&failure));
        let report = Report { outcome, attempt: Attempt::default(), dsn_passed_on: false };
        if leases.settle(lease, report).await.is_err() {
            return;
        }
    }
}

/// Puts the failed probe of a destination into one recipient's trace.
fn tell_probe(hub: &Arc<Hub>, entry: &Entry, failure: &Failure, attempt: Attempt) {
    let time = hub.time();
    let number = u32::from(entry.waiting.attempts) + 1;
    let attempt = Attempt {
        number,
        result: "deferred".into(),
        class: Some(failure.class),
        reply: Some(failure.reply.clone()),
        ..attempt
    };
    let event = settle::event(&hub.case(entry, &time), EventKind::Attempt(attempt));
    commit_aside(hub, Change { events: vec![event], ..Change::default() });
}

/// Commits what nobody waits for; a store that failed ends the process by itself.
pub(super) fn commit_aside(hub: &Arc<Hub>, change: Change) {
    let store = hub.store.clone();
    drop(supervise::spawn("queue-record", async move { store.commit(change).await.map(drop) }));
}
