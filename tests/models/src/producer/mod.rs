//! What ended sends leave for the next ones.

#[path = "../../../../src/producer/spares.rs"]
mod spares;

use std::sync::Arc;

use shuttle::thread;

use self::spares::Spares;
use crate::check::join_all;

/// Whatever is given, taken and closed at the same time, nothing is kept in the end.
pub fn nothing_is_kept_after_the_end() {
    let spares = Arc::new(Spares::new(2));
    let thing = Arc::new(());
    let spawn = |run: fn(&Spares<Arc<()>>, Arc<()>)| {
        let (spares, thing) = (spares.clone(), thing.clone());
        thread::spawn(move || run(&spares, thing))
    };
    let threads = [
        spawn(|spares, thing| {
            spares.give(thing.clone());
            spares.give(thing);
        }),
        spawn(|spares, thing| spares.give(spares.take().unwrap_or(thing))),
        spawn(|spares, _| spares.close()),
    ];
    join_all(threads);
    assert_eq!(Arc::strong_count(&thing), 1, "something was kept");
}
