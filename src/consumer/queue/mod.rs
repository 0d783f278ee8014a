//! One assigned queue, without anything that asks, waits or runs:
//!
//! - `window` and `held`: its messages from the lowest unfinished one on, and what goes into that
//!   and comes out; the window's low-water is the only offset that may be committed; `line`: which of
//!   them is handed out next;
//! - `limits`: how many bytes all queues of a consumer may hold, and which may fetch now;
//! - `lock`: its lock at the broker, as far as a member can know;
//! - `hand_over`: whether the member that had it before has handed it over;
//! - `assigned`: a window as several threads share it; `popped`: popped messages, in the same way;
//! - `assignment`: all of them, and what is paused.

mod assigned;
mod assignment;
mod hand_over;
mod held;
mod limits;
mod line;
mod lock;
mod popped;
mod window;

pub(crate) use assigned::{Assigned, Order, Payload};
pub(crate) use assignment::{Assignment, Scope};
pub(crate) use hand_over::HandOver;
pub(crate) use held::{Ask, Fetched, Handed, Stale, Ticket};
pub(crate) use limits::{Answer, Budget, Grant};
pub(crate) use lock::{Granted, Need, QueueLock};
pub(crate) use popped::PopQueue;
