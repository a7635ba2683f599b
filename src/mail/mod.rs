//! The words of mail, as RFC 5321 and RFC 5598 use them: values that are right by construction.
//!
//! Nothing here does I/O, reads a clock or knows a protocol's state. Every other module speaks in these types;
//! what a type accepted at the edge is never checked again inside.

pub mod domain;
pub mod envelope;
pub mod event;
pub mod event_record;
pub mod facts;
pub mod id;
pub mod lane;
pub mod mailbox;
pub mod message;
pub mod network;
pub mod outcome;
pub mod record;
pub mod reply;

pub use domain::{Domain, DomainError};
pub use envelope::{BodyKind, Envelope, Notify, Recipient, Ret, ReversePath};
pub use event::{Event, EventKind};
pub use facts::Facts;
pub use id::MessageId;
pub use lane::{Class, Lane};
pub use mailbox::{Mailbox, MailboxError};
pub use message::{Body, Message};
pub use outcome::{Failure, FailureClass, Outcome};
pub use reply::{EnhancedStatus, Reply};
