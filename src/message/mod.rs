//! RFC 5322: header blocks, what intake adds to and takes from them, DKIM signatures, and notices (RFC 3464).
//!
//! Pure: no sockets, no disk, no clock, no random numbers. What was signed here is what leaves.
