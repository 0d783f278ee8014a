//! Topics, offsets, stored messages and consumer groups. In reading order:
//!
//! - `calls`: [`Admin`], the calls that users make
//! - `questions`: requests to several brokers, and to the brokers of a route
//! - `group`: [`GroupAdmin`], the calls about one group; `reports`: what they return
//! - `members`, `progress`, `reset`, `dead_letters`: what these calls do

mod calls;
mod dead_letters;
mod group;
mod members;
mod progress;
mod questions;
mod reports;
mod reset;

pub use calls::Admin;
pub use dead_letters::DeadLetters;
pub use group::GroupAdmin;
pub use reports::{
    GroupMember, GroupMembers, GroupProgress, GroupSubscription, QueueProgress, ResetTo,
};
