//! The network's directories: DNS, and which addresses mail may be sent to. It never sends mail itself.

pub mod address;
pub mod dns;
pub mod tls;
