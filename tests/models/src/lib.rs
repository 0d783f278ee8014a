//! The library's own concurrent code, compiled as it is against a checker's locks, atomics,
//! channels and threads, and models that try it in many interleavings.
//!
//! `MODEL_SCHEDULES=1000000 cargo test -p models --release` tries more of them than by default. A
//! failure prints its schedule, which `MODEL_REPLAY=<schedule> cargo test -p models NAME` has again.

// Each file is compiled whole, and a model uses a part of it.
#![allow(dead_code, unused_imports, unused_macros)]

pub mod check;
#[path = "../../../src/error/mod.rs"]
mod error;
#[path = "../../../src/logging.rs"]
mod logging;
#[path = "../../../src/panics.rs"]
mod panics;
mod protocol;
pub mod send;
mod sync;
pub mod transport;
