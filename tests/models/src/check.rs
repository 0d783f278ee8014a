use std::env;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread::JoinHandle;
use shuttle::{Config, Runner};

/// Runs of each model, with each of two schedulers.
const SCHEDULES: usize = 2_000;

/// The preemptions that the second scheduler looks for.
const DEPTH: usize = 4;

/// Tries a model. A deadlock is a failure too: so is every wake-up that does not come.
pub fn check(model: impl Fn() + Send + Sync + Copy + 'static) {
    if let Ok(schedule) = env::var("MODEL_REPLAY") {
        return shuttle::replay(model, &schedule);
    }
    let asked = env::var("MODEL_SCHEDULES").ok();
    let schedules = asked.map_or(SCHEDULES, |n| n.parse().expect("a number of schedules"));
    let random = RandomScheduler::new(schedules);
    Runner::new(random, Config::default()).run(model);
    let preempting = PctScheduler::new(DEPTH, schedules);
    Runner::new(preempting, Config::default()).run(model);
}

/// Joins threads; their panics fail the model.
pub(crate) fn join_all(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("the thread did not panic");
    }
}
