//! DKIM signatures (RFC 6376), RSA-SHA256 and Ed25519-SHA256 (RFC 8463) over the same canonical form.
//!
//! Canonicalisation is ours, "relaxed" for header and body; only the operations with keys are mail-auth's, whose own
//! body hash is wrong for lines of nothing but spaces at the end of a body.

mod body;
mod key;
mod sign;

pub use body::{BodyHash, BodyHasher};
pub use key::{DkimKey, KeyError, SELECTOR_OCTETS_MAX};
pub use sign::sign;
