//! The most memory that is held at once while an input is read, counted by the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// An input may take so many times its size.
const TIMES: usize = 10;

#[global_allocator]
static COUNTING: Counting = Counting;
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn taken(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed).wrapping_add(bytes);
    MOST.fetch_max(held, Relaxed);
}

fn given_back(bytes: usize) {
    HELD.fetch_sub(bytes, Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came; what is counted beside it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller keeps the promises of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        given_back(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) };
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        taken(size);
        given_back(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What a parser may take beyond ten times its input.
pub(crate) struct Allowance(usize);

impl Allowance {
    pub(crate) const fn megabytes(megabytes: usize) -> Self {
        Self(megabytes << 20)
    }

    /// Feeds a parser and panics if it took more than it may.
    pub(crate) fn watch(&self, input: usize, feed: impl FnOnce()) {
        let before = HELD.load(Relaxed);
        MOST.store(before, Relaxed);
        feed();
        let most = MOST.load(Relaxed).saturating_sub(before);
        let allowed = TIMES * input + self.0;
        assert!(
            most <= allowed,
            "an input of {input} bytes took {most} bytes of memory, {allowed} are allowed"
        );
    }
}
