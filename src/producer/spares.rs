use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::channel::{self, Receiver, Sender};

/// Things that have served, for whoever needs the next one.
///
/// Asynchronous sends are made by the threads that send and end on others. Memory that is given back
/// by another thread than it was taken by is what costs an allocator most: so ended sends go back as
/// they are, and the thread that takes one drops what is in it.
pub(super) struct Spares<T> {
    give: Sender<T>,
    take: Receiver<T>,
    closed: AtomicBool,
}

impl<T> Spares<T> {
    /// Keeps so many at most.
    pub(super) fn new(most: usize) -> Spares<T> {
        let (give, take) = channel::bounded(most);
        Spares {
            give,
            take,
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn take(&self) -> Option<T> {
        self.take.try_recv().ok()
    }

    pub(super) fn give(&self, spare: T) {
        if self.give.try_send(spare).is_ok() && self.closed.load(Ordering::SeqCst) {
            // Either the one who closes finds it, or we do.
            self.clear();
        }
    }

    /// Drops all, those too that are given from now on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.clear();
    }

    fn clear(&self) {
        while self.take.try_recv().is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn so_many_are_kept_and_none_after_the_end() {
        let spares = Spares::new(2);
        let thing = Arc::new(());
        assert!(spares.take().is_none());
        (0..3).for_each(|_| spares.give(thing.clone()));
        assert_eq!(Arc::strong_count(&thing), 3);
        assert!(spares.take().is_some());
        spares.close();
        spares.give(thing.clone());
        assert_eq!(Arc::strong_count(&thing), 1);
    }
}
