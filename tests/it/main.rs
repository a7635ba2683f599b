//! What the real binary does, seen from outside. One binary, one link.
