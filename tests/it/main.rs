//! What the house promises, and what the real binary does, seen from outside. One binary, one link.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::duration_suboptimal_units,
    clippy::assigning_clones,
    clippy::semicolon_if_nothing_returned,
    dead_code,
    unreachable_pub,
    reason = "a test that panics says so, and it measures the real clock"
)]

mod architecture;
mod backup;
mod cli;
mod config;
mod crash;
mod dev;
mod dkim;
mod faults;
mod rfc;
mod stop;
mod submission;
mod support;
