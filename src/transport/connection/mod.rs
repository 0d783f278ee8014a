//! One TCP connection: many requests at a time, answered in any order. In reading order:
//!
//! - `state`: the connection's parts, and what can be asked of it
//! - `slot`: a request's waiter: a thread, or a continuation, and where that goes on
//! - `pending`: the table of requests without an answer, soon or parked (pure)
//! - `outbox`: the queue of frames that wait to be written (pure)
//! - `call`: a request is registered, queued, and waited for
//! - `writer`: one thread at a time writes the queued frames
//! - `reader`: the reader thread: answers to their waiters, requests to the layer above
//! - `expiry`: requests past their deadlines, and peers that stopped reading or writing
//! - `end`: the connection dies once, and every waiter is answered

mod call;
mod end;
mod expiry;
mod outbox;
mod pending;
mod reader;
mod slot;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use call::Refused;
#[cfg(test)]
pub(super) use end::retire;
pub(super) use end::{end_if_idle, kill};
pub(super) use outbox::Guard;
pub(crate) use pending::{Entry, Pending};
pub(super) use reader::start;
pub(super) use slot::Ready;
#[cfg(test)]
pub(super) use slot::Waiter;
pub(crate) use slot::{Completion, Next, Outcome, Slot};
pub(crate) use state::Connection;
pub(crate) use writer::Via;
