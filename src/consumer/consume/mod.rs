//! From a fetched message to its handler, and what follows from the handler's result.
//!
//! - `retry`: what a handler returns when it could not handle a message;
//! - `outcome`: `settle` decides what becomes of the message then (done, sent back, dead letter, again
//!   here), and `fallback` what to do if no broker takes it back;
//! - `dispatcher`: which queue's messages the next free consume thread gets;
//! - `handler`: the user's code, and how it ended; `deliveries`: the messages of a batch; `ordered`: those
//!   of an ordered consumer;
//! - `unpack`: messages as the handler gets them;
//! - `trace`: message trace of what user code gets, and of how it ended;
//! - `direct`: a message that is handled now, on an operator's request: on a consume thread, without hooks;
//! - `worker`: the consume threads; each takes the messages of one call from a queue; what `settle` decides, they
//!   do or hand to `control::backs`.

mod deliveries;
mod direct;
mod dispatcher;
mod handler;
mod ordered;
mod outcome;
mod retry;
mod trace;
mod unpack;
mod worker;

pub use deliveries::Deliveries;
pub(crate) use dispatcher::{Direct, Dispatcher, Taken};
pub(crate) use handler::{Batch, Handler, InOrder, Single};
pub use ordered::OrderedMessage;
pub(crate) use outcome::{Fallback, Limits, Mode, fallback};
pub use retry::Retry;
pub(crate) use trace::{Begun, Trace};
pub(crate) use unpack::unpack;
pub(crate) use worker::Worker;
