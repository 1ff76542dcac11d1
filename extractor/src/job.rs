//! The extraction itself: batches through the encoder, rows into the store, both at once.
//!
//! The main thread feeds the encoder and turns its float32 output into rows of the store while they are still
//! warm in the cache (reading them once for that costs no more than a copy would); a second thread writes the
//! rows of one batch while the next one is encoded. Work goes part by part: a part that a signal interrupts is
//! dropped whole and made again by the next run, so that the bytes of a store do not depend on interruptions.

mod check;
mod convert;
mod summary;
mod writing;

use std::time::{Duration, Instant};

use cache::{Manifest, Part, PartStatistics, SplitTables, StoreError, StoreWriter};
use shared::dataset::SplitName;
use shared::exit::ExitStatus;
use shared::signals::StopFlag;
use shared::terminal::{Progress, Terminal};
use thiserror::Error;

pub use check::{CheckError, CheckReport, self_check};
pub use summary::{Limit, Startup, State, Summary, Time, bytes};

use self::convert::Converter;
use self::writing::{Message, Writing};
use crate::batch::{Batch, Budget, batches};
use crate::encoder::{self, Encoder, EncoderError};

/// Why an extraction stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JobError {
    /// The encoder failed.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] cache::StoreError),
    /// A hidden state that the store's number format cannot hold.
    #[error("{split}, sentence {sentence}, token {token}, layer {layer}: {problem}")]
    Value {
        /// The split.
        split: SplitName,
        /// Number of the sentence in its split, from 1.
        sentence: usize,
        /// Position in the sequence, from 0.
        token: usize,
        /// The layer's number in the model.
        layer: usize,
        /// What is wrong with the value, and the remedy.
        problem: String,
    },
    /// A thread of the program died.
    #[error("the thread that writes the store stopped without saying why")]
    Thread,
}

impl JobError {
    /// Whose it is to mend.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Encoder(error) => error.exit_status(),
            Self::Store(error) => error.exit_status(),
            Self::Value { .. } => ExitStatus::User,
            Self::Thread => ExitStatus::Machine,
        }
    }
}

/// What an extraction did, and where its time went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Tokens encoded and stored by this run.
    pub tokens: u64,
    /// Positions encoded, padding included.
    pub positions: u64,
    /// Those that were padding.
    pub padding: u64,
    /// From the first batch to the last byte.
    pub elapsed: Duration,
    /// Inside the encoder.
    pub encoding: Duration,
    /// Turning hidden states into rows.
    pub converting: Duration,
    /// The encoder waited for the store.
    pub waiting: Duration,
    /// The writing thread was busy.
    pub writing: Duration,
    /// Parts written by this run.
    pub parts: usize,
    /// A signal asked for a stop before all parts were done.
    pub interrupted: bool,
    /// All parts of the store are there, those of other runs included.
    pub complete: bool,
}

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
    /// Encodes and writes `parts`, then completes the store if nothing is missing any more.
    ///
    /// # Errors
    /// [`JobError`]; finished parts stay, and the same command goes on after them.
    pub fn run(
        &self,
        encoder: &mut Encoder,
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
        std::thread::scope(|scope| {
            let mut run = Run {
                job: self,
                encoder,
                store,
                writing: Writing::start(scope),
                progress: &progress,
                work: &mut work,
            };
            let encoding = parts.iter().try_for_each(|part| run.part(part));
            // The store's error is the cause when both fail: the encoder's side only saw the channel close.
            work.writing = run.writing.end()?;
            encoding
        })?;
        progress.finish();
        work.complete = store.complete()?;
        work.elapsed = start.elapsed();
        Ok(work)
    }
}

/// One run over some parts.
struct Run<'a, 'scope> {
    job: &'a Job<'a>,
    encoder: &'a mut Encoder,
    store: &'a StoreWriter,
    writing: Writing<'scope>,
    progress: &'a Progress,
    work: &'a mut Work,
}

impl Run<'_, '_> {
    fn part(&mut self, part: &Part) -> Result<(), JobError> {
        let Some(table) = self
            .job
            .tables
            .iter()
            .find(|table| table.name == part.split)
        else {
            return Ok(());
        };
        if self.work.interrupted {
            return Ok(());
        }
        let writer = match self.store.begin(part) {
            // Another process was faster.
            Err(StoreError::AlreadyDone { .. }) => return Ok(()),
            writer => writer?,
        };
        self.writing.send(Message::Begin(Box::new(writer)))?;
        let converter = Converter::new(self.job.manifest, table, part);
        let mut statistics = PartStatistics::new(self.job.manifest.layers.len());
        for batch in batches(part.sequences.clone(), &table.offsets, self.job.budget) {
            if self.job.stop.stopped() {
                self.work.interrupted = true;
                return self.writing.send(Message::Drop);
            }
            self.batch(table, &converter, &batch, &mut statistics)?;
        }
        self.work.parts += 1;
        self.writing.send(Message::Finish(statistics))
    }

    fn batch(
        &mut self,
        table: &SplitTables,
        converter: &Converter<'_>,
        batch: &Batch,
        statistics: &mut PartStatistics,
    ) -> Result<(), JobError> {
        let started = Instant::now();
        let hidden = self.encoder.encode(&padded(table, &batch.sequences)?)?;
        let after_encoding = Instant::now();
        let mut rows = self.writing.spare();
        converter.rows(batch, &hidden, &mut rows, statistics)?;
        let after_converting = Instant::now();
        let tokens = rows.tokens();
        self.writing.send(Message::Rows(rows))?;
        self.work.encoding += after_encoding - started;
        self.work.converting += after_converting - after_encoding;
        self.work.waiting += after_converting.elapsed();
        self.work.tokens += tokens;
        self.work.positions += (batch.sequences.len() * batch.width) as u64;
        self.work.padding += batch.padding(&table.offsets);
        self.progress.inc(tokens);
        Ok(())
    }
}

/// The encoder's batch of some sequences of a split.
fn padded(table: &SplitTables, sequences: &[usize]) -> Result<encoder::Batch, EncoderError> {
    let ids: Vec<&[u32]> = sequences
        .iter()
        .map(|&sequence| &table.input_ids[token_range(&table.offsets, sequence)])
        .collect();
    encoder::Batch::padded(&ids)
}

/// The tokens of a sequence.
fn token_range(offsets: &[u64], sequence: usize) -> std::ops::Range<usize> {
    // Offsets index a slice in memory, so they fit.
    let index = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    index(offsets[sequence])..index(offsets[sequence + 1])
}
