//! Keeps everything that is logged in this process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

#[derive(Debug, Clone)]
#[allow(dead_code, reason = "some binaries only print it")]
pub struct Line {
    pub level: Level,
    pub target: String,
    pub text: String,
}

/// Whether the logger panics at each line, once it has kept it.
static PANICS: AtomicBool = AtomicBool::new(false);

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());

struct Everything;

/// Keeps all levels from now on.
pub fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Everything).expect("the only logger");
        log::set_max_level(LevelFilter::Trace);
    });
}

/// For as long as this lives, the logger panics at each line.
#[allow(dead_code, reason = "not every binary does")]
pub struct Panicking(());

impl Panicking {
    #[allow(dead_code, reason = "not every binary does")]
    pub fn start() -> Panicking {
        PANICS.store(true, Ordering::SeqCst);
        Panicking(())
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        PANICS.store(false, Ordering::SeqCst);
    }
}

/// The lines logged so far.
pub fn lines() -> Vec<Line> {
    locked().clone()
}

/// Forgets it.
#[allow(dead_code, reason = "not every binary does")]
pub fn clear() {
    locked().clear();
}

fn locked() -> MutexGuard<'static, Vec<Line>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = Line {
            level: record.level(),
            target: record.target().to_owned(),
            text: record.args().to_string(),
        };
        locked().push(line);
        if PANICS.load(Ordering::SeqCst) {
            // Without the panic hook's output, which would fill the output of the tests.
            std::panic::resume_unwind(Box::new("a logger's panic"));
        }
    }

    fn flush(&self) {}
}
