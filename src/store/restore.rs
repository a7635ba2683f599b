//! Restoring a backup into an empty data folder. Reads the backup to its end before the first octet is written.

use std::collections::HashMap;
use std::io::{Read, Seek};

use tokio::sync::oneshot;

use crate::mail::MessageId;

use super::Store;
use super::backup::{BackupError, BackupReport, Item, Items, verify_backup};
use super::error::StoreFailed;
use super::frame::{self, FrameParts};
use super::large::LargeWriter;
use super::ops::Op;
use super::prepare::Prepared;
use super::shared::Request;
use super::types::{Place, Waiting};

/// Records of one commit.
const RECORDS_PER_COMMIT: usize = 256;

/// An input that can be read twice.
pub trait Rereadable: Read + Seek {}
impl<T: Read + Seek> Rereadable for T {}

/// Brings a backup into `store`, which must be new. Blocks: not for a reactor's thread.
pub(super) fn run(store: &Store, input: &mut dyn Rereadable) -> Result<BackupReport, BackupError> {
    if !is_empty(store)? {
        return Err(BackupError::NotEmpty);
    }
    let start = input.stream_position()?;
    let report = verify_backup(&mut &mut *input)?;
    input.seek(std::io::SeekFrom::Start(start))?;
    let mut input = input;
    let mut items = Items::new(&mut input)?;
    let mut state = Restoring { store, ops: Vec::new(), places: HashMap::new(), pieces: None };
    while let Some(item) = items.next()? {
        state.take(item)?;
    }
    state.flush()?;
    Ok(report)
}

fn is_empty(store: &Store) -> Result<bool, StoreFailed> {
    let settings = store.scan(b"c", None, 1)?;
    let waiting = store.waiting_after(None, 1)?;
    Ok(settings.is_empty() && waiting.is_empty() && store.status().next_event == 1)
}

struct Restoring<'a> {
    store: &'a Store,
    /// Operations of the next commit.
    ops: Vec<Op>,
    /// Where the messages lie now.
    places: HashMap<MessageId, Place>,
    /// The large body of the next frame.
    pieces: Option<Vec<Vec<u8>>>,
}

impl Restoring<'_> {
    fn take(&mut self, item: Item) -> Result<(), BackupError> {
        match item {
            Item::Start { .. } | Item::End(_) => {}
            Item::Record(key, value) => self.ops.push(Op::Put(key, value)),
            Item::Piece(octets) => self.pieces.get_or_insert_default().push(octets),
            Item::Frame(octets) => self.frame(octets)?,
            Item::Waiting(key, waiting) => {
                // One whose message was damaged has nothing to wait for.
                if let Some(place) = self.places.get(&key.id) {
                    self.ops.push(Op::Wait(key, Waiting { place: *place, ..waiting }));
                }
            }
        }
        if self.ops.len() >= RECORDS_PER_COMMIT { self.flush() } else { Ok(()) }
    }

    fn frame(&mut self, octets: Vec<u8>) -> Result<(), BackupError> {
        self.flush()?;
        let whole = bytes::Bytes::from(octets.clone());
        let frame = frame::read(&whole).map_err(|_| BackupError::Format)?;
        let id = frame.facts.id;
        let large = self.pieces.take();
        if let Some(pieces) = &large {
            let mut writer: LargeWriter = self.store.large_writer(id)?;
            pieces.iter().try_for_each(|piece| writer.write(piece))?;
            writer.finish()?;
        }
        let bit = if large.is_some() { Place::LARGE } else { 0 };
        let len = u32::try_from(octets.len()).map_err(|_| BackupError::Format)?;
        let empty = bytes::Bytes::new();
        let parts =
            FrameParts { lead: octets, head: empty.clone(), body: empty, large: large.is_some() };
        let ops = vec![Op::Frame { len: len | bit, id }];
        let place = commit(self.store, ops, Some(parts))?;
        self.places.extend(place.map(|place| (id, place)));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BackupError> {
        if !self.ops.is_empty() {
            commit(self.store, std::mem::take(&mut self.ops), None)?;
        }
        Ok(())
    }
}

fn commit(
    store: &Store,
    ops: Vec<Op>,
    frame: Option<FrameParts>,
) -> Result<Option<Place>, StoreFailed> {
    let shared = store.shared();
    let mut prepared = Box::new(Prepared {
        ops,
        ops_octets: Vec::new(),
        events: Vec::new(),
        events_count: 0,
        frame,
        message: None,
        waiting: Vec::new(),
        tally: crate::telemetry::tally::Tally::default(),
    });
    prepared.encode_ops();
    let place = std::sync::Arc::clone(&shared.places).try_acquire_owned();
    let place = place.map_err(|_| StoreFailed::Unfit("the store is in use"))?;
    let (answer, answered) = oneshot::channel();
    shared.send(Request::Change { prepared, answer, place })?;
    let committed = answered.blocking_recv();
    committed.unwrap_or(Err(StoreFailed::Closed)).map(|committed| committed.place)
}
