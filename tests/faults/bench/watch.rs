//! Checks of the whole process: threads, files, panics, logs, and the machine's lateness.

use std::fs;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{LevelFilter, Log, Metadata, Record};

/// In every body, and must be in no log.
pub const CANARY: &str = "canary-7f3a";

static ONE_BY_ONE: AtomicBool = AtomicBool::new(false);

static PANICS: AtomicUsize = AtomicUsize::new(0);
static LEAKS: AtomicUsize = AtomicUsize::new(0);
static FORGERIES: AtomicUsize = AtomicUsize::new(0);

/// The longest legal log line: text from peers is truncated.
const LONGEST_LINE: usize = 2000;

/// Starts counting panics of the client's threads and bodies in logs.
pub fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = thread::current();
            if thread.name().is_some_and(|name| name.starts_with("rmq-")) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(info);
        }));
        log::set_logger(&Listener).expect("the only logger");
        log::set_max_level(LevelFilter::Trace);
    });
}

/// I6, for everything so far.
#[track_caller]
pub fn check() {
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "I6: a thread panicked");
    assert_eq!(LEAKS.load(Ordering::SeqCst), 0, "I6: a body is in a log");
    assert_eq!(
        FORGERIES.load(Ordering::SeqCst),
        0,
        "I6: a log has control characters, or a very long line"
    );
}

struct Listener;

impl Log for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        if text.contains(CANARY) {
            LEAKS.fetch_add(1, Ordering::SeqCst);
        }
        if text.len() > LONGEST_LINE || text.contains(char::is_control) {
            FORGERIES.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn flush(&self) {}
}

/// No other case runs at the same time, although the test harness is not told so.
pub fn one_by_one() {
    ONE_BY_ONE.store(true, Ordering::SeqCst);
}

/// The numbers of threads and files of the process, if no other case runs at the same time.
pub fn resources() -> Option<(usize, usize)> {
    let one_by_one = |args: Vec<String>| {
        let pair = args.windows(2).any(|w| w == ["--test-threads", "1"]);
        pair || args.iter().any(|arg| arg == "--test-threads=1")
    };
    let count = |folder| Some(fs::read_dir(folder).ok()?.count());
    let alone = ONE_BY_ONE.load(Ordering::SeqCst) || one_by_one(std::env::args().collect());
    alone.then_some(())?;
    Some((count("/proc/self/task")?, count("/proc/self/fd")?))
}

/// A thread that sleeps briefly in a loop, and records how late it wakes: the machine's lateness.
pub struct Control {
    worst: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    pub fn start() -> Control {
        const NAP: Duration = Duration::from_millis(5);
        let (worst, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (note, stopped) = (worst.clone(), stop.clone());
        let run = move || {
            while !stopped.load(Ordering::SeqCst) {
                let start = Instant::now();
                thread::sleep(NAP);
                let late = start.elapsed().saturating_sub(NAP);
                note.fetch_max(late.as_micros() as u64, Ordering::SeqCst);
            }
        };
        Control {
            worst,
            stop,
            thread: Some(thread::spawn(run)),
        }
    }

    pub fn worst(&self) -> Duration {
        Duration::from_micros(self.worst.load(Ordering::SeqCst))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
