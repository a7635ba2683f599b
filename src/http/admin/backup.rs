//! `GET /backup`: settings, suppressions and, when asked for, the queue, as one stream of octets from the running store.
//!
//! A stream that breaks off has no end mark, which whoever reads it checks. The instance key is not in it.

use std::io::{self, Write};

use axum::body::Body;
use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::State;
use super::follow::Pieces;
use crate::store::BackupOptions;
use crate::supervise;

/// Octets of a piece of the stream.
const PIECE_OCTETS: usize = 64 << 10;
/// Pieces on their way to a caller who reads slowly.
const PIECES_MAX: usize = 8;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Also the waiting mail.
    #[serde(default)]
    with_queue: bool,
}

pub(super) async fn create(state: State, Query(asked): Query<Asked>) -> Response {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let store = state.store.clone();
    let options = BackupOptions { with_queue: asked.with_queue };
    let work = supervise::blocking("backup", move || {
        let mut out = Out { sender, piece: Vec::with_capacity(PIECE_OCTETS) };
        let made = store.backup(&mut out, &options).and_then(|_| Ok(out.flush()?));
        if let Err(error) = made {
            tracing::warn!(%error, "a backup broke off");
        }
    });
    drop(supervise::spawn("backup", work));
    ([(CONTENT_TYPE, "application/octet-stream")], Body::new(Pieces(receiver))).into_response()
}

/// Writes into the stream, waiting for its reader.
struct Out {
    sender: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
}

impl Write for Out {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(octets);
        if self.piece.len() >= PIECE_OCTETS {
            self.flush()?;
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_OCTETS));
        self.sender.blocking_send(piece.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
