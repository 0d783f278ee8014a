use std::io;
use std::time::Instant;

use super::{Deadline, Pool, Threads, Timer};

const CALLBACK_THREAD: &str = "rmq-callback";

/// The number of retry threads for asynchronous sends.
const RETRY_THREADS: usize = 2;

/// The threads of a client that are there from its start to its end.
#[derive(Clone)]
pub(crate) struct Workers {
    pub(crate) threads: Threads,
    pub(crate) timer: Timer,
    /// Runs user code.
    pub(crate) callbacks: Pool,
    /// Makes further attempts: never behind user code.
    pub(crate) retries: Pool,
}

impl Workers {
    /// Starts all of them or none: after a failure, started ones are ended.
    pub(crate) fn start(callback_threads: usize) -> io::Result<Workers> {
        let threads = Threads::default();
        let timer = Timer::start(&threads)?;
        let retries = Pool::start(&threads, "rmq-retry", RETRY_THREADS);
        let retries = retries.inspect_err(|_| timer.close())?;
        let callbacks = Pool::start(&threads, CALLBACK_THREAD, callback_threads);
        let callbacks = callbacks.inspect_err(|_| {
            timer.close();
            retries.close();
        })?;
        Ok(Workers {
            threads,
            timer,
            callbacks,
            retries,
        })
    }

    /// Ends all threads, those spawned later through `threads` included; names those that are still
    /// running at the deadline. Connections must have been closed before.
    pub(crate) fn end(&self, deadline: Deadline) -> Vec<String> {
        self.timer.close();
        self.retries.close();
        // Callbacks last: the others may still hand over answers. They do not get all of the time,
        // or one thread that does not end would make the callbacks look stuck too.
        let now = Instant::now();
        let most = deadline.capped(now, deadline.remaining(now) * 7 / 8);
        self.threads.join_all_but(CALLBACK_THREAD, most);
        self.callbacks.close();
        self.threads.join(deadline)
    }
}
