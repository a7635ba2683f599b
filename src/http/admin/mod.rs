//! The admin API: what an operator can see and do, as JSON over the control socket.
//!
//! Every endpoint is a thin face on one method of the module that owns the action. There is no authentication here:
//! `socket` lets in root and the server's own user only, and nothing else may carry this router.

mod backup;
mod config_sets;
mod credentials;
mod domains;
mod error;
mod events;
mod extract;
mod follow;
mod queue;
mod routes;
mod send;
pub mod shapes;
mod socket;
mod status;
mod suppressions;
#[cfg(test)]
mod tests;
mod trace;
mod when;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::access::Access;
use crate::clock::Clock;
use crate::egress::Pools;
use crate::egress::routes::Routes;
use crate::events::Events;
use crate::identity::Identities;
use crate::intake::Intake;
use crate::mail::Domain;
use crate::queue::Queue;
use crate::store::Store;
use crate::suppression::Suppression;

pub use super::probes::Readiness;
pub use error::{ApiError, Code, ErrorBody};
pub use socket::bind;

/// Everything the endpoints are faces of. `app` builds it.
pub struct AdminState {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The EHLO name.
    pub hostname: Domain,
    /// Whether mail is taken.
    pub readiness: Arc<Readiness>,
    /// Messages and settings.
    pub store: Store,
    /// What happened.
    pub events: Events,
    /// Credentials.
    pub access: Arc<Access>,
    /// Identities and configuration sets.
    pub identities: Arc<Identities>,
    /// Who must not be mailed.
    pub suppression: Suppression,
    /// The one door.
    pub intake: Intake,
    /// What waits.
    pub queue: Queue,
    /// What goes before MX.
    pub routes: Routes,
    /// Pools of exits.
    pub pools: Pools,
}

impl AdminState {
    /// The number of the pool that a request names, by name or number.
    fn pool(&self, text: &str) -> Result<u16, ApiError> {
        let by_number = || self.pools.get(text.parse().ok()?);
        let pool = self.pools.named(text).or_else(by_number);
        pool.map(|pool| pool.number).ok_or_else(|| {
            let known: Vec<&str> = self.pools.all().iter().map(|pool| pool.name.as_str()).collect();
            ApiError::invalid("pool", format!("there is no pool {text:?}"))
                .hint(format!("pools are {}", known.join(", ")))
        })
    }
}

type State = axum::extract::State<Arc<AdminState>>;
type Answer<T> = Result<axum::Json<T>, ApiError>;

/// Serves the admin API on a socket made by [`bind`], until `stop` turns true.
pub async fn serve(listener: UnixListener, state: AdminState, stop: watch::Receiver<bool>) {
    socket::serve(listener, router(Arc::new(state)), stop).await;
}

fn router(state: Arc<AdminState>) -> Router {
    let api = Router::new()
        .route("/status", get(status::status))
        .route("/backup", get(backup::create))
        .route("/events", get(events::list))
        .route("/messages/{id}", get(events::trace))
        .route("/credentials", get(credentials::list).post(credentials::create))
        .route("/credentials/{name}", delete(credentials::revoke))
        .route("/domains", get(domains::list).post(domains::add))
        .route("/domains/{name}", get(domains::show).delete(domains::remove))
        .route("/domains/{name}/records", get(domains::records))
        .route("/config-sets", get(config_sets::list).post(config_sets::create))
        .route(
            "/config-sets/{name}",
            get(config_sets::show).patch(config_sets::set).delete(config_sets::remove),
        )
        .route("/queue", get(queue::list))
        .route("/queue/flush", post(queue::flush))
        .route("/queue/bounce", post(queue::bounce))
        .route("/routes", get(routes::list).post(routes::add))
        .route("/routes/{pattern}", delete(routes::remove))
        .route("/queue/{id}", get(queue::show))
        .route("/send", post(send::send))
        .route("/suppressions", get(suppressions::list).post(suppressions::add))
        .route("/suppressions/{address}", get(suppressions::show).delete(suppressions::remove))
        .method_not_allowed_fallback(wrong_method);
    Router::new().nest(shapes::PREFIX, api).fallback(no_such_place).with_state(state)
}

async fn no_such_place() -> ApiError {
    ApiError::not_found("there is nothing at this path").hint("the API stands below /api/v1")
}

async fn wrong_method() -> ApiError {
    ApiError::new(Code::Invalid, "this path does not take that method")
}

/// Runs what may touch the disk away from the reactor; a panic in it is our fault and told as such.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match crate::supervise::blocking("admin api", work).await {
        Some(done) => done,
        None => Err(ApiError::internal(what, &"it panicked")),
    }
}
