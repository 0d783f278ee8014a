//! A send that goes on without a thread that waits.
//!
//! - `async_send`: the continuation, which goes from thread to thread as one box; `AsyncSend::call` runs the
//!   user's callback on a callback worker (`rmq-callback`); of a send that fails before its first attempt
//!   `Engine::call_back` does, of a batched one `producer::gather::batch_listeners`;
//! - `listener`: the recipient of the result: a callback, a handle, or a part of the crate;
//! - `free_list`: ended ones, for the sends after them.

mod async_send;
mod free_list;
mod listener;

pub(crate) use async_send::{AsyncSend, launch, send_async};
pub(super) use free_list::FreeList;
pub(crate) use listener::{Listener, Recipient, SendListener};
