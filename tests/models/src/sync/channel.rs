//! A bounded channel, of which only the ways that do not wait are used.

use std::collections::VecDeque;
use std::sync::Arc;

use shuttle::sync::Mutex;

pub(crate) struct Sender<T>(Arc<Queue<T>>);

pub(crate) struct Receiver<T>(Arc<Queue<T>>);

struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    most: usize,
}

pub(crate) fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let items = Mutex::new(VecDeque::new());
    let queue = Arc::new(Queue { items, most });
    (Sender(queue.clone()), Receiver(queue))
}

impl<T> Sender<T> {
    pub(crate) fn try_send(&self, item: T) -> Result<(), T> {
        let mut items = self.0.items.lock().unwrap();
        if items.len() == self.0.most {
            return Err(item);
        }
        items.push_back(item);
        Ok(())
    }
}

impl<T> Receiver<T> {
    pub(crate) fn try_recv(&self) -> Result<T, ()> {
        self.0.items.lock().unwrap().pop_front().ok_or(())
    }
}
