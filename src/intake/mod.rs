//! The one door: decides whether a message may enter, makes it what will leave, and answers only when the disk has it.
//!
//! Never answers a message before its commit is durable, never changes what was signed, never mails in answer to a null
//! reverse path. Submission and the HTTP faces call it in the order [`Intake::mail`], [`Intake::recipient`],
//! [`Intake::begin`], [`Receiving::push`], [`Intake::accept`].

#![allow(clippy::unused_async, reason = "a shell, for an hour")]

pub mod refusal;

use std::net::IpAddr;
use std::sync::Arc;

use crate::access::Credential;
use crate::mail::{Envelope, Mailbox, MessageId, ReversePath};

pub use refusal::Refusal;

/// Who hands a message in, and over what.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The credential it authenticated as.
    pub credential: Arc<Credential>,
    /// The client's address, for the owner's eyes.
    pub client: IpAddr,
    /// What the client called itself in EHLO; printable ASCII.
    pub helo: String,
    /// `ESMTPSA` and its kin (RFC 3848), for the Received field.
    pub protocol: &'static str,
    /// TLS protocol and cipher, such as `TLSv1.3 TLS13_AES_256_GCM_SHA384`; `None` for plain text.
    pub tls: Option<String>,
}

/// The door.
#[derive(Debug)]
pub struct Intake {}

/// A message on its way in, between 354 and the reply to its last octet. Dropping it forgets the message and frees its place.
#[derive(Debug)]
pub struct Receiving {}

impl Intake {
    /// At MAIL: may this credential use this reverse path, is there quota and room? `size` is what SIZE= said (RFC 1870 §6.1).
    pub fn mail(
        &self,
        _sender: &Sender,
        _from: &ReversePath,
        _size: Option<u64>,
    ) -> Result<(), Refusal> {
        Err(Refusal::StoreFailed)
    }

    /// At RCPT: may `to` be added to the envelope so far? The caller leaves out a mailbox that is in it already
    /// ([`Mailbox::identity`]).
    pub fn recipient(
        &self,
        _sender: &Sender,
        _envelope: &Envelope,
        _to: &Mailbox,
    ) -> Result<(), Refusal> {
        Err(Refusal::StoreFailed)
    }

    /// Before 354 (or at the first BDAT): takes quota, and a place in memory, for which it may wait some seconds.
    ///
    /// Cancellation-safe: a dropped future gives back what it took.
    pub async fn begin(
        &self,
        _sender: &Arc<Sender>,
        _envelope: Envelope,
        _size: Option<u64>,
    ) -> Result<Receiving, Refusal> {
        Err(Refusal::StoreFailed)
    }

    /// After the last octet: decides, assembles, signs, commits. `Ok` means that the disk has it.
    ///
    /// Once called it runs to its end: a caller that drops the future does not know whether the message was accepted.
    pub async fn accept(&self, _receiving: Receiving) -> Result<MessageId, Refusal> {
        Err(Refusal::StoreFailed)
    }
}

impl Receiving {
    /// The next octets of the message, in pieces of any size: lines that end in CRLF, dot-stuffing undone, without bare CR,
    /// bare LF or NUL. A message that is already refused is dropped as it comes, so the caller reads on to its end and hears
    /// the refusal from [`Intake::accept`].
    pub async fn push(&mut self, _octets: &[u8]) {}

    /// Whether it is refused already: a caller that need not read on (BDAT) may answer at once.
    pub fn refused(&self) -> Option<&Refusal> {
        None
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        0
    }

    /// Whether nothing came yet.
    pub fn is_empty(&self) -> bool {
        true
    }
}
