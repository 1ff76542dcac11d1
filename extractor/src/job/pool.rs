//! Encoders side by side, each on a thread of its own: while one's rows are copied out of a GPU,
//! another's are computed.
//!
//! Batches are given out in turn and their rows taken back in the same turn, so that what is
//! written, and in which order, does not depend on the number of encoders. On a CPU one encoder
//! with all threads is fastest.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use cache::PartStatistics;

use super::convert::{Converter, Rows};
use super::error::JobError;
use crate::batch::Batch;
use crate::encoder::Encoder;

/// A batch to be encoded.
pub(super) struct Task<'job> {
    pub(super) converter: Converter<'job>,
    pub(super) batch: Batch,
    /// Memory for its rows.
    pub(super) rows: Rows,
}

/// An encoded batch.
pub(super) struct Encoded {
    pub(super) rows: Rows,
    pub(super) statistics: PartStatistics,
    /// Positions encoded, padding included.
    pub(super) positions: u64,
    /// Those that were padding.
    pub(super) padding: u64,
    pub(super) encoding: Duration,
    pub(super) converting: Duration,
}

struct Worker<'job> {
    tasks: SyncSender<Task<'job>>,
    done: Receiver<Result<Encoded, JobError>>,
}

/// The encoders, and which of them is next.
pub(super) struct EncoderPool<'job> {
    workers: Vec<Worker<'job>>,
    /// Batches given out so far.
    given: usize,
    /// Batches taken back so far.
    taken: usize,
}

impl<'job> EncoderPool<'job> {
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, 'job>,
        encoders: &'job mut [Encoder],
    ) -> Self {
        let workers = encoders.iter_mut().map(|encoder| {
            let (tasks, received) = sync_channel::<Task<'job>>(1);
            let (finished, done) = sync_channel(1);
            scope.spawn(move || {
                for task in received {
                    // When nobody takes it, the extraction is ending.
                    if finished.send(task.encode(encoder)).is_err() {
                        break;
                    }
                }
            });
            Worker { tasks, done }
        });
        Self {
            workers: workers.collect(),
            given: 0,
            taken: 0,
        }
    }

    /// Whether every encoder has a batch.
    pub(super) fn is_busy(&self) -> bool {
        self.given - self.taken == self.workers.len()
    }

    /// Gives out a batch; some encoder must be free.
    pub(super) fn give(&mut self, task: Task<'job>) -> Result<(), JobError> {
        let worker = &self.workers[self.given % self.workers.len()];
        self.given += 1;
        worker.tasks.send(task).map_err(|_| JobError::Thread)
    }

    /// Waits for the batch that was given out first of those that are left.
    pub(super) fn take(&mut self) -> Result<Encoded, JobError> {
        let worker = &self.workers[self.taken % self.workers.len()];
        self.taken += 1;
        worker.done.recv().map_err(|_| JobError::Thread)?
    }
}

impl Task<'_> {
    fn encode(mut self, encoder: &mut Encoder) -> Result<Encoded, JobError> {
        let begin = Instant::now();
        let padded = self.converter.padded(&self.batch)?;
        let mut encoding = begin.elapsed();
        let mut statistics = None;
        if encoder.row_format().is_some() {
            let kept = self.converter.kept(&self.batch, &mut self.rows);
            let rows = encoder.encode_rows(&padded, &kept)?;
            encoding = begin.elapsed();
            statistics = rows.statistics();
            self.rows.set(rows);
        }
        let statistics = if let Some(statistics) = statistics {
            statistics
        } else {
            // The ordinary way, which also tells of a value that cannot be stored where it stands.
            let hidden = encoder.encode(&padded)?;
            encoding = begin.elapsed();
            self.converter.rows(&self.batch, &hidden, &mut self.rows)?
        };
        Ok(Encoded {
            statistics,
            positions: (padded.rows * padded.width) as u64,
            padding: self.converter.padding(&self.batch),
            rows: self.rows,
            encoding,
            converting: begin.elapsed().saturating_sub(encoding),
        })
    }
}
