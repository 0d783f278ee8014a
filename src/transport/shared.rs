use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::{Hooks, LOG, Tls, Workers};
use crate::logging;
use crate::protocol::{HeaderFormat, Language};

#[derive(Debug, Clone)]
pub(crate) struct RemotingConfig {
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) header_format: HeaderFormat,
    pub(crate) language: Language,
    pub(crate) version: i32,
    pub(crate) hooks: Hooks,
    /// None: plain connections.
    pub(crate) tls: Option<Tls>,
}

/// State that all connections and dials of a client share.
pub(super) struct Shared {
    pub(super) config: RemotingConfig,
    pub(super) workers: Workers,
    /// Whether requests must be built as a whole before they are encoded.
    pub(super) need_command: bool,
    /// Whether there is more than one processor: on a single one, a spinning thread delays the
    /// event that it waits for.
    pub(super) has_processors: bool,
    /// The number of the next request, over all connections.
    pub(super) next_opaque: AtomicI32,
    lost_oneway: AtomicU64,
    random: RandomState,
    random_calls: AtomicU64,
}

impl Shared {
    pub(super) fn new(config: RemotingConfig, workers: Workers) -> Shared {
        Shared {
            need_command: config.hooks.need_command(),
            config,
            workers,
            has_processors: thread::available_parallelism().is_ok_and(|n| n.get() > 1),
            next_opaque: AtomicI32::new(0),
            lost_oneway: AtomicU64::new(0),
            random: RandomState::new(),
            random_calls: AtomicU64::new(0),
        }
    }

    /// Has the next request get this number.
    #[cfg(test)]
    pub(super) fn number_next(&self, opaque: i32) {
        self.next_opaque.store(opaque, Ordering::Relaxed);
    }

    pub(super) fn lost_oneway(&self) -> u64 {
        self.lost_oneway.load(Ordering::Relaxed)
    }

    pub(super) fn note_lost_oneway(&self, address: &str, lost: usize) {
        if lost > 0 {
            self.lost_oneway.fetch_add(lost as u64, Ordering::Relaxed);
            logging::warn!(
                target: LOG,
                "{address}: {lost} oneway messages were lost with the connection"
            );
        }
    }

    /// An unpredictable number; good enough for jitter.
    pub(super) fn random(&self) -> u64 {
        self.random
            .hash_one(self.random_calls.fetch_add(1, Ordering::Relaxed))
    }
}
