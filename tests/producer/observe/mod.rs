//! What a producer shows of its sends: hooks, statistics, message trace.

mod hooks;
mod stats;
mod trace;
