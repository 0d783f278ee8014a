//! What the steps of all queues need.

use std::sync::Arc;

use super::wire::Wire;
use crate::client::Membership;
use crate::consumer::config::ConsumerConfig;
use crate::consumer::consume::Dispatcher;
use crate::consumer::offset::Progress;
use crate::consumer::queue::Budget;
use crate::consumer::topics::{GroupFacts, Topics};

/// What the control thread has beside the queues.
pub(super) struct Tools {
    pub(super) config: Arc<ConsumerConfig>,
    pub(super) topics: Arc<Topics>,
    pub(super) wire: Wire,
    pub(super) membership: Membership,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) facts: GroupFacts,
    pub(super) budget: Budget<u64>,
    pub(super) progress: Progress,
}
