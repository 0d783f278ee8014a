//! From the start of a producer to its end: its threads, its callbacks, its shutdown, a fork.

#[cfg(unix)]
mod fork;
mod lifecycle;
mod shutdown;
mod threads;
