//! RFC 5322: header blocks, what intake adds to and takes from them, DKIM signatures, and notices (RFC 3464).
//!
//! Pure: no sockets, no disk, no clock, no random numbers. What was signed here is what leaves.

pub mod address;
pub mod date;
pub mod dkim;
pub mod edit;
pub mod header;
pub mod inspect;
pub mod notice;
pub mod split;

pub use edit::{Head, Hop, Stamp};
pub use header::{Block, Field, HeaderError};
pub use inspect::{Asks, HeadError, Inspected, inspect};
pub use split::HeadCollector;
