//! Who must not be mailed: addresses with the reason and the event that put them here.
//!
//! Never suppresses on anything but a verdict on the recipient, a complaint, an unsubscription or a person's word, and that
//! verdict is its callers'. Intake looks recipients up; queue adds in the commit of the bounce; the doors are for people.

pub mod entry;

pub use entry::{Entry, Reason};
