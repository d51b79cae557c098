//! The heap, counted: an allocator that keeps books on the system's, for each thread by itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Without destructors, so that the allocator may use them at any time.
    static BYTES: Cell<usize> = const { Cell::new(0) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Bytes that this thread allocated and did not free, as they were asked for: without the allocator's own overhead.
pub(crate) fn bytes() -> usize {
    BYTES.get()
}

/// Allocations of this thread so far, growth of an allocation included.
pub(crate) fn calls() -> u64 {
    CALLS.get()
}

/// The bytes that a value owns on the heap. The value is gone afterwards.
pub(crate) fn owned_by<T>(value: T) -> usize {
    let with = bytes();
    drop(value);
    with - bytes()
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn grown(bytes: usize) {
    BYTES.set(BYTES.get().wrapping_add(bytes));
    CALLS.set(CALLS.get() + 1);
}

fn shrunk(bytes: usize) {
    BYTES.set(BYTES.get().wrapping_sub(bytes));
}

// SAFETY: every call is handed to the system's allocator as it came, and its answer back as it is.
#[expect(unsafe_code, reason = "an allocator is an unsafe trait")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrunk(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        shrunk(layout.size());
        grown(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}
