//! SMTP as the receiving side speaks it: octets in, replies and actions out.
//!
//! Pure: nothing here knows a socket, a disk or a user. A listener feeds what it read to a [`Session`], writes what the
//! session put into its output, does what the returned [`Action`] asks and tells the session how it went. `submission`
//! and `simulator` are such listeners.
//!
//! # Layout
//! * [`limits`]: what a session may cost. * [`mod@line`]: command lines out of octets. * [`command`], [`path`],
//!   [`parameters`]: the grammar of commands. * [`data`], [`chunk`], [`text`]: message octets out of DATA and BDAT.
//! * [`sasl`]: AUTH PLAIN and LOGIN. * `reply`: every reply we have. * [`session`]: the order of it all.

pub mod chunk;
pub mod command;
pub mod data;
pub mod limits;
pub mod line;
pub mod parameters;
pub mod path;
mod reply;
pub mod sasl;
pub mod session;
pub mod text;

pub use limits::Limits;
pub use session::{Action, Channel, Phase, Profile, Session};
