//! When to stop.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use crate::args::Args;
use crate::work::Work;

/// Why the program ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As the command line, a signal or the end of the input asked for.
    Asked,
    /// It cannot go on; the report has said why.
    Failed,
}

/// Has signals and the end of the input, if it counts, end the program.
pub fn listen(args: &Args, work: &Arc<Work>) -> Result<(), ctrlc::Error> {
    let signalled = work.clone();
    let was_signalled = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        // The first one has nothing to wait for before the start, and the second one does not.
        if was_signalled.swap(true, Ordering::Relaxed) || !signalled.report.is_started() {
            signalled.finish(false);
            process::exit(1);
        }
        signalled.end(End::Asked);
    })?;
    if args.until_eof {
        let work = work.clone();
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            work.end(End::Asked);
        });
    }
    Ok(())
}

/// Waits for the end, and shows the progress meanwhile.
pub fn wait(args: &Args, ended: &Receiver<End>, work: &Work, lag: impl Fn() -> Option<u64>) -> End {
    let start = Instant::now();
    loop {
        let now = Instant::now();
        let over = args.seconds.map(|time| start + time);
        let idle = args.idle().map(|time| work.idle_since() + time);
        if [over, idle].into_iter().flatten().any(|due| due <= now) {
            return End::Asked;
        }
        let draw = work.report.progress_interval().map(|time| now + time);
        let next = [over, idle, draw].into_iter().flatten().min();
        let event = match next {
            Some(due) => ended.recv_timeout(due - now),
            None => ended.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match event {
            Ok(end) => return end,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return End::Failed,
        }
        if work.report.progress_interval().is_some() {
            work.report.progress(work.handled(), work.refused(), lag());
        }
    }
}
