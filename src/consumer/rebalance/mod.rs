//! Which queues of a topic belong to this member.
//!
//! - `division`: the sorted queues and members that every member divides in the same way;
//! - `allocate`: the strategies;
//! - `ring` and `md5`: the consistent hash among them;
//! - `diff`: which lists of members count, and what changes: keep, give up, take;
//! - `pace`: when to divide again.

mod allocate;
mod diff;
mod division;
mod md5;
mod pace;
mod ring;

pub use allocate::Allocation;
pub(crate) use diff::{Diff, Doubt, Round, judge, rebalance, take_all, take_those};
pub use division::Division;
pub(crate) use division::Duplicates;
pub(crate) use pace::Pace;
