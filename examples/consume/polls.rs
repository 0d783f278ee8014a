//! The thread of a consumer that is asked for its messages.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rocketmq_blocking::consumer::ShutdownReport;
use rocketmq_blocking::{Error, ErrorKind};

use crate::until::End;
use crate::work::Work;

/// A thread that asks for messages.
pub struct Polls {
    end: TheEnd,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

/// Tells the thread when to stop.
#[derive(Clone)]
pub struct TheEnd {
    is_asked: Arc<AtomicBool>,
    work: Arc<Work>,
}

impl TheEnd {
    /// Whether no further message is wanted: looked at between two of them.
    pub fn has_come(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed) || self.work.is_done()
    }
}

impl Polls {
    /// Has a thread ask for messages and handle them, again and again.
    pub fn start(
        work: &Arc<Work>,
        turn: impl Fn(&TheEnd) -> Result<(), Error> + Send + 'static,
    ) -> io::Result<Polls> {
        let end = TheEnd {
            is_asked: Arc::default(),
            work: work.clone(),
        };
        let (running, ended) = mpsc::channel();
        let of_thread = end.clone();
        let named = thread::Builder::new().name("poll".to_owned());
        named.spawn(move || {
            run(&of_thread, turn);
            drop(running);
        })?;
        Ok(Polls { end, ended })
    }

    /// Ends the thread with its consumer, within this time.
    pub fn end(
        &self,
        within: Duration,
        shut_down: impl FnOnce() -> ShutdownReport,
    ) -> ShutdownReport {
        let until = Instant::now() + within;
        self.end.is_asked.store(true, Ordering::Relaxed);
        let report = shut_down();
        // Nothing is printed behind the summary.
        let left = until.saturating_duration_since(Instant::now());
        let _ = self.ended.recv_timeout(left);
        report
    }
}

/// The life of the thread.
fn run(end: &TheEnd, turn: impl Fn(&TheEnd) -> Result<(), Error>) {
    while !end.has_come() {
        match turn(end) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Closed => return,
            Err(error) => {
                end.work.report.error(&error);
                return end.work.end(End::Failed);
            }
        }
    }
}
