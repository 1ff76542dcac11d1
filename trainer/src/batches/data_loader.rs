//! The data loader: a thread reads and collates batches ahead of their use (prefetch), and every head
//! that learns from them or is scored on them (a *consumer*) gets each batch in order, though it is
//! read from the store once. Consumers need not keep step: a worker always goes on with the one that
//! is furthest behind, so that no core waits for a slow head while another one could be computed.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{LabelledBatch, LabelledSplit, LoadError, collate, prefetch};

/// Batches in memory at most, counted from the one that the slowest consumer is at.
const PREFETCHED: usize = 4;

/// Loads `batches` of sentences, from number `first` on, in a thread of its own and calls `consume`
/// with every one of the `consumers` and each batch in order, until a consumer breaks or fails.
/// `workers` consumers are at work at the same time; a single worker is the calling thread, of
/// several each computes on one thread. The results are those of the consumers.
///
/// # Errors
/// When the store cannot be read.
pub fn for_each_batch<'s, C: Send, E: Send>(
    split: &LabelledSplit<'s>,
    batches: &[Vec<usize>],
    first: usize,
    consumers: &mut [C],
    workers: usize,
    consume: impl Fn(&mut C, &LabelledBatch<'s>) -> Result<ControlFlow<()>, E> + Sync,
) -> Result<Vec<Result<(), E>>, LoadError> {
    let workers = workers.min(consumers.len());
    let loader = DataLoader::new(consumers, first);
    let result = std::thread::scope(|scope| {
        let thread = scope.spawn(|| loader.load(split, batches, first));
        if workers > 1 {
            for _ in 0..workers {
                scope.spawn(|| on_one_thread(|| loader.work(&consume)));
            }
        } else {
            loader.work(&consume);
        }
        thread.join()
    });
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Ok(loader.into_results())
}

/// Runs `work` where parallel loops find a single thread, so that workers do not take each other's
/// cores.
pub(crate) fn on_one_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(work),
        // Slower, not wrong.
        Err(_) => work(),
    }
}

/// What the loading thread and the workers share.
struct DataLoader<'c, 's, C, E> {
    state: Mutex<State<'c, 's, C, E>>,
    changed: Condvar,
}

struct State<'c, 's, C, E> {
    /// Batches that are loaded, the first of them being number `first`.
    loaded: VecDeque<Arc<LabelledBatch<'s>>>,
    first: usize,
    consumers: Vec<Consumer<'c, C, E>>,
    /// Whether no batch comes after those that are loaded.
    complete: bool,
    /// Whether a worker panicked or the store cannot be read: nobody must wait for more.
    abandoned: bool,
}

/// A consumer, and where it is.
struct Consumer<'c, C, E> {
    /// None while a worker has it.
    idle: Option<&'c mut C>,
    /// Number of its next batch.
    next: usize,
    /// Its result, once it is over for it.
    ended: Option<Result<(), E>>,
}

impl<'c, 's, C, E> DataLoader<'c, 's, C, E> {
    fn new(consumers: &'c mut [C], first: usize) -> Self {
        let consumer = |consumer| Consumer {
            idle: Some(consumer),
            next: first,
            ended: None,
        };
        Self {
            state: Mutex::new(State {
                loaded: VecDeque::new(),
                first,
                consumers: consumers.iter_mut().map(consumer).collect(),
                complete: false,
                abandoned: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<'c, 's, C, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(
        &self,
        state: MutexGuard<'g, State<'c, 's, C, E>>,
    ) -> MutexGuard<'g, State<'c, 's, C, E>> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The loading thread: keeps [`PREFETCHED`] batches loaded.
    fn load(
        &self,
        split: &LabelledSplit<'s>,
        batches: &[Vec<usize>],
        first: usize,
    ) -> Result<(), LoadError> {
        let _complete = CompleteOnDrop(self);
        for sentences in batches.iter().skip(first).take(PREFETCHED) {
            prefetch(split, sentences);
        }
        for (index, sentences) in batches.iter().enumerate().skip(first) {
            if let Some(later) = batches.get(index + PREFETCHED) {
                prefetch(split, later);
            }
            let batch = match collate(split, index, sentences) {
                Ok(batch) => batch,
                Err(error) => {
                    self.lock().abandoned = true;
                    return Err(error);
                }
            };
            let mut state = self.lock();
            while state.loaded.len() >= PREFETCHED && !state.is_over() {
                state = self.wait(state);
            }
            if state.is_over() {
                break;
            }
            state.loaded.push_back(Arc::new(batch));
            self.changed.notify_all();
        }
        Ok(())
    }

    /// A worker: gives the consumer that is furthest behind its next batch, again and again.
    fn work(&self, consume: &impl Fn(&mut C, &LabelledBatch<'s>) -> Result<ControlFlow<()>, E>) {
        let mut state = self.lock();
        while !state.is_over() {
            let Some((place, consumer, batch)) = state.assign() else {
                state = self.wait(state);
                continue;
            };
            drop(state);
            let abandon = AbandonOnPanic(self);
            let result = consume(consumer, &batch);
            drop(abandon);
            drop(batch);
            state = self.lock();
            state.give_back(place, consumer, result);
            self.changed.notify_all();
        }
    }

    fn into_results(self) -> Vec<Result<(), E>> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let ended = state.consumers.into_iter().map(|consumer| consumer.ended);
        ended.map(|ended| ended.unwrap_or(Ok(()))).collect()
    }
}

impl<'c, 's, C, E> State<'c, 's, C, E> {
    /// The consumer that is furthest behind among those whose next batch is loaded, with that batch.
    fn assign(&mut self) -> Option<(usize, &'c mut C, Arc<LabelledBatch<'s>>)> {
        let end = self.first + self.loaded.len();
        let waiting = self.consumers.iter().enumerate().filter(|(_, consumer)| {
            consumer.idle.is_some() && consumer.ended.is_none() && consumer.next < end
        });
        let (place, _) = waiting.min_by_key(|(_, consumer)| consumer.next)?;
        let consumer = &mut self.consumers[place];
        let batch = self.loaded.get(consumer.next - self.first)?;
        Some((place, consumer.idle.take()?, Arc::clone(batch)))
    }

    /// Takes a consumer back after a batch, and drops batches that no consumer needs any more.
    fn give_back(&mut self, place: usize, own: &'c mut C, result: Result<ControlFlow<()>, E>) {
        let consumer = &mut self.consumers[place];
        consumer.idle = Some(own);
        consumer.next += 1;
        match result {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => consumer.ended = Some(Ok(())),
            Err(error) => consumer.ended = Some(Err(error)),
        }
        let running = self.consumers.iter().filter(|one| one.ended.is_none());
        let slowest = running.map(|one| one.next).min().unwrap_or(usize::MAX);
        while self.first < slowest && self.loaded.pop_front().is_some() {
            self.first += 1;
        }
    }

    /// Whether no consumer can get another batch, now or later.
    fn is_over(&self) -> bool {
        let end = self.first + self.loaded.len();
        let done = |one: &Consumer<'_, C, E>| {
            one.ended.is_some() || self.complete && one.idle.is_some() && one.next >= end
        };
        self.abandoned || self.consumers.iter().all(done)
    }
}

/// Tells the workers that nothing more is loaded, whichever way the loading thread ends.
struct CompleteOnDrop<'a, 'c, 's, C, E>(&'a DataLoader<'c, 's, C, E>);

impl<C, E> Drop for CompleteOnDrop<'_, '_, '_, C, E> {
    fn drop(&mut self) {
        self.0.lock().complete = true;
        self.0.changed.notify_all();
    }
}

/// Tells the other threads to end when a worker panics.
struct AbandonOnPanic<'a, 'c, 's, C, E>(&'a DataLoader<'c, 's, C, E>);

impl<C, E> Drop for AbandonOnPanic<'_, '_, '_, C, E> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().abandoned = true;
            self.0.changed.notify_all();
        }
    }
}
