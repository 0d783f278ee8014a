use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::channel::{self, Receiver, Sender};

/// Finished sends kept for reuse: a bounded free list.
///
/// Asynchronous sends begin on sending threads and end on others. Memory that is freed by another
/// thread than the one that allocated it is expensive: so ended sends are returned whole, and the
/// thread that reuses one drops its content.
pub(crate) struct FreeList<T> {
    give: Sender<T>,
    take: Receiver<T>,
    closed: AtomicBool,
}

impl<T> FreeList<T> {
    /// Keeps up to `most`.
    pub(crate) fn new(most: usize) -> FreeList<T> {
        let (give, take) = channel::bounded(most);
        FreeList {
            give,
            take,
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.take.try_recv().ok()
    }

    pub(crate) fn give(&self, item: T) {
        if self.give.try_send(item).is_ok() && self.closed.load(Ordering::SeqCst) {
            // Either the thread that closes finds it, or this one does.
            self.clear();
        }
    }

    /// Drops all, those too that are given from now on.
    pub(crate) fn close(&self) {
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
    fn the_free_list_is_bounded_and_empty_after_the_end() {
        let list = FreeList::new(2);
        let thing = Arc::new(());
        assert!(list.take().is_none());
        (0..3).for_each(|_| list.give(thing.clone()));
        assert_eq!(Arc::strong_count(&thing), 3);
        assert!(list.take().is_some());
        list.close();
        list.give(thing.clone());
        assert_eq!(Arc::strong_count(&thing), 1);
    }
}
