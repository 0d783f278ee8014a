//! What one broker knows of groups. No sockets and no clock here: the time is an argument.
//!
//! In reading order:
//! - `configs`: the consumer groups and their settings
//! - `members`: the members of producer and consumer groups, by heartbeats
//! - `subscribed`: the subscriptions of one consumer group
//! - `offsets`: the progress of consumer groups, in memory and on disk
//! - `locks`: queue locks
//! - `modes`: whether a group pulls or pops a topic
//! - `pops`, `batch`: popped messages that are not acknowledged, and the latest batch in order

mod batch;
mod configs;
mod locks;
mod members;
mod modes;
mod offsets;
mod pops;
mod subscribed;

pub(super) use batch::{Batch, InOrder};
pub(super) use configs::{Configs, GroupConfig};
pub(super) use locks::Locks;
pub(super) use members::{Kind, Members, Origin};
pub(super) use modes::{Mode, Modes};
pub(super) use offsets::{Offsets, QueueKey};
pub(super) use pops::Pops;
