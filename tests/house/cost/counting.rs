//! The system's allocator, with counters.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static LEFT_OUT: Cell<bool> = const { Cell::new(false) };
}

/// The allocations so far, of all threads except the excluded ones.
#[derive(Clone, Copy)]
pub struct Counted {
    pub allocations: u64,
    /// Those that are still allocated.
    pub bytes: i64,
}

impl Counted {
    pub fn now() -> Counted {
        Counted {
            allocations: ALLOCATIONS.load(Relaxed),
            bytes: BYTES.load(Relaxed),
        }
    }
}

/// Excludes the current thread: it belongs to the server.
pub fn leave_out_this_thread() {
    LEFT_OUT.set(true);
}

struct Counting;

impl Counting {
    fn note(allocations: u64, bytes: i64) {
        // A thread that ends has lost this flag, and only frees memory.
        if !LEFT_OUT.try_with(Cell::get).unwrap_or(false) {
            ALLOCATIONS.fetch_add(allocations, Relaxed);
            BYTES.fetch_add(bytes, Relaxed);
        }
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::note(1, layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        Counting::note(0, -(layout.size() as i64));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::note(1, size as i64 - layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}
