//! The admin API's client: HTTP over the running server's control socket.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::exit::{Exit, Failure};
use super::place;
use crate::supervise;

/// From a request's first octet to the answer's head.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);
/// Octets of one answer; the longest is a page of events with their transcripts.
const ANSWER_OCTETS_MAX: usize = 64 << 20;
/// Octets of one line of a stream.
const LINE_OCTETS_MAX: usize = 1 << 20;

/// A connection to the running server.
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

/// A request's path with its query.
#[derive(Debug, Clone)]
pub(super) struct Target(String);

impl Target {
    /// A path of fixed words; what a person typed goes through [`Target::name`] and [`Target::with`].
    pub(super) fn new(path: &str) -> Target {
        Target(path.to_owned())
    }

    /// One more segment of the path.
    pub(super) fn name(mut self, segment: &str) -> Target {
        self.0.push('/');
        self.0.push_str(&escaped(segment));
        self
    }

    /// One more parameter, if it is given.
    pub(super) fn with(mut self, name: &str, value: Option<impl ToString>) -> Target {
        if let Some(value) = value {
            self.0.push(if self.0.contains('?') { '&' } else { '?' });
            self.0.push_str(name);
            self.0.push('=');
            self.0.push_str(&escaped(&value.to_string()));
        }
        self
    }
}

/// RFC 3986 §2.1: all but unreserved characters as octets in percent.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

impl Client {
    /// Connects to the server of the named data folder, or of the first usual one.
    pub(super) async fn connect(data: Option<&Path>) -> Result<Client, Failure> {
        let socket = place::control_socket(data)?;
        let stream = UnixStream::connect(&socket).await.map_err(|error| {
            let at = socket.display();
            if error.kind() == std::io::ErrorKind::PermissionDenied {
                let text = format!("{at} is not yours to open; run as root or as the server's user");
                return Failure::new(Exit::Denied, text);
            }
            let text = format!(
                "no server answers on {at} ({error}); start one with `postrider serve` or `postrider dev`"
            );
            Failure::new(Exit::Unavailable, text)
        })?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(gone)?;
        drop(supervise::spawn("control connection", connection));
        Ok(Client { sender })
    }

    /// Reads.
    pub(super) async fn get<T: DeserializeOwned>(&mut self, target: &Target) -> Result<T, Failure> {
        let answer = self.send(Method::GET, target, Bytes::new()).await?;
        parsed(&answer)
    }

    /// Makes or does.
    pub(super) async fn post<T: DeserializeOwned>(
        &mut self,
        target: &Target,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.with_body(Method::POST, target, body).await
    }

    /// Changes.
    pub(super) async fn patch<T: DeserializeOwned>(
        &mut self,
        target: &Target,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.with_body(Method::PATCH, target, body).await
    }

    /// Removes.
    pub(super) async fn delete<T: DeserializeOwned>(
        &mut self,
        target: &Target,
    ) -> Result<T, Failure> {
        let answer = self.send(Method::DELETE, target, Bytes::new()).await?;
        parsed(&answer)
    }

    async fn with_body<T: DeserializeOwned>(
        &mut self,
        method: Method,
        target: &Target,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body)
            .map_err(|e| Failure::new(Exit::Internal, format!("cannot write the request: {e}")))?;
        let answer = self.send(method, target, body.into()).await?;
        parsed(&answer)
    }

    /// Gives each line of an answer that does not end, such as events that are followed.
    pub(super) async fn lines(
        &mut self,
        target: &Target,
        mut each: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let response = self.request(Method::GET, target, Bytes::new()).await?;
        let mut response = refused(response).await?;
        let mut held = Vec::new();
        while let Some(frame) = response.body_mut().frame().await {
            let Ok(data) = frame.map_err(gone)?.into_data() else { continue };
            held.extend_from_slice(&data);
            while let Some(end) = memchr::memchr(b'\n', &held) {
                let line: Vec<u8> = held.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if !line.trim().is_empty() {
                    each(line.trim())?;
                }
            }
            if held.len() > LINE_OCTETS_MAX {
                return Err(Failure::new(Exit::Internal, "the server sent a line without end"));
            }
        }
        Ok(())
    }

    /// Gives each piece of an answer of any length.
    pub(super) async fn copy(
        &mut self,
        target: &Target,
        mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let response = self.request(Method::GET, target, Bytes::new()).await?;
        let mut response = refused(response).await?;
        while let Some(frame) = response.body_mut().frame().await {
            if let Ok(data) = frame.map_err(gone)?.into_data() {
                each(&data)?;
            }
        }
        Ok(())
    }

    async fn send(
        &mut self,
        method: Method,
        target: &Target,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        let response = self.request(method, target, body).await?;
        let response = refused(response).await?;
        whole(response).await
    }

    async fn request(
        &mut self,
        method: Method,
        target: &Target,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(&target.0)
            .header(hyper::header::HOST, "localhost")
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|e| Failure::new(Exit::Internal, format!("cannot make the request: {e}")))?;
        self.sender.ready().await.map_err(gone)?;
        tokio::time::timeout(ANSWER_DEADLINE, self.sender.send_request(request))
            .await
            .map_err(|_| {
                let text = format!(
                    "the server has not answered within {} s; see its log",
                    ANSWER_DEADLINE.as_secs()
                );
                Failure::new(Exit::Temporary, text)
            })?
            .map_err(gone)
    }
}

/// An answer that is an error becomes a failure with the exit code of its kind.
async fn refused(response: Response<Incoming>) -> Result<Response<Incoming>, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = whole(response).await?;
    let exit = match status.as_u16() {
        403 | 422 => Exit::Denied,
        404 => Exit::NotFound,
        409 => Exit::Exists,
        400..=407 | 410..=421 => Exit::Usage,
        408 | 429 | 503 => Exit::Temporary,
        _ => Exit::Internal,
    };
    Err(Failure::new(exit, told(&body).unwrap_or_else(|| format!("the server answered {status}"))))
}

/// The words of an error's body: `{"error": {"message": …, "field": …, "hint": …}}`.
fn told(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error")?;
    let part = |name: &str| error.get(name).and_then(serde_json::Value::as_str);
    let mut text = part("field").map_or_else(String::new, |field| format!("{field}: "));
    text.push_str(part("message")?);
    if let Some(hint) = part("hint") {
        text.push_str("; ");
        text.push_str(hint);
    }
    Some(text)
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let limited = http_body_util::Limited::new(response.into_body(), ANSWER_OCTETS_MAX);
    let collected = limited.collect().await.map_err(|e| {
        Failure::new(Exit::Unavailable, format!("the server's answer broke off: {e}"))
    })?;
    Ok(collected.to_bytes())
}

fn parsed<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Failure> {
    let answer: &[u8] = if answer.is_empty() { b"null" } else { answer };
    serde_json::from_slice(answer).map_err(|error| {
        let text = format!(
            "the server's answer is not what this release expects ({error}); is it another version? `postrider status` tells"
        );
        Failure::new(Exit::Internal, text)
    })
}

#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn gone(error: hyper::Error) -> Failure {
    Failure::new(Exit::Unavailable, format!("the server went away ({error}); see its log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_typed_cannot_leave_its_place_in_the_path() {
        let target = Target::new("/v1/domains").name("a/../b?c").with("q", Some("x&y=z"));
        assert_eq!(target.0, "/v1/domains/a%2F..%2Fb%3Fc?q=x%26y%3Dz");
        assert_eq!(Target::new("/x").with("a", None::<u8>).with("b", Some(1)).0, "/x?b=1");
    }

    #[test]
    fn an_error_is_told_with_its_field_and_its_hint() {
        let body = br#"{"error":{"code":"invalid","message":"is no domain","field":"name","hint":"write one"}}"#;
        assert_eq!(told(body).as_deref(), Some("name: is no domain; write one"));
        assert_eq!(told(b"<html>"), None);
    }
}
