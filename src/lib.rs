//! Postrider: Amazon SES that you own. One binary takes mail over SMTP, keeps it in an embedded store, delivers it from
//! pools of IP addresses, and tells what became of it.
//!
//! Read it in the order of a message's way: [`mail`] (the words), then `submission`, `intake`, `store`, `queue`,
//! `delivery`, `events`. `ARCHITECTURE.md` walks one message through.

pub mod access;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod egress;
pub mod events;
pub mod http;
pub mod identity;
pub mod intake;
pub mod mail;
pub mod message;
pub mod net;
pub mod queue;
pub mod simulator;
pub mod smtp;
pub mod store;
pub mod submission;
pub mod supervise;
pub mod suppression;
pub mod telemetry;
pub mod token;
