//! Requests of consumers to a broker. Each file has the handlers of one subject, functions of a
//! [`BrokerState`](super::broker::BrokerState) and a call; `service` passes each request to its
//! handler.
//!
//! In reading order:
//! - `filter`: which messages of a topic match a subscription
//! - `check`: whether a group may pull from a queue, and by which filter
//! - `read`: the messages of a queue from an offset on, by a filter
//! - `pull`: messages of a queue, at once or by a long poll
//! - `wait`: a pull or pop that waits for a message
//! - `pop`: messages that are acknowledged one by one
//! - `offsets`: the progress of groups
//! - `locks`: locks of queues
//! - `send_back`: messages that come again later, or become dead letters
//! - `groups`: members and connections of groups, and checks of their filters
//! - `operator`: what operators ask about a group, and resets of its offsets
//! - `forward`: what a client asks another one
//! - `assign`: which queues a member gets, if the broker decides

mod assign;
mod check;
mod filter;
mod forward;
mod groups;
mod locks;
mod offsets;
mod operator;
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
pub(super) use operator::{consume_stats, push_reset, reset_group, topics_of_group};
pub(super) use pop::{ack, ack_batch, change_invisible, notice, polling, pop};
pub(super) use pull::pull;
pub(super) use send_back::send_back;
