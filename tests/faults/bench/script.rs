//! The script of one connection: a list of steps for each direction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rocketmq_blocking::protocol::Command;

use super::PATIENCE;

/// The steps of one connection. After the last step of a direction, everything passes.
#[derive(Clone, Default)]
pub struct Script {
    pub requests: Vec<Step>,
    pub replies: Vec<Step>,
}

/// One step for the bytes of one direction. It ends after some bytes, or at the test's signal.
#[derive(Clone)]
pub enum Step {
    /// So many bytes pass.
    Pass(usize),
    /// Everything passes up to the next frame that is a send, or the answer to one.
    UntilSend,
    /// One frame passes, or the rest of one.
    Frame,
    /// One frame is lost.
    Lose,
    /// One frame passes with one of its bytes changed, which the seed chooses.
    Corrupt,
    /// Everything passes in small pieces of sizes by the seed.
    Shred,
    /// So many bytes at a time, with a pause behind them, until the signal is raised.
    Drip(usize, Duration, Signal),
    /// So many frames about sends are collected, and pass in an order that the seed chooses.
    Shuffle(usize),
    /// Nothing passes until the signal is raised.
    Wait(Signal),
    /// Tells the test that this step was reached.
    Raise(Signal),
    /// Bytes of the proxy's own, made for the last send that was seen on this connection.
    Insert(Make),
    /// The client sees the end of the connection.
    Fin,
    /// The client sees a reset.
    Reset,
}

/// Makes bytes for a send, of which the header is known.
pub type Make = Arc<dyn Fn(&Command) -> Vec<u8> + Send + Sync>;

impl Script {
    pub fn requests(steps: impl Into<Vec<Step>>) -> Script {
        Script::default().and_requests(steps)
    }

    pub fn replies(steps: impl Into<Vec<Step>>) -> Script {
        Script {
            replies: steps.into(),
            ..Script::default()
        }
    }

    pub fn and_requests(self, steps: impl Into<Vec<Step>>) -> Script {
        Script {
            requests: steps.into(),
            ..self
        }
    }
}

impl Step {
    pub fn insert(bytes: impl Into<Vec<u8>>) -> Step {
        let bytes = bytes.into();
        Step::insert_for(move |_| bytes.clone())
    }

    pub fn insert_for(make: impl Fn(&Command) -> Vec<u8> + Send + Sync + 'static) -> Step {
        Step::Insert(Arc::new(make))
    }
}

/// Something that happens once: the test waits for a script, or a script for the test.
#[derive(Clone, Default)]
pub struct Signal(Arc<(Mutex<Option<Instant>>, Condvar)>);

impl Signal {
    pub fn new() -> Signal {
        Signal::default()
    }

    pub fn raise(&self) {
        self.0.0.lock().get_or_insert_with(Instant::now);
        self.0.1.notify_all();
    }

    /// When it was raised.
    #[track_caller]
    pub fn wait(&self) -> Instant {
        let raised = self.wait_for(PATIENCE);
        raised.expect("the script did not come so far")
    }

    pub fn wait_for(&self, most: Duration) -> Option<Instant> {
        let mut raised = self.0.0.lock();
        let _ = self.0.1.wait_while_for(&mut raised, |r| r.is_none(), most);
        *raised
    }
}
