//! Combines several listeners into one.

use std::fmt;
use std::sync::Arc;

use crate::consumer::observe::{Event, Listener};
use crate::panics::caught;

/// The listeners of a consumer.
#[derive(Clone, Default)]
pub(super) struct Listeners(Vec<Listener>);

impl Listeners {
    pub(super) fn add(&mut self, listener: impl Fn(&Event) + Send + Sync + 'static) {
        self.0.push(Arc::new(listener));
    }

    /// One listener that calls all of them, in the order of adding. A panic of one does not stop the others.
    pub(super) fn all(self) -> Option<Listener> {
        let mut listeners = self.0;
        if listeners.len() < 2 {
            return listeners.pop();
        }
        Some(Arc::new(move |event| {
            let heard: Vec<bool> = listeners
                .iter()
                .map(|listener| caught(|| listener(event)).is_ok())
                .collect();
            // The caller logs the panic.
            assert!(heard.into_iter().all(|heard| heard));
        }))
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}
