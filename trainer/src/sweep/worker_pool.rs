//! The workers of a sweep. Its groups of runs share them: a group begins when as many permits are
//! free as it can use.

use std::sync::{Condvar, Mutex, PoisonError};

/// A number of workers, of which each is one permit.
#[derive(Debug)]
pub struct WorkerPool {
    size: usize,
    free: Mutex<usize>,
    changed: Condvar,
}

/// Permits that go back to their pool when this is dropped.
#[derive(Debug)]
pub struct Permits<'p> {
    pool: &'p WorkerPool,
    /// How many.
    pub count: usize,
}

impl WorkerPool {
    /// A pool of `size` workers, at least one.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let size = size.max(1);
        Self {
            size,
            free: Mutex::new(size),
            changed: Condvar::new(),
        }
    }

    /// Waits for `wanted` permits, or for all that there are if these are fewer.
    pub fn acquire(&self, wanted: usize) -> Permits<'_> {
        let count = wanted.clamp(1, self.size);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .changed
            .wait_while(free, |free| *free < count)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= count;
        Permits { pool: self, count }
    }
}

impl Drop for Permits<'_> {
    fn drop(&mut self) {
        *self
            .pool
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += self.count;
        self.pool.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn never_more_permits_are_held_than_there_are() {
        let pool = WorkerPool::new(3);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for wanted in [1, 2, 9, 1, 0, 3, 2, 1] {
                scope.spawn({
                    let (pool, now, most) = (&pool, &now, &most);
                    move || {
                        let permits = pool.acquire(wanted);
                        let held = now.fetch_add(permits.count, Ordering::SeqCst) + permits.count;
                        most.fetch_max(held, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(permits.count, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(pool.acquire(9).count, 3);
    }
}
