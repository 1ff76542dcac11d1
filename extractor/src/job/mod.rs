//! The extraction itself: batches through the encoder, rows into the store, both at once.
//!
//! Each encoder has a thread of its own, which turns the encoder's float32 output into rows of the
//! store while they are still in the CPU's cache (reading them once for that costs no more than a
//! copy would); another thread writes the rows of one batch while the next one is encoded, and a
//! third one seals whole parts. Work goes part by part: a part that a signal interrupts is dropped
//! whole and made again by the next run, so that the bytes of a store do not depend on
//! interruptions. On a GPU rows are made there, and two encoders take turns, across the borders of
//! parts.

mod check;
mod convert;
mod error;
mod pool;
mod summary;
mod work;
mod writing;

use std::collections::VecDeque;
use std::time::Instant;

use cache::{Manifest, Part, PartStatistics, PartWriter, SplitTables, StoreError, StoreWriter};
use shared::signals::StopFlag;
use shared::terminal::{Progress, Terminal};

pub use check::{CheckError, CheckReport, self_check};
pub use error::JobError;
pub use summary::{Limit, Setup, Startup, State, Summary, Time};
pub use work::Work;

use self::convert::Converter;
use self::pool::{EncoderPool, Task};
use self::writing::{Message, Writing};
use crate::batch::{Budget, batches};
use crate::encoder::Encoder;

/// Everything an extraction needs but the encoder and the store.
pub struct Job<'a> {
    /// What is stored.
    pub manifest: &'a Manifest,
    /// What is encoded.
    pub tables: &'a [SplitTables],
    /// How large batches are.
    pub budget: Budget,
    /// Asked for a stop before each batch.
    pub stop: &'a StopFlag,
    /// Where progress is shown.
    pub terminal: &'a Terminal,
}

impl Job<'_> {
    /// Encodes and writes `parts` with at least one encoder, then completes the store if nothing is
    /// missing any more.
    ///
    /// # Errors
    /// [`JobError`]; finished parts stay, and the same command goes on after them.
    pub fn run(
        &self,
        encoders: &mut [Encoder],
        store: &StoreWriter,
        parts: &[Part],
    ) -> Result<Work, JobError> {
        let start = Instant::now();
        let tokens = parts
            .iter()
            .map(|part| part.tokens.end - part.tokens.start)
            .sum();
        let progress = self.terminal.progress("encoding", tokens, "tokens");
        let mut work = Work::default();
        let count = u32::try_from(encoders.len()).unwrap_or(u32::MAX);
        std::thread::scope(|scope| {
            let mut run = Run {
                job: self,
                encoders: EncoderPool::start(scope, encoders),
                store,
                writing: Writing::start(scope),
                begun: VecDeque::new(),
                statistics: PartStatistics::default(),
                progress: &progress,
                work: &mut work,
            };
            let encoding = run.parts(parts);
            // The store's error is the cause when both fail: the encoders' side only saw the
            // channel close.
            work.writing = run.writing.end()?;
            encoding
        })?;
        progress.finish();
        work.encoding /= count;
        work.converting /= count;
        work.complete = store.complete()?;
        work.elapsed = start.elapsed();
        Ok(work)
    }
}

/// A step that was begun; the writing thread is told of all of them in the order of their begin.
enum Step {
    Begin(Box<PartWriter>),
    /// The rows of a batch that an encoder has.
    Rows,
    Finish,
    Drop,
}

/// One run over some parts.
struct Run<'a, 'job, 'scope> {
    job: &'job Job<'job>,
    encoders: EncoderPool<'job>,
    store: &'a StoreWriter,
    writing: Writing<'scope>,
    begun: VecDeque<Step>,
    /// Statistics of the part that is being written.
    statistics: PartStatistics,
    progress: &'a Progress,
    work: &'a mut Work,
}

impl<'job> Run<'_, 'job, '_> {
    fn parts(&mut self, parts: &'job [Part]) -> Result<(), JobError> {
        for part in parts {
            if !self.work.interrupted {
                self.part(part)?;
            }
        }
        while !self.begun.is_empty() {
            self.next()?;
        }
        Ok(())
    }

    fn part(&mut self, part: &'job Part) -> Result<(), JobError> {
        let job = self.job;
        let Some(table) = job.tables.iter().find(|table| table.name == part.split) else {
            return Ok(());
        };
        let writer = match self.store.begin(part) {
            // Another process was faster.
            Err(StoreError::AlreadyDone { .. }) => return Ok(()),
            writer => writer?,
        };
        self.begin(Step::Begin(Box::new(writer)))?;
        let converter = Converter::new(job.manifest, table, part);
        for batch in batches(part.sequences.clone(), &table.offsets, job.budget) {
            if job.stop.stopped() {
                self.work.interrupted = true;
                return self.begin(Step::Drop);
            }
            while self.encoders.is_busy() {
                self.next()?;
            }
            self.go_on()?;
            let rows = self.writing.spare();
            self.encoders.give(Task {
                converter,
                batch,
                rows,
            })?;
            self.begin(Step::Rows)?;
        }
        self.begin(Step::Finish)
    }

    /// Appends a step, and takes it at once if no batch before it has to be waited for.
    fn begin(&mut self, step: Step) -> Result<(), JobError> {
        self.begun.push_back(step);
        self.go_on()
    }

    /// Takes the steps up to the next batch that has to be waited for.
    fn go_on(&mut self) -> Result<(), JobError> {
        while !matches!(self.begun.front(), None | Some(Step::Rows)) {
            self.next()?;
        }
        Ok(())
    }

    /// Takes the next step; if it is a batch, waits for it.
    fn next(&mut self) -> Result<(), JobError> {
        let message = match self.begun.pop_front() {
            None => return Ok(()),
            Some(Step::Rows) => return self.rows(),
            Some(Step::Begin(writer)) => {
                self.statistics = PartStatistics::new(self.job.manifest.layers.len());
                Message::Begin(writer)
            }
            Some(Step::Finish) => {
                self.work.parts += 1;
                Message::Finish(std::mem::take(&mut self.statistics))
            }
            Some(Step::Drop) => Message::Drop,
        };
        self.writing.send(message)
    }

    /// Waits for the next batch and hands its rows over.
    fn rows(&mut self) -> Result<(), JobError> {
        let encoded = self.encoders.take()?;
        let tokens = encoded.rows.tokens();
        self.statistics.merge(&encoded.statistics);
        let taken = Instant::now();
        self.writing.send(Message::Rows(encoded.rows))?;
        self.work.waiting += taken.elapsed();
        self.work.encoding += encoded.encoding;
        self.work.converting += encoded.converting;
        self.work.tokens += tokens;
        self.work.positions += encoded.positions;
        self.work.padding += encoded.padding;
        self.progress.inc(tokens);
        Ok(())
    }
}
