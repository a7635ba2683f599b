//! The only code that names sled: committer, keys, records, segments, repair, backup; and the instance key beside them.

pub mod vault;
