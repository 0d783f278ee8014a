//! Behaviours and faults, met over raw sockets.
