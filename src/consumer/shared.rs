//! The state that all threads and handles of a consumer share.

use std::sync::Arc;

use super::config::ConsumerConfig;
use super::consume::{Dispatcher, Trace};
use super::control::Inbox;
use super::observe::Counters;
use super::offset::SavedOffsets;
use super::queue::Assignment;
use super::topics::Topics;

/// The state that all threads and handles of a consumer share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<ConsumerConfig>,
    /// The group as brokers know it.
    pub(crate) group: Arc<str>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) inbox: Inbox,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) assignment: Arc<Assignment>,
    pub(crate) counters: Arc<Counters>,
    /// The offsets of a broadcasting consumer; otherwise brokers keep them.
    pub(crate) saved: Option<Arc<SavedOffsets>>,
    /// Message trace, if it is on.
    pub(crate) trace: Option<Arc<Trace>>,
}
