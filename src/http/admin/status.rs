//! `GET /status`: how the server is.

use axum::Json;

use crate::events::EventsStatus;
use crate::events::json::timestamp;
use crate::store::StoreStatus;

use super::shapes::{EventsShape, Status, StoreShape};
use super::{Answer, State};
use crate::http::metrics;

pub(super) async fn status(state: State) -> Answer<Status> {
    super::blocking("read the status", move || {
        let not_ready = state.readiness.missing(&state.store);
        Ok(Json(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: state.hostname.to_string(),
            pid: std::process::id(),
            uptime_seconds: state.clock.uptime().as_secs(),
            ready: not_ready.is_empty(),
            not_ready,
            counts: metrics::counts(),
            store: store(state.store.status()),
            events: events(&state.events.status()),
        }))
    })
    .await
}

fn store(status: StoreStatus) -> StoreShape {
    StoreShape {
        waiting: status.waiting,
        segments: status.segments,
        log_bytes: status.log_bytes,
        index_bytes: status.index_bytes,
        replay_bytes: status.replay_bytes,
        memory_bytes: status.memory_bytes,
        groups: status.groups,
        changes: status.changes,
        sync_mean_us: status.sync_us / status.groups.max(1),
        free_bytes: status.free_bytes,
        reserve_bytes: status.reserve_bytes,
        failed: status.failed,
    }
}

fn events(status: &EventsStatus) -> EventsShape {
    EventsShape {
        files: status.files,
        bytes: status.bytes,
        oldest: status.oldest_ms.map(timestamp),
        next_event: status.next_event,
        damaged: status.damaged.iter().map(|(name, what)| format!("{name}: {what}")).collect(),
    }
}
