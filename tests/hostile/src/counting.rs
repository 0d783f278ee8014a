//! An allocator that counts the requests of each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The allocations of a piece of code.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// The largest single allocation.
    pub largest: usize,
    /// The most that was held at one time.
    pub peak: usize,
}

/// Runs `code` and counts what this thread allocates in it.
pub fn counted<T>(code: impl FnOnce() -> T) -> (T, Memory) {
    LARGEST.set(0);
    PEAK.set(0);
    HELD.set(0);
    let result = code();
    let memory = Memory {
        largest: LARGEST.get(),
        peak: PEAK.get(),
    };
    (result, memory)
}

thread_local! {
    // Constant and without a destructor, so that the allocator can use them at any time.
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note_taken(size: usize) {
    LARGEST.set(LARGEST.get().max(size));
    HELD.set(HELD.get() + size);
    PEAK.set(PEAK.get().max(HELD.get()));
}

fn note_given_back(size: usize) {
    // Memory allocated before the count may be freed in it.
    HELD.set(HELD.get().saturating_sub(size));
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

// SAFETY: everything is handed on to the system's allocator as it came; counting touches no memory
// of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note_taken(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note_taken(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note_given_back(layout.size());
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note_given_back(layout.size());
        note_taken(size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
