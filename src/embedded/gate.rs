use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// Holds answers back until the test opens it; see [`Fault::hold`](super::Fault::hold).
///
/// Clones are the same gate. Once open it stays open: what comes later passes at once.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    open: bool,
    held: Vec<Held>,
}

/// What is left to do for one request. It holds its connection weakly, so that a forgotten gate
/// keeps no socket open.
pub(super) type Held = Box<dyn FnOnce() + Send>;

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Lets everything through, in order of arrival. The held answers are written before this
    /// returns; those of connections that are gone are dropped.
    pub fn open(&self) {
        let held = {
            let mut state = self.0.lock();
            state.open = true;
            std::mem::take(&mut state.held)
        };
        for run in held {
            run();
        }
    }

    /// How many answers are held now.
    pub fn held(&self) -> usize {
        self.0.lock().held.len()
    }

    /// Runs it when the gate opens: now, if it is open.
    pub(super) fn hold(&self, run: Held) {
        let mut state = self.0.lock();
        if state.open {
            drop(state);
            run();
        } else {
            state.held.push(run);
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Gate")
            .field("open", &state.open)
            .field("held", &state.held.len())
            .finish()
    }
}
