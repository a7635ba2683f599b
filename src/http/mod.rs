//! HTTP: the admin API on a unix socket, and metrics and probes on TCP.
//!
//! Thin faces: what an operator can do is a method of the module that owns it, and an endpoint parses, calls and shapes.
//! Nothing here decides anything about mail, and TCP serves nothing that tells of mail or people.

pub mod admin;
mod connection;
mod metrics;
pub mod probes;
