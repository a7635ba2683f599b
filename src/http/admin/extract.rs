//! Requests taken apart: query, path and body, each bounded, each with an error that names what is wrong.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::error::{ApiError, Code};

/// Octets of a JSON body; the largest is a configuration set.
pub(super) const BODY_OCTETS_MAX: usize = 256 * 1024;
/// Octets of a JSON body with a message in it: a command's, not an application's, which speaks SMTP.
const MESSAGE_BODY_OCTETS_MAX: usize = 16 * 1024 * 1024;
/// A whole body has come by then.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// The query string as `T`.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Params(value)),
            Err(rejection) => Err(ApiError::new(Code::Invalid, rejection.body_text())),
        }
    }
}

/// One segment of the path, percent-decoded.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Name(name)),
            Err(rejection) => Err(ApiError::new(Code::Invalid, rejection.body_text())),
        }
    }
}

/// A JSON body as `T`; an empty body is an empty object.
pub(super) struct Posted<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Posted<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        json(request, BODY_OCTETS_MAX).await.map(Posted)
    }
}

/// The same for bodies that carry a message.
pub(super) struct PostedLarge<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for PostedLarge<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        json(request, MESSAGE_BODY_OCTETS_MAX).await.map(PostedLarge)
    }
}

async fn json<T: DeserializeOwned>(request: Request, octets_max: usize) -> Result<T, ApiError> {
    let octets = body(request, octets_max).await?;
    let octets: &[u8] = if octets.is_empty() { b"{}" } else { &octets };
    serde_json::from_slice(octets)
        .map_err(|error| ApiError::new(Code::Invalid, format!("the body: {error}")))
}

/// A whole body of at most `octets_max`, within [`BODY_DEADLINE`].
async fn body(request: Request, octets_max: usize) -> Result<Bytes, ApiError> {
    let limited = Limited::new(request.into_body(), octets_max);
    match tokio::time::timeout(BODY_DEADLINE, limited.collect()).await {
        Err(_) => Err(ApiError::new(Code::Timeout, "the body did not come in time")),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("the body is larger than {octets_max} octets");
            Err(ApiError::new(Code::TooLarge, message))
        }
        Ok(Err(error)) => Err(ApiError::new(Code::Invalid, format!("the body: {error}"))),
    }
}
