//! The workers of a sweep, which its groups of runs share: a group begins when as many are free as it can use.

use std::sync::{Condvar, Mutex, PoisonError};

/// So many workers.
#[derive(Debug)]
pub struct Crew {
    size: usize,
    free: Mutex<usize>,
    changed: Condvar,
}

/// Workers that go back to their crew when this is dropped.
#[derive(Debug)]
pub struct Hired<'c> {
    crew: &'c Crew,
    /// How many.
    pub count: usize,
}

impl Crew {
    /// A crew of at least one.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let size = size.max(1);
        Self {
            size,
            free: Mutex::new(size),
            changed: Condvar::new(),
        }
    }

    /// Waits for `wanted` workers, or for all there are.
    pub fn hire(&self, wanted: usize) -> Hired<'_> {
        let count = wanted.clamp(1, self.size);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .changed
            .wait_while(free, |free| *free < count)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= count;
        Hired { crew: self, count }
    }
}

impl Drop for Hired<'_> {
    fn drop(&mut self) {
        *self
            .crew
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += self.count;
        self.crew.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn never_more_are_at_work_than_there_are() {
        let crew = Crew::new(3);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for wanted in [1, 2, 9, 1, 0, 3, 2, 1] {
                scope.spawn({
                    let (crew, now, most) = (&crew, &now, &most);
                    move || {
                        let hired = crew.hire(wanted);
                        let at_work = now.fetch_add(hired.count, Ordering::SeqCst) + hired.count;
                        most.fetch_max(at_work, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(hired.count, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(crew.hire(9).count, 3);
    }
}
