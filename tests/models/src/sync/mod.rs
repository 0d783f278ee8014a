//! The library's `sync` module on top of a checker: the same names and types.

pub(crate) mod channel;
mod condvar;
mod mutex;

pub(crate) use condvar::Condvar;
pub(crate) use mutex::{Mutex, MutexGuard};
pub(crate) use shuttle::sync::atomic;
pub(crate) use shuttle::thread;
