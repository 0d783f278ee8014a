//! Observing sends: hooks, statistics, message trace.

mod hooks;
mod stats;
mod trace;
