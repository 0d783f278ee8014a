//! Who the members of the group are, and which queues of its topics are ours. In reading order:
//!
//! - `rounds`: brokers are asked for the members
//! - `divider`: which queues are ours (by `rebalance`, or all, or given ones), and what follows
//! - `suspicions`: what is wrong with the group; `twins`: another client of our id
//! - `missing`: topics that do not exist yet

mod divider;
mod missing;
mod rounds;
mod suspicions;
mod twins;

pub(super) use divider::Divider;
pub(super) use missing::Missing;
