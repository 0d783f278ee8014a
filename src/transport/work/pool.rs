use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{LOG, Threads};
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
    /// Callers that run jobs when all workers have ended.
    last: Vec<Caller>,
    idle: usize,
    /// Jobs that were begun.
    begun: u64,
    /// Workers that run one.
    busy: usize,
    /// Whether an idle worker watches the busy ones.
    watched: bool,
    closed: bool,
}

/// A thread that runs its own jobs.
struct Caller {
    thread: ThreadId,
    jobs: VecDeque<Box<dyn Job>>,
    /// The number of nested jobs.
    depth: usize,
}

/// The most nested jobs (a job may wait for another one that it submits). A callback that sends
/// again after every result must not overflow the stack: further jobs wait for one to end.
const DEEPEST: usize = 32;

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
        if queue.workers == 0 {
            return self.run_here(queue, jobs);
        }
        queue.jobs.extend(jobs.drain(..));
        let wake = queue.idle > 0;
        drop(queue);
        if wake {
            self.0.work.notify_one();
        }
    }

    /// After the end of a shutdown: the caller's thread is the only one left to run jobs, and runs no
    /// other's, which might want a lock that is held here.
    fn run_here<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, jobs: &mut Vec<Box<dyn Job>>) {
        let me = thread::current().id();
        let caller = queue.caller(me);
        caller.jobs.extend(jobs.drain(..));
        if caller.depth == DEEPEST {
            return;
        }
        caller.depth += 1;
        while let Some(job) = queue.caller(me).jobs.pop_front() {
            drop(queue);
            run(job);
            queue = self.0.queue.lock();
        }
        queue.caller(me).depth -= 1;
        queue.last.retain(|caller| caller.depth > 0);
    }

    /// Lets the workers end once the queue is empty.
    pub(crate) fn close(&self) {
        self.0.queue.lock().closed = true;
        self.0.work.notify_all();
    }
}

impl Queue {
    fn caller(&mut self, thread: ThreadId) -> &mut Caller {
        let place = self.last.iter().position(|caller| caller.thread == thread);
        let place = place.unwrap_or_else(|| {
            self.last.push(Caller {
                thread,
                jobs: VecDeque::new(),
                depth: 0,
            });
            self.last.len() - 1
        });
        &mut self.last[place]
    }
}

impl Inner {
    fn work(&self) {
        let mut before = 0;
        while let Some(job) = self.next(before) {
            run(job);
            before = 1;
        }
    }

    /// The next job of a worker that has just done this many.
    fn next(&self, done: usize) -> Option<Box<dyn Job>> {
        let mut queue = self.queue.lock();
        queue.busy -= done;
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                queue.begun += 1;
                queue.busy += 1;
                // A job may never end: another worker must take the rest.
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

    /// For example a callback that waits for the callback of its own send, with other callbacks
    /// queued.
    #[test]
    fn a_job_after_the_end_may_wait_for_one_that_it_submits() {
        let threads = Threads::default();
        let pool = Pool::start(&threads, "test-pool", 1).unwrap();
        pool.close();
        let late = Deadline::after(Instant::now(), Duration::from_secs(10));
        assert!(threads.join(late).is_empty());
        let (done, results) = crossbeam_channel::unbounded();
        let waits = |name: u32| -> Box<dyn Job> {
            let (pool, done) = (pool.clone(), done.clone());
            Box::new(move || {
                let (inner, answers) = crossbeam_channel::unbounded();
                pool.submit(Box::new(move || inner.send(name).unwrap()));
                let answer = answers.recv_timeout(Duration::from_secs(10));
                done.send(answer).unwrap();
            })
        };
        pool.submit_all(&mut vec![waits(1), waits(2)]);
        let mut answers: Vec<_> = results.try_iter().collect();
        answers.sort_by_key(|answer| answer.ok());
        assert_eq!(answers, [Ok(1), Ok(2)]);
        assert!(pool.0.queue.lock().last.is_empty());
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
