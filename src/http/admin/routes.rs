//! `/routes`: where mail for some domains goes instead of their MX.

use axum::Json;

use crate::egress::routes::{Pattern, RouteError, RouteRule};

use super::error::{ApiError, Code};
use super::extract::{Name, Posted};
use super::shapes::{Done, Page, RouteShape};
use super::{Answer, State};

pub(super) async fn list(state: State) -> Answer<Page<RouteShape>> {
    let items = state.routes.ls().iter().map(|route| shape(route)).collect();
    Ok(Json(Page { items, next: None }))
}

/// Adds a route, in place of one for the same pattern.
pub(super) async fn add(state: State, Posted(new): Posted<RouteShape>) -> Answer<RouteShape> {
    let tls = if new.tls.is_empty() { "opportunistic" } else { new.tls.as_str() };
    let route = RouteRule::parse(&new.pattern, &new.host, new.port, tls);
    let route = route.map_err(|error| refuse(&error))?;
    let shown = shape(&route);
    state.routes.add(route).await.map_err(|error| refuse(&error))?;
    Ok(Json(shown))
}

pub(super) async fn remove(state: State, Name(pattern): Name) -> Answer<Done> {
    let pattern = Pattern::parse(&pattern).map_err(|error| refuse(&error))?;
    state.routes.rm(&pattern).await.map_err(|error| refuse(&error))?;
    Ok(Json(Done {}))
}

fn shape(route: &RouteRule) -> RouteShape {
    RouteShape {
        pattern: route.pattern.to_string(),
        host: route.host.to_string(),
        port: route.port,
        tls: route.tls.word().to_owned(),
    }
}

fn refuse(error: &RouteError) -> ApiError {
    match error {
        RouteError::Pattern(_) => ApiError::invalid("pattern", error.to_string()),
        RouteError::Host(_) => ApiError::invalid("host", error.to_string()),
        RouteError::Port => ApiError::invalid("port", error.to_string()),
        RouteError::Tls(_) => ApiError::invalid("tls", error.to_string()),
        RouteError::Many => ApiError::new(Code::Conflict, error.to_string()),
        RouteError::Unknown(_) => {
            ApiError::not_found(error.to_string()).hint("see `postrider route ls`")
        }
        RouteError::Store(failed) => ApiError::internal("change the routes", failed),
    }
}
