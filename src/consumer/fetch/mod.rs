//! Decisions about the answers to pulls.
//!
//! - `verdict`: the meaning of the answer to a pull, and the pause before the next pull;
//! - `moved`: what to do when the asked offset does not exist.

mod moved;
mod verdict;

pub use moved::OffsetMoved;
pub(crate) use moved::{Move, judge_move};
pub(crate) use verdict::{Moved, PullAnswer, Streak, Verdict, growing, judge};
