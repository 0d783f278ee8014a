use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// Holds answers back until the test opens it; see [`Fault::hold`](super::Fault::hold).
///
/// Clones are the same gate. Once open it stays open: later requests pass at once.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    open: bool,
    held: Vec<Box<dyn Waiting>>,
}

/// A request that waits at a gate. When its connection ends, nothing of it is left but this value,
/// so that a forgotten gate keeps no socket and no memory.
pub(in crate::embedded) trait Waiting: Send {
    /// Whether its connection still waits for it.
    fn is_open(&self) -> bool;

    /// Lets it through, on the thread that opens the gate.
    fn release(self: Box<Self>);
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Lets everything through, in order of arrival. The held answers are written before this
    /// returns; those of connections that have ended are dropped.
    pub fn open(&self) {
        let held = {
            let mut state = self.0.lock();
            state.open = true;
            std::mem::take(&mut state.held)
        };
        for waiting in held {
            waiting.release();
        }
    }

    /// The number of requests held now. A request whose connection has ended does not count.
    pub fn held(&self) -> usize {
        let mut state = self.0.lock();
        state.held.retain(|waiting| waiting.is_open());
        state.held.len()
    }

    /// Holds it until the gate opens: not at all, if it is open.
    pub(in crate::embedded) fn hold(&self, waiting: Box<dyn Waiting>) {
        let mut state = self.0.lock();
        if state.open {
            drop(state);
            waiting.release();
            return;
        }
        // Before the list grows, ended requests are removed.
        if state.held.len() == state.held.capacity() {
            state.held.retain(|waiting| waiting.is_open());
        }
        state.held.push(waiting);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.0.lock().open;
        f.debug_struct("Gate")
            .field("open", &open)
            .field("held", &self.held())
            .finish()
    }
}
