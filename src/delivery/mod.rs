//! Delivery: one attempt to hand a message to the next hop, from the route to the verdict. It decides nothing about
//! when, or whether again: that is the queue's.

pub mod classify;
pub mod reply;
