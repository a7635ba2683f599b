//! Kinds of settings: the octet after `c` in a key. Numbers are never reused.
//!
//! Each kind belongs to one module; it stands here so that no two choose the same octet.

/// `access`: a credential by number.
pub const CREDENTIAL: u8 = 1;
/// Last number given out, by kind: `c ‖ LAST_NUMBER ‖ kind`, eight octets big-endian.
pub const LAST_NUMBER: u8 = 2;
/// `identity`: an identity by number.
pub const IDENTITY: u8 = 3;
/// `identity`: a DKIM key by number.
pub const DKIM_KEY: u8 = 4;
/// `identity`: a configuration set by number.
pub const CONFIG_SET: u8 = 5;
/// `egress`: a route by number.
pub const ROUTE: u8 = 6;
/// `egress`: a pool by number.
pub const POOL: u8 = 7;
/// `token`: the number of the return path's key in use.
pub const TOKEN_KEY: u8 = 8;

/// `c ‖ kind ‖ id`.
pub fn key(kind: u8, id: &[u8]) -> Vec<u8> {
    [b"c", &[kind][..], id].concat()
}

/// Kinds of counters: the octet after `x` in a key.
pub mod counter {
    /// `access`: recipients of a credential in an hour, `x ‖ USAGE ‖ credential ‖ hour`.
    pub const USAGE: u8 = 1;
    /// `queue`: a destination that rests, `x ‖ REST ‖ destination`.
    pub const REST: u8 = 2;
}

/// Kinds of suppression records: the octet after `s` in a key.
pub mod suppressed {
    /// A bucket of packed addresses, `s ‖ BUCKET ‖ bits ‖ depth`.
    pub const BUCKET: u8 = 1;
    /// An address that is not packed yet, `s ‖ FRESH ‖ hash ‖ unique`.
    pub const FRESH: u8 = 2;
}
