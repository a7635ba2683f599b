//! `GET /events?follow=true`: new events as they come, one JSON object a line, until the caller hangs up.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc;

use crate::events::{Events, Filter, Order};
use crate::supervise;

use super::events::Sends;

/// Batches on their way to a caller who reads slowly; past it the follower waits, and its events wait in the log.
const BATCHES_MAX: usize = 4;
/// Events of a batch.
const BATCH_EVENTS_MAX: usize = 200;

/// An answer that goes on: events from number `from` that meet `filter`, oldest first.
pub(super) fn stream(events: Events, filter: Filter, from: u64) -> Response {
    let (sender, receiver) = mpsc::channel(BATCHES_MAX);
    drop(supervise::spawn("event follower", follow(events, filter, from, sender)));
    let content = [(CONTENT_TYPE, "application/x-ndjson")];
    (content, Body::new(Pieces(receiver))).into_response()
}

async fn follow(events: Events, filter: Filter, mut at: u64, sender: mpsc::Sender<Bytes>) {
    loop {
        // A batch is read only once there is room for it.
        let Ok(place) = sender.reserve().await else { return };
        let (reader, wanted) = (events.clone(), filter.clone());
        let batch = supervise::blocking("event follower", move || read(&reader, &wanted, at)).await;
        let Some(Some((lines, next))) = batch else { return };
        if !lines.is_empty() {
            place.send(lines);
        }
        if next == at {
            tokio::select! {
                () = events.wait_for(at) => {}
                () = sender.closed() => return,
            }
        }
        at = next;
    }
}

/// Lines of the next events and where to go on; `None` if the log cannot be read, which ends the stream.
fn read(events: &Events, filter: &Filter, at: u64) -> Option<(Bytes, u64)> {
    // What is committed while we read comes with the next batch.
    let end = events.next_event();
    let page = events.query(filter, Some(at), BATCH_EVENTS_MAX, Order::OldestFirst).ok()?;
    let mut sends = Sends::new(events);
    let mut lines = Vec::new();
    for (seq, event) in &page.events {
        serde_json::to_writer(&mut lines, &sends.shape(*seq, event)).ok()?;
        lines.push(b'\n');
    }
    let read_to = page.events.last().map_or(end, |(seq, _)| end.max(seq + 1));
    Some((lines.into(), page.next.unwrap_or(read_to).max(at)))
}

/// A body made of what comes out of a channel.
pub(super) struct Pieces(pub(super) mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|lines| lines.map(|lines| Ok(Frame::data(lines))))
    }
}
