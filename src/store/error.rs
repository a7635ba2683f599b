//! What can go wrong in the store, in words for the operator.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A change or a read that the store could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreFailed {
    /// A write or a sync failed, and everything fails from then on: the process must end and start anew.
    Latched(Arc<str>),
    /// The change is over one of the store's bounds; nothing happened.
    Unfit(&'static str),
    /// The store is closed.
    Closed,
}

/// Why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// Its octets are not what was written; says where.
    Damaged(String),
    /// Nothing lies at that place any more: the message is done, or it was moved; ask [`crate::store::Store::waiting`] for
    /// its present place.
    Gone,
    /// The store failed.
    Store(StoreFailed),
}

/// Why a store does not open.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it.
    InUse {
        /// Its process id, if the lock file says so.
        pid: Option<u32>,
    },
    /// An operation on a file or folder failed.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The index cannot be opened, even after repair. It is never replaced by an empty one.
    Index(String),
    /// The log is from a later release, or not a log.
    Format(String),
    /// An option is below its floor or contradicts another.
    Options(&'static str),
}

/// The disk is too full to take mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom {
    /// Octets free.
    pub free: u64,
    /// Octets that must stay free.
    pub needed: u64,
}

impl fmt::Display for StoreFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreFailed::Latched(why) => {
                write!(f, "the store failed and takes nothing until the process starts anew: {why}")
            }
            StoreFailed::Unfit(why) => write!(f, "the change does not fit the store: {why}"),
            StoreFailed::Closed => f.write_str("the store is closed"),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Damaged(what) => write!(f, "damaged: {what}"),
            ReadError::Gone => f.write_str("the message is no longer at that place"),
            ReadError::Store(failed) => failed.fmt(f),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::InUse { pid: Some(pid) } => {
                write!(f, "data folder is in use by process {pid}")
            }
            OpenError::InUse { pid: None } => {
                f.write_str("data folder is in use by another process")
            }
            OpenError::Io { path, error } => write!(f, "{}: {error}", path.display()),
            OpenError::Index(why) => write!(
                f,
                "the index cannot be opened ({why}); nothing was replaced: run `postrider doctor --rebuild`"
            ),
            OpenError::Format(why) => write!(f, "the log cannot be read: {why}"),
            OpenError::Options(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets free on disk, {} must stay free", self.free, self.needed)
    }
}

impl From<StoreFailed> for ReadError {
    fn from(failed: StoreFailed) -> ReadError {
        ReadError::Store(failed)
    }
}

impl std::error::Error for StoreFailed {}
impl std::error::Error for ReadError {}
impl std::error::Error for OpenError {}
impl std::error::Error for NoRoom {}
