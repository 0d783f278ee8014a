//! What threads share and wait with. All locks come from here: in a build with `--cfg yields` they let
//! other threads go first now and then. Code whose interleavings are checked has its atomics, channels
//! and threads from here too: `tests/models` compiles the same files against a checker's own.

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
