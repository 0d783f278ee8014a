use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::LOG;
use super::Threads;
use crate::logging;
use crate::panics::caught;
use crate::sync::thread::{self, ThreadId};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// Something to be run once by a worker.
pub(crate) trait Job: Send {
    fn run(self: Box<Self>);
}

impl<F: FnOnce() + Send> Job for F {
    fn run(self: Box<Self>) {
        self();
    }
}

/// A fixed number of named workers that run jobs and survive their panics.
///
/// The queue needs no bound of its own: each job belongs to a request in flight, and those are
/// bounded by the budget.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    /// Workers that have not ended.
    workers: usize,
    /// Those that have begun.
    threads: Vec<ThreadId>,
    /// Callers that run jobs when all workers have ended.
    last: Vec<ThreadId>,
    idle: usize,
    /// Jobs that were begun.
    begun: u64,
    /// Workers that run one.
    busy: usize,
    /// Whether an idle worker looks after the busy ones.
    watched: bool,
    closed: bool,
}

/// A job that takes longer than this has the others behind it taken over by the next worker. Until
/// then one worker runs them: short jobs cost fewer wake-ups that way.
const STUCK: Duration = Duration::from_millis(1);

impl Pool {
    pub(crate) fn start(threads: &Threads, name: &str, workers: usize) -> io::Result<Pool> {
        let pool = Pool(Arc::new(Inner {
            queue: Mutex::default(),
            work: Condvar::new(),
        }));
        for _ in 0..workers.max(1) {
            let inner = pool.0.clone();
            pool.0.queue.lock().workers += 1;
            if let Err(error) = threads.spawn(name, move || inner.work()) {
                pool.close();
                return Err(error);
            }
        }
        Ok(pool)
    }

    pub(crate) fn submit(&self, job: Box<dyn Job>) {
        self.submit_all(&mut vec![job]);
    }

    /// Adds many jobs with one lock and one wake-up; workers wake each other while there is more.
    pub(crate) fn submit_all(&self, jobs: &mut Vec<Box<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        let mut queue = self.0.queue.lock();
        queue.jobs.extend(jobs.drain(..));
        if queue.workers == 0 {
            return self.run_here(queue);
        }
        let wake = queue.idle > 0;
        drop(queue);
        if wake {
            self.0.work.notify_one();
        }
    }

    /// After the end of a shutdown: the caller's thread is the only one left to run jobs. One that submits
    /// another has it run when it is over, or there would be no end to that.
    fn run_here<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) {
        let me = thread::current().id();
        if queue.last.contains(&me) {
            return;
        }
        queue.last.push(me);
        while let Some(job) = queue.jobs.pop_front() {
            drop(queue);
            run(job);
            queue = self.0.queue.lock();
        }
        queue.last.retain(|thread| *thread != me);
    }

    /// Whether the current thread is one of the workers, which must not wait for another job.
    pub(crate) fn runs_here(&self) -> bool {
        let me = thread::current().id();
        self.0.queue.lock().threads.contains(&me)
    }

    /// Lets the workers end once the queue is empty.
    pub(crate) fn close(&self) {
        self.0.queue.lock().closed = true;
        self.0.work.notify_all();
    }
}

impl Inner {
    fn work(&self) {
        self.queue.lock().threads.push(thread::current().id());
        let mut before = 0;
        while let Some(job) = self.next(before) {
            run(job);
            before = 1;
        }
    }

    /// The next job of a worker that has just done so many.
    fn next(&self, done: usize) -> Option<Box<dyn Job>> {
        let mut queue = self.queue.lock();
        queue.busy -= done;
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                queue.begun += 1;
                queue.busy += 1;
                // A job may take forever: somebody else must see to the rest.
                if !queue.watched && !queue.jobs.is_empty() && queue.idle > 0 {
                    queue.watched = true;
                    self.work.notify_one();
                }
                return Some(job);
            }
            if queue.closed {
                queue.workers -= 1;
                return None;
            }
            queue.idle += 1;
            self.work.wait(&mut queue);
            self.watch(&mut queue);
            queue.idle -= 1;
        }
    }

    /// Looks on for as long as others get on with the jobs.
    fn watch(&self, queue: &mut MutexGuard<'_, Queue>) {
        while queue.busy > 0 && queue.watched && !queue.jobs.is_empty() {
            let begun = queue.begun;
            self.work.wait_for(queue, STUCK);
            if queue.begun == begun {
                break;
            }
        }
        queue.watched = false;
    }
}

fn run(job: Box<dyn Job>) {
    if caught(|| job.run()).is_err() {
        logging::error!(target: LOG, "user code panicked in a callback; the worker goes on");
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::transport::Deadline;

    #[test]
    fn a_panic_or_a_stuck_job_does_not_stop_the_others() {
        let threads = Threads::default();
        let pool = Pool::start(&threads, "test-pool", 2).unwrap();
        let (release, gate) = crossbeam_channel::bounded::<()>(0);
        let (done, results) = crossbeam_channel::unbounded();
        let mut jobs: Vec<Box<dyn Job>> = vec![
            Box::new(move || assert!(gate.recv().is_err())),
            Box::new(|| panic!("a test's own panic")),
        ];
        for i in 0..3 {
            let done = done.clone();
            jobs.push(Box::new(move || done.send(i).unwrap()));
        }
        pool.submit_all(&mut jobs);
        for i in 0..3 {
            assert_eq!(results.recv_timeout(Duration::from_secs(10)), Ok(i));
        }
        pool.close();
        drop(release);
        let late = Deadline::after(Instant::now(), Duration::from_secs(10));
        assert!(threads.join(late).is_empty());
    }

    /// A callback that sends again whatever comes of it, for one.
    #[test]
    fn jobs_that_submit_jobs_after_the_end_do_not_pile_up_on_the_stack() {
        fn submit(pool: &Pool, left: u32) {
            let again = pool.clone();
            let job = move || {
                if left > 0 {
                    submit(&again, left - 1)
                }
            };
            pool.submit(Box::new(job));
        }
        let threads = Threads::default();
        let pool = Pool::start(&threads, "test-pool", 1).unwrap();
        pool.close();
        let late = Deadline::after(Instant::now(), Duration::from_secs(10));
        assert!(threads.join(late).is_empty());
        // This ends the process where each runs within the one before.
        submit(&pool, 1_000_000);
    }
}
