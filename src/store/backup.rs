//! Backups: the settings and suppressions of a running store (and the queue, when asked for) as one stream of framed
//! records with check sums and an end mark, so that a cut or flipped backup is refused by name.
//!
//! The instance key is never in it: whoever makes a backup for people adds it wrapped.
//!
//! `PRBACKUP` ‖ version(4), then per item `length(4) ‖ crc(4) ‖ kind(1) ‖ payload`; the CRC32C covers the item's number,
//! its kind and its payload, so that items cannot change places.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read, Write};

use crate::mail::record::{put_varint, take_varint};

use super::disk::OpenHow;
use super::error::{ReadError, StoreFailed};
use super::ops::{self, Op};
use super::read;
use super::shared::Shared;
use super::types::{Record, WaitKey, Waiting};

const MAGIC: [u8; 12] = *b"PRBACKUP\0\0\0\x01";
/// Octets of one item; what claims more is damage.
const ITEM_OCTETS_MAX: u32 = 16 << 20;
/// Octets of a large body in one item.
const PIECE_OCTETS: usize = 256 << 10;
/// Records and recipients read at a time.
const STEP: usize = 512;

/// What goes into a backup.
#[derive(Debug, Clone, Default)]
pub struct BackupOptions {
    /// Also the waiting mail. Whatever is delivered after the backup is delivered again after a restore.
    pub with_queue: bool,
}

/// What is in a backup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Settings, suppressions and the like.
    pub records: u64,
    /// Messages.
    pub messages: u64,
    /// Waiting recipients.
    pub waiting: u64,
    /// Messages that could not be read and are left out.
    pub damaged: u64,
    /// When it was made, Unix milliseconds.
    pub made_ms: u64,
    /// Number of the next commit when it was made.
    pub commit: u64,
}

/// Why a backup cannot be made or read.
#[derive(Debug)]
pub enum BackupError {
    /// The stream it is read from or written to failed.
    Io(io::Error),
    /// It is no backup, or of a later release.
    Format,
    /// An item is cut or changed.
    Damaged {
        /// Its number, from 1.
        item: u64,
    },
    /// The end mark is missing: the backup was cut off.
    Cut {
        /// Whole items before the cut.
        items: u64,
    },
    /// The store failed.
    Store(StoreFailed),
    /// The folder to restore into holds a store already.
    NotEmpty,
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupError::Io(error) => write!(f, "the backup: {error}"),
            BackupError::Format => f.write_str("this is no backup, or it is from a later release"),
            BackupError::Damaged { item } => {
                write!(f, "item {item} of the backup is damaged; nothing was restored")
            }
            BackupError::Cut { items } => {
                write!(f, "the backup is cut off after {items} items; nothing was restored")
            }
            BackupError::Store(failed) => failed.fmt(f),
            BackupError::NotEmpty => {
                f.write_str("the data folder holds a store already; restore into an empty one")
            }
        }
    }
}

impl std::error::Error for BackupError {}

impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> BackupError {
        BackupError::Io(error)
    }
}

impl From<StoreFailed> for BackupError {
    fn from(failed: StoreFailed) -> BackupError {
        BackupError::Store(failed)
    }
}

/// One item of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// The first: when it was made, next commit.
    Start { made_ms: u64, commit: u64 },
    /// A record.
    Record(Vec<u8>, Vec<u8>),
    /// A piece of the large body of the message that follows.
    Piece(Vec<u8>),
    /// A message's frame.
    Frame(Vec<u8>),
    /// A recipient of the last frame of its message's id.
    Waiting(WaitKey, Waiting),
    /// The last: how many items stand before it.
    End(u64),
}

impl Item {
    fn kind(&self) -> u8 {
        match self {
            Item::Start { .. } => 1,
            Item::Record(..) => 2,
            Item::Piece(_) => 3,
            Item::Frame(_) => 4,
            Item::Waiting(..) => 5,
            Item::End(_) => 9,
        }
    }

    fn payload(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Item::Start { made_ms, commit } => {
                put_varint(&mut out, *made_ms);
                put_varint(&mut out, *commit);
            }
            Item::Record(key, value) => ops::put(&mut out, &Op::Put(key.clone(), value.clone())),
            Item::Piece(octets) | Item::Frame(octets) => out.extend_from_slice(octets),
            Item::Waiting(key, waiting) => ops::put(&mut out, &Op::Wait(*key, waiting.clone())),
            Item::End(items) => put_varint(&mut out, *items),
        }
        out
    }

    fn read(kind: u8, mut octets: &[u8]) -> Option<Item> {
        let op = |octets: &[u8]| ops::read_all(octets).ok()?.pop();
        Some(match kind {
            1 => Item::Start {
                made_ms: take_varint(&mut octets).ok()?,
                commit: take_varint(&mut octets).ok()?,
            },
            2 => match op(octets)? {
                Op::Put(key, value) => Item::Record(key, value),
                Op::Frame { .. } | Op::New(_) | Op::Wait(..) | Op::Gone(_) | Op::Delete(_) => {
                    return None;
                }
            },
            3 => Item::Piece(octets.to_vec()),
            4 => Item::Frame(octets.to_vec()),
            5 => match op(octets)? {
                Op::Wait(key, waiting) => Item::Waiting(key, waiting),
                Op::Frame { .. } | Op::New(_) | Op::Put(..) | Op::Gone(_) | Op::Delete(_) => {
                    return None;
                }
            },
            9 => Item::End(take_varint(&mut octets).ok()?),
            _ => return None,
        })
    }
}

fn sum(number: u64, kind: u8, payload: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&number.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(sum, &[kind]), payload)
}

/// Writes items.
struct Writer<'a> {
    out: &'a mut dyn Write,
    items: u64,
}

impl Writer<'_> {
    fn item(&mut self, item: &Item) -> Result<(), BackupError> {
        self.items += 1;
        let payload = item.payload();
        let len = u32::try_from(payload.len()).ok().filter(|len| *len <= ITEM_OCTETS_MAX);
        let len = len.ok_or(BackupError::Damaged { item: self.items })?;
        self.out.write_all(&len.to_be_bytes())?;
        self.out.write_all(&sum(self.items, item.kind(), &payload).to_be_bytes())?;
        self.out.write_all(&[item.kind()])?;
        self.out.write_all(&payload)?;
        Ok(())
    }
}

/// Reads items; a stream ends with [`Item::End`] and nothing else.
pub(super) struct Items<'a> {
    input: &'a mut dyn Read,
    /// Items read.
    read: u64,
    ended: bool,
}

impl<'a> Items<'a> {
    pub(super) fn new(input: &'a mut dyn Read) -> Result<Items<'a>, BackupError> {
        let mut magic = [0; 12];
        input.read_exact(&mut magic).map_err(|_| BackupError::Format)?;
        if magic != MAGIC {
            return Err(BackupError::Format);
        }
        Ok(Items { input, read: 0, ended: false })
    }

    /// The next item; `None` after the end mark.
    pub(super) fn next(&mut self) -> Result<Option<Item>, BackupError> {
        if self.ended {
            return Ok(None);
        }
        let cut = BackupError::Cut { items: self.read };
        let mut lead = [0; 9];
        if self.input.read_exact(&mut lead).is_err() {
            return Err(cut);
        }
        self.read += 1;
        let [l0, l1, l2, l3, c0, c1, c2, c3, kind] = lead;
        let len = u32::from_be_bytes([l0, l1, l2, l3]);
        let damaged = || BackupError::Damaged { item: self.read };
        if len > ITEM_OCTETS_MAX {
            return Err(damaged());
        }
        let mut payload = vec![0; len as usize];
        if self.input.read_exact(&mut payload).is_err() {
            return Err(cut);
        }
        if sum(self.read, kind, &payload) != u32::from_be_bytes([c0, c1, c2, c3]) {
            return Err(damaged());
        }
        let item = Item::read(kind, &payload).ok_or_else(damaged)?;
        if let Item::End(items) = item {
            self.ended = items == self.read - 1;
            return if self.ended { Ok(None) } else { Err(damaged()) };
        }
        Ok(Some(item))
    }
}

/// Reads a backup to its end and says what is in it.
pub fn verify_backup(input: &mut dyn Read) -> Result<BackupReport, BackupError> {
    let mut items = Items::new(input)?;
    let mut report = BackupReport::default();
    while let Some(item) = items.next()? {
        match item {
            Item::Start { made_ms, commit } => (report.made_ms, report.commit) = (made_ms, commit),
            Item::Record(..) => report.records += 1,
            Item::Frame(_) => report.messages += 1,
            Item::Waiting(..) => report.waiting += 1,
            Item::Piece(_) | Item::End(_) => {}
        }
    }
    Ok(report)
}

/// Writes a backup of a running store.
pub(super) fn write(
    shared: &Shared,
    out: &mut dyn Write,
    options: &BackupOptions,
) -> Result<BackupReport, BackupError> {
    out.write_all(&MAGIC)?;
    let (settings, commit) = settings(shared)?;
    let mut report =
        BackupReport { made_ms: shared.clock.now_ms(), commit, ..BackupReport::default() };
    let mut writer = Writer { out, items: 0 };
    writer.item(&Item::Start { made_ms: report.made_ms, commit })?;
    for (key, value) in settings {
        writer.item(&Item::Record(key, value))?;
        report.records += 1;
    }
    suppressions(shared, &mut writer, &mut report)?;
    if options.with_queue {
        queue(shared, &mut writer, &mut report)?;
    }
    let items = writer.items;
    writer.item(&Item::End(items))?;
    writer.out.flush()?;
    Ok(report)
}

/// All settings as of one moment: commits wait while they are read, for settings speak of each other. They are few.
fn settings(shared: &Shared) -> Result<(Vec<Record>, u64), StoreFailed> {
    let delta = shared.delta.read();
    Ok((read::scan(shared, b"c", None, usize::MAX)?, delta.end.commit))
}

/// Suppressions, each as of its own moment: they do not speak of each other, and they are many.
fn suppressions(
    shared: &Shared,
    writer: &mut Writer<'_>,
    report: &mut BackupReport,
) -> Result<(), BackupError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let part = read::scan(shared, b"s", after.as_deref(), STEP)?;
        let Some((last, _)) = part.last() else { return Ok(()) };
        after = Some(last.clone());
        for (key, value) in part {
            writer.item(&Item::Record(key, value))?;
            report.records += 1;
        }
    }
}

fn queue(
    shared: &Shared,
    writer: &mut Writer<'_>,
    report: &mut BackupReport,
) -> Result<(), BackupError> {
    let mut written = HashSet::new();
    let mut after: Option<WaitKey> = None;
    loop {
        let part = read::waiting_after(shared, after.as_ref(), STEP)?;
        let Some((last, _)) = part.last() else { return Ok(()) };
        after = Some(*last);
        for (key, waiting) in part {
            if written.insert(key.id) && !message(shared, writer, &waiting)? {
                report.damaged += 1;
                continue;
            }
            report.messages = written.len() as u64 - report.damaged;
            report.waiting += 1;
            writer.item(&Item::Waiting(key, waiting))?;
        }
    }
}

/// Writes a message, its large body first; `false` when it cannot be read.
fn message(
    shared: &Shared,
    writer: &mut Writer<'_>,
    waiting: &Waiting,
) -> Result<bool, BackupError> {
    let frame = match read::frame_octets(shared, waiting.place) {
        Ok(frame) if super::frame::is_whole(&frame) => frame,
        Ok(_) | Err(ReadError::Damaged(_) | ReadError::Gone) => return Ok(false),
        Err(ReadError::Store(failed)) => return Err(failed.into()),
    };
    if waiting.place.is_large() {
        let Ok(crate::mail::Body::File { path, .. }) =
            read::message(shared, waiting.place).map(|message| message.body)
        else {
            return Ok(false);
        };
        let file = shared.disk.open(&path, OpenHow::Read)?;
        let mut offset = 0;
        let mut piece = vec![0; PIECE_OCTETS];
        loop {
            let got = file.read_at(&mut piece, offset)?;
            if got == 0 {
                break;
            }
            offset += got as u64;
            writer.item(&Item::Piece(piece.get(..got).unwrap_or_default().to_vec()))?;
        }
    }
    writer.item(&Item::Frame(frame))?;
    Ok(true)
}
