//! The free list of ended sends.

#[path = "../../../../src/send/continuation/free_list.rs"]
mod free_list;

use std::sync::Arc;

use shuttle::thread;

use self::free_list::FreeList;
use crate::check::join_all;

/// Whatever is given, taken and closed at the same time, nothing is kept in the end.
pub fn nothing_is_kept_after_the_end() {
    let list = Arc::new(FreeList::new(2));
    let thing = Arc::new(());
    let spawn = |run: fn(&FreeList<Arc<()>>, Arc<()>)| {
        let (list, thing) = (list.clone(), thing.clone());
        thread::spawn(move || run(&list, thing))
    };
    let threads = [
        spawn(|list, thing| {
            list.give(thing.clone());
            list.give(thing);
        }),
        spawn(|list, thing| list.give(list.take().unwrap_or(thing))),
        spawn(|list, _| list.close()),
    ];
    join_all(threads);
    assert_eq!(Arc::strong_count(&thing), 1, "something was kept");
}
