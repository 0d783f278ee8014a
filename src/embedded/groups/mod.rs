//! What one broker knows of groups. No sockets and no clock here: who calls says what time it is.
//!
//! In reading order:
//! - `configs`: which consumer groups exist, and how they are configured
//! - `members`: who belongs to producer and consumer groups, by heartbeats
//! - `subscribed`: what one consumer group has subscribed
//! - `offsets`: the progress of consumer groups, in memory and on disk
//! - `locks`: queues that one member of a group has for itself
//! - `modes`: how a group's messages of a topic are asked for
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
