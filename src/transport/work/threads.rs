use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::{Deadline, LOG};
use crate::logging;
use crate::panics::caught;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// The threads of one client: all are spawned here, so that shutdown can join them within a bound
/// and name those that did not end.
#[derive(Clone, Default)]
pub(crate) struct Threads(Arc<Inner>);

#[derive(Default)]
struct Inner {
    running: Mutex<Vec<Running>>,
    ended: Condvar,
    /// Acts as if the system had no threads left.
    #[cfg(test)]
    none_left: std::sync::atomic::AtomicBool,
}

struct Running {
    handle: JoinHandle<()>,
    name: String,
    ended: bool,
}

impl Threads {
    /// Starts a thread. Names are at most 15 bytes, which is what Linux shows.
    pub(crate) fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        debug_assert!(name.len() <= 15, "{name}");
        #[cfg(test)]
        if self.0.none_left.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::Error::other("a test leaves no thread"));
        }
        let inner = self.0.clone();
        // The lock is held across spawn, so that the thread's own end finds its entry.
        let mut running = self.0.running.lock();
        reap(&mut running);
        let handle = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _last_word = LastWord(inner);
                run();
            })?;
        running.push(Running {
            handle,
            name: name.to_owned(),
            ended: false,
        });
        Ok(())
    }

    /// Whether no thread can be started from now on.
    #[cfg(test)]
    pub(crate) fn leave_none(&self, none: bool) {
        let left = &self.0.none_left;
        left.store(none, std::sync::atomic::Ordering::SeqCst);
    }

    /// The lock of something that only one thread shall do and that waits for threads: `None` at
    /// the deadline, or at once if another does it and the current thread is one it may wait for.
    pub(crate) fn take_turn<'a, T>(
        &self,
        turn: &'a Mutex<T>,
        deadline: Deadline,
    ) -> Option<MutexGuard<'a, T>> {
        turn.try_lock().or_else(|| {
            let is_own = self.has_current();
            (!is_own).then(|| turn.try_lock_until(deadline.instant()))?
        })
    }

    /// Whether the current thread is one of them.
    pub(crate) fn has_current(&self) -> bool {
        let me = thread::current().id();
        let running = self.0.running.lock();
        running.iter().any(|t| t.handle.thread().id() == me)
    }

    /// Waits for all threads but the current one; returns the names of those still running at the
    /// deadline, which are detached.
    pub(crate) fn join(&self, deadline: Deadline) -> Vec<String> {
        self.join_all_but("", deadline)
    }

    /// The same, without waiting for threads of this name.
    pub(crate) fn join_all_but(&self, name: &str, deadline: Deadline) -> Vec<String> {
        let me = thread::current().id();
        let mut running = self.0.running.lock();
        loop {
            reap(&mut running);
            let others = running
                .iter()
                .filter(|thread| thread.handle.thread().id() != me && thread.name != name);
            let stuck: Vec<String> = others.map(|thread| thread.name.clone()).collect();
            if stuck.is_empty() || deadline.has_passed(Instant::now()) {
                return stuck;
            }
            self.0.ended.wait_until(&mut running, deadline.instant());
        }
    }
}

/// Forgets the threads that have ended. They are not joined: thread-local values of user code are
/// dropped afterwards, and may take time.
fn reap(running: &mut Vec<Running>) {
    let me = thread::current().id();
    let mut i = 0;
    while i < running.len() {
        if running[i].ended && running[i].handle.thread().id() != me {
            drop(running.swap_remove(i));
        } else {
            i += 1;
        }
    }
}

/// Runs something on a thread that many depend on. It is ours and ought not to panic; if it does, the
/// thread goes on. `None` then.
pub(crate) fn catch_bug<T>(what: &str, run: impl FnOnce() -> T) -> Option<T> {
    let ran = caught(run);
    if ran.is_err() {
        log_bug(what);
    }
    ran.ok()
}

/// Something of ours has panicked, and its thread goes on.
#[cold]
pub(crate) fn log_bug(what: &str) {
    logging::error!(target: LOG, "{what} panicked: this is a bug of this crate");
}

struct LastWord(Arc<Inner>);

impl Drop for LastWord {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let this = thread::current();
            let name = this.name().unwrap_or_default();
            logging::error!(target: LOG, "thread {name} panicked: this is a bug of this crate");
        }
        let me = thread::current().id();
        let mut running = self.0.running.lock();
        if let Some(thread) = running.iter_mut().find(|t| t.handle.thread().id() == me) {
            thread.ended = true;
        }
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn join_names_the_threads_that_do_not_end() {
        let threads = Threads::default();
        let (release, gate) = crossbeam_channel::bounded::<()>(0);
        threads.spawn("ends", || ()).unwrap();
        threads
            .spawn("waits", move || assert!(gate.recv().is_err()))
            .unwrap();
        let late = Deadline::after(Instant::now(), Duration::from_secs(10));
        assert!(threads.join_all_but("waits", late).is_empty());
        let soon = Deadline::after(Instant::now(), Duration::from_millis(20));
        assert_eq!(threads.join(soon), ["waits"]);
        drop(release);
        assert!(threads.join(late).is_empty());
    }
}
