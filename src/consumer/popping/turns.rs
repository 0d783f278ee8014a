//! The turns of a thread of ours.

use std::ops::ControlFlow;

use crate::transport::catch_bug;

/// The turns of a thread, until the last one. A turn that panics is a bug of ours; the thread goes on after
/// `repair`.
pub(super) fn repeat(
    what: &str,
    mut turn: impl FnMut() -> ControlFlow<()>,
    mut repair: impl FnMut(),
) {
    loop {
        match catch_bug(what, &mut turn) {
            Some(ControlFlow::Continue(())) => {}
            Some(ControlFlow::Break(())) => return,
            None => repair(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_goes_on_after_a_turn_that_panicked() {
        let (mut turns, mut repairs) = (0, 0);
        let turn = || {
            turns += 1;
            match turns {
                2 | 3 => panic!("as the test wants"),
                5 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        };
        repeat("a test", turn, || repairs += 1);
        assert_eq!((turns, repairs), (5, 2));
    }
}
