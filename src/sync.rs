//! The primitives that threads share and wait on. All locks come from here: in a build with `--cfg
//! yields` they yield to other threads at random. Code whose interleavings are checked takes its
//! atomics, channels and threads from here too: `tests/models` compiles the same files against a
//! checker.

pub(crate) use std::sync::atomic;
pub(crate) use std::thread;

pub(crate) use crossbeam_channel as channel;
#[cfg(not(yields))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(yields)]
pub(crate) use yields::{Condvar, Mutex, MutexGuard, RwLock};

#[cfg(yields)]
#[path = "../tests/locks/yields.rs"]
mod yields;
