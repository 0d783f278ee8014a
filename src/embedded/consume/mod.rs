//! Requests of consumers to a broker. Each file has the handlers of one subject, functions of a
//! [`BrokerState`](super::broker::BrokerState) and a call; `service` says which request goes to
//! which.
//!
//! In reading order:
//! - `filter`: which messages of a topic a group wants
//! - `check`: whether a group may pull from a queue, and by which filter
//! - `read`: what a queue has from an offset on, for a filter
//! - `pull`: messages of a queue, at once or when there are some
//! - `wait`: a pull or pop that waits for a message
//! - `pop`: messages that are acknowledged one by one
//! - `offsets`: the progress of groups
//! - `locks`: queues that a member has for itself
//! - `send_back`: messages that come again later, or go to the dead letters
//! - `groups`: members and connections of groups, and checks of their filters
//! - `forward`: what a client asks another one
//! - `assign`: which queues a member gets, if the broker decides

mod assign;
mod check;
mod filter;
mod forward;
mod groups;
mod locks;
mod offsets;
mod pop;
mod pull;
mod read;
mod send_back;
mod wait;

pub(super) use assign::{query_assignment, set_mode};
pub(super) use forward::running_info;
pub(super) use groups::{check_config, connections, members};
pub(super) use locks::{lock, unlock};
pub(super) use offsets::{commit_offset, query_offset};
pub(super) use pop::{ack, ack_batch, change_invisible, pop};
pub(super) use pull::pull;
pub(super) use send_back::send_back;
