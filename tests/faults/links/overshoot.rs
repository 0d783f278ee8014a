//! G4: how late a send ends that runs into its deadline, for each kind of stall, beside how late a
//! plain timed wait ends on the same machine at the same time.

use crate::bench::script::Signal;
use crate::bench::sender::Ours;
use crate::bench::stalls::{end, stalls, wave};
use crate::bench::*;

/// Other work on the machine delays sends at random; the client delays them each time. So the best
/// of some waves counts, by its last send: one send may do slow work for all others.
#[track_caller]
fn check_prompt(mode: Mode) {
    const WAVES: usize = 10;
    for stall in stalls() {
        check_with(1, 2, |bench| {
            bench.add_topic("Figures");
            let (mut sender, mut seen) = (Ours::default(), Vec::new());
            let in_time = (0..WAVES).any(|_| {
                let (over, mut waits) = (Signal::new(), Vec::new());
                stall.meet(bench, &mut sender, &over);
                let sends = wave(&mut sender, &[mode], stall.bytes, &mut waits);
                end(bench, &mut sender, &over);
                let last = sends.iter().filter_map(|send| send.late).max();
                let machine = waits.iter().max().copied().unwrap_or_default();
                seen.push((last, machine));
                last.is_some_and(|last| last <= ms(50) + machine)
            });
            assert!(in_time, "{}, {mode:?}: {seen:?}", stall.name);
        });
    }
}

#[test]
fn synchronous_sends_end_within_50_ms_of_their_time_in_every_stall() {
    check_prompt(Mode::Sync);
}

#[test]
fn asynchronous_sends_end_within_50_ms_of_their_time_in_every_stall() {
    check_prompt(Mode::Async);
}
