//! What the library's `sync` module has, of a checker's make: with the library's names and forms.

pub(crate) mod channel;
mod condvar;
mod mutex;

pub(crate) use condvar::Condvar;
pub(crate) use mutex::{Mutex, MutexGuard};
pub(crate) use shuttle::sync::atomic;
pub(crate) use shuttle::thread;
