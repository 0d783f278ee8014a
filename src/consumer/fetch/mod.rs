//! Decisions about the answers to pulls and pops.
//!
//! - `verdict`: the meaning of the answer to a pull, and the pause before the next pull;
//! - `moved`: what to do when the asked offset does not exist;
//! - `popped`: the time of a popped message, and what its ack achieved.

mod moved;
#[allow(dead_code, reason = "consumers by POP are to come")]
mod popped;
mod verdict;

pub use moved::OffsetMoved;
pub(crate) use moved::{Move, judge_move};
pub(crate) use verdict::{Moved, PullAnswer, Streak, Verdict, judge};
