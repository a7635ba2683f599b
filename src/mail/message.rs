//! A message as it lies in the spool and leaves: facts, head, body.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::facts::Facts;

/// An accepted message. What was signed is what leaves: `head` and `body` are the octets of the wire, before dot-stuffing.
#[derive(Debug, Clone)]
pub struct Message {
    /// What we know about it.
    pub facts: Arc<Facts>,
    /// The final header block with our signatures and the empty line that ends it. Never empty, so that no message
    /// begins with a dot.
    pub head: Bytes,
    /// The rest.
    pub body: Body,
}

/// A message's body; lines end in CRLF, and no bare CR, bare LF or NUL is in it.
#[derive(Debug, Clone)]
pub enum Body {
    /// Held in memory.
    Memory(Bytes),
    /// A file of its own in the spool, for bodies above the in-memory bound.
    File {
        /// Where it lies.
        path: PathBuf,
        /// Its length in octets.
        len: u64,
    },
}

impl Body {
    /// Octets.
    pub fn len(&self) -> u64 {
        match self {
            Body::Memory(octets) => octets.len() as u64,
            Body::File { len, .. } => *len,
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Message {
    /// Octets of head and body together, as SIZE counts them (RFC 1870 §3).
    pub fn len(&self) -> u64 {
        self.head.len() as u64 + self.body.len()
    }

    /// Never: a message has a head.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
