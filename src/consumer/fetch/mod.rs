//! Fetching messages: what is decided from an answer.
//!
//! - `verdict`: what the answer to a pull means, and how long to wait before the next one;
//! - `moved`: what to do when the asked offset does not exist.

mod moved;
mod verdict;

pub use moved::OffsetMoved;
pub(crate) use moved::{Move, judge_move};
pub(crate) use verdict::{Moved, PullAnswer, Streak, Verdict, growing, judge};
