//! One reader, several takers: each batch is read from the store once and handed to every head that learns from
//! it or is scored on it. Takers need not keep step: a worker takes up whichever of them is furthest behind, so that
//! no core waits for a slow head while there is another to go on with.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{LabelledSplit, LoadError, Prepared, announce, prepare};

/// Batches in memory, from the one that the slowest taker is at.
const AHEAD: usize = 4;

/// Prepares `batches` of sentences from number `first` on in a thread of its own and hands each of them, in order, to
/// all `takers`, until they break or fail. `workers` takers are at work at the same time; a single worker is the
/// calling thread, of several each computes on one thread. What became of each taker comes back.
///
/// # Errors
/// When the store cannot be read.
pub fn share<'s, T: Send, E: Send>(
    split: &LabelledSplit<'s>,
    batches: &[Vec<usize>],
    first: usize,
    takers: &mut [T],
    workers: usize,
    take: impl Fn(&mut T, &Prepared<'s>) -> Result<ControlFlow<()>, E> + Sync,
) -> Result<Vec<Result<(), E>>, LoadError> {
    let workers = workers.min(takers.len());
    let table = Table::new(takers, first);
    let read = std::thread::scope(|scope| {
        let reader = scope.spawn(|| table.read(split, batches, first));
        if workers > 1 {
            for _ in 0..workers {
                scope.spawn(|| on_one_thread(|| table.work(&take)));
            }
        } else {
            table.work(&take);
        }
        reader.join()
    });
    read.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Ok(table.outcomes())
}

/// Runs `work` where parallel loops find a single thread, so that workers do not take each other's cores.
pub(crate) fn on_one_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(work),
        // Slower, not wrong.
        Err(_) => work(),
    }
}

/// What reader and workers share.
struct Table<'t, 's, T, E> {
    state: Mutex<State<'t, 's, T, E>>,
    changed: Condvar,
}

struct State<'t, 's, T, E> {
    /// Batches that are ready, the first of them being number `first`.
    window: VecDeque<Arc<Prepared<'s>>>,
    first: usize,
    seats: Vec<Seat<'t, T, E>>,
    /// No batch comes after those in the window.
    complete: bool,
    /// A worker panicked: nobody must wait for it.
    abandoned: bool,
}

struct Seat<'t, T, E> {
    /// Nobody while a worker has it.
    taker: Option<&'t mut T>,
    /// The batch it is to take next.
    next: usize,
    ended: Option<Result<(), E>>,
}

impl<'t, 's, T, E> Table<'t, 's, T, E> {
    fn new(takers: &'t mut [T], first: usize) -> Self {
        let seat = |taker| Seat {
            taker: Some(taker),
            next: first,
            ended: None,
        };
        Self {
            state: Mutex::new(State {
                window: VecDeque::new(),
                first,
                seats: takers.iter_mut().map(seat).collect(),
                complete: false,
                abandoned: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<'t, 's, T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(
        &self,
        state: MutexGuard<'g, State<'t, 's, T, E>>,
    ) -> MutexGuard<'g, State<'t, 's, T, E>> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The reader: keeps the window full.
    fn read(
        &self,
        split: &LabelledSplit<'s>,
        batches: &[Vec<usize>],
        first: usize,
    ) -> Result<(), LoadError> {
        let _leaving = Leaving(self);
        for sentences in batches.iter().skip(first).take(AHEAD) {
            announce(split, sentences);
        }
        for (index, sentences) in batches.iter().enumerate().skip(first) {
            if let Some(later) = batches.get(index + AHEAD) {
                announce(split, later);
            }
            let prepared = match prepare(split, index, sentences) {
                Ok(prepared) => prepared,
                Err(error) => {
                    self.lock().abandoned = true;
                    return Err(error);
                }
            };
            let mut state = self.lock();
            while state.window.len() >= AHEAD && !state.is_over() {
                state = self.wait(state);
            }
            if state.is_over() {
                break;
            }
            state.window.push_back(Arc::new(prepared));
            self.changed.notify_all();
        }
        Ok(())
    }

    /// A worker: takes whoever is furthest behind one batch further, again and again.
    fn work(&self, take: &impl Fn(&mut T, &Prepared<'s>) -> Result<ControlFlow<()>, E>) {
        let mut state = self.lock();
        while !state.is_over() {
            let Some((place, taker, batch)) = state.assign() else {
                state = self.wait(state);
                continue;
            };
            drop(state);
            let panicking = Panicking(self);
            let result = take(taker, &batch);
            drop(panicking);
            drop(batch);
            state = self.lock();
            state.give_back(place, taker, result);
            self.changed.notify_all();
        }
    }

    fn outcomes(self) -> Vec<Result<(), E>> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let ended = state.seats.into_iter().map(|seat| seat.ended);
        ended.map(|ended| ended.unwrap_or(Ok(()))).collect()
    }
}

impl<'t, 's, T, E> State<'t, 's, T, E> {
    fn assign(&mut self) -> Option<(usize, &'t mut T, Arc<Prepared<'s>>)> {
        let end = self.first + self.window.len();
        let waiting =
            self.seats.iter().enumerate().filter(|(_, seat)| {
                seat.taker.is_some() && seat.ended.is_none() && seat.next < end
            });
        let (place, _) = waiting.min_by_key(|(_, seat)| seat.next)?;
        let seat = &mut self.seats[place];
        let batch = self.window.get(seat.next - self.first)?;
        Some((place, seat.taker.take()?, Arc::clone(batch)))
    }

    fn give_back(&mut self, place: usize, taker: &'t mut T, result: Result<ControlFlow<()>, E>) {
        let seat = &mut self.seats[place];
        seat.taker = Some(taker);
        seat.next += 1;
        match result {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => seat.ended = Some(Ok(())),
            Err(error) => seat.ended = Some(Err(error)),
        }
        let still = self.seats.iter().filter(|seat| seat.ended.is_none());
        let slowest = still.map(|seat| seat.next).min().unwrap_or(usize::MAX);
        while self.first < slowest && self.window.pop_front().is_some() {
            self.first += 1;
        }
    }

    /// Whether nothing is left to be taken up, now or later.
    fn is_over(&self) -> bool {
        let end = self.first + self.window.len();
        let done = |seat: &Seat<'_, T, E>| {
            seat.ended.is_some() || self.complete && seat.taker.is_some() && seat.next >= end
        };
        self.abandoned || self.seats.iter().all(done)
    }
}

/// Says that the reader is gone, whichever way it went.
struct Leaving<'a, 't, 's, T, E>(&'a Table<'t, 's, T, E>);

impl<T, E> Drop for Leaving<'_, '_, '_, T, E> {
    fn drop(&mut self) {
        self.0.lock().complete = true;
        self.0.changed.notify_all();
    }
}

/// Lets the others go home when a worker panics.
struct Panicking<'a, 't, 's, T, E>(&'a Table<'t, 's, T, E>);

impl<T, E> Drop for Panicking<'_, '_, '_, T, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().abandoned = true;
            self.0.changed.notify_all();
        }
    }
}
