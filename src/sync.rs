//! What threads share and wait with, for code whose interleavings are checked: `tests/models`
//! compiles the same files against a checker's own locks, atomics, channels and threads.

pub(crate) use std::sync::atomic;
pub(crate) use std::thread;

pub(crate) use crossbeam_channel as channel;
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
