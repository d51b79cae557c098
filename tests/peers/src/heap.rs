//! The heap, counted: an allocator that keeps books on the system's.
//!
//! Loads and stores instead of atomic additions keep the price at a few instructions a call. The books are right as long
//! as one thread allocates at a time, as here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

static BYTES: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Bytes allocated and not freed, as they were asked for: without the allocator's own overhead.
pub(crate) fn bytes() -> usize {
    BYTES.load(Relaxed)
}

/// Allocations so far, growth of an allocation included.
pub(crate) fn calls() -> u64 {
    CALLS.load(Relaxed)
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
    BYTES.store(BYTES.load(Relaxed).wrapping_add(bytes), Relaxed);
    CALLS.store(CALLS.load(Relaxed) + 1, Relaxed);
}

fn shrunk(bytes: usize) {
    BYTES.store(BYTES.load(Relaxed).wrapping_sub(bytes), Relaxed);
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
