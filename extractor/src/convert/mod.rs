//! A store in another number format, with fewer layers or another compression, made of a store instead of an
//! encoder. It is written as an extraction writes it: part by part, so that a kill loses a part at most.

mod error;
mod target;

use std::time::{Duration, Instant};

use cache::{Part, PartStatistics, SplitReader, Store, StoreError, StoreWriter, rows};
use rayon::prelude::*;
use shared::signals::StopFlag;
use shared::terminal::Terminal;

pub use self::error::ConvertError;
pub use self::target::{Target, Wanted};

/// Fewer tokens than this are not worth another thread.
const MIN_TOKENS: usize = 16;

/// What a conversion did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Converted {
    /// Tokens that were converted.
    pub tokens: u64,
    /// Whether the store is complete now.
    pub complete: bool,
    /// Whether a signal stopped it.
    pub interrupted: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl Converted {
    /// Nothing, since the store was complete.
    #[must_use]
    pub fn finished() -> Self {
        Self {
            complete: true,
            ..Self::default()
        }
    }
}

/// Converts `parts`, then completes the store if nothing is missing any more.
///
/// # Errors
/// [`ConvertError`]; finished parts stay, and the same command goes on after them.
pub fn run(
    source: &Store,
    target: &Target,
    writer: &StoreWriter,
    parts: &[Part],
    (stop, terminal): (&StopFlag, &Terminal),
) -> Result<Converted, ConvertError> {
    let started = Instant::now();
    let tokens = parts.iter().map(|part| part.tokens.end - part.tokens.start);
    let progress = terminal.progress("converting", tokens.sum(), "tokens");
    let mut done = Converted::default();
    for part in parts {
        let Some(reader) = source.split(part.split) else {
            continue;
        };
        let mut writing = match writer.begin(part) {
            // Another process was faster.
            Err(StoreError::AlreadyDone { .. }) => continue,
            writing => writing?,
        };
        let mut statistics = PartStatistics::new(target.places.len());
        // Whole inner chunks of the source, each of which is decoded as one where it is compressed.
        let chunk = reader.layout().chunk_tokens;
        let mut first = part.tokens.start;
        while first < part.tokens.end && !stop.stopped() {
            let end = part.tokens.end.min((first / chunk + 1) * chunk);
            let (rows, counted) = target.rows(source, reader, first..end)?;
            writing.write(first, &rows)?;
            statistics.merge(&counted);
            progress.inc(end - first);
            done.tokens += end - first;
            first = end;
        }
        if first < part.tokens.end {
            done.interrupted = true;
            break;
        }
        writing.finish(&statistics)?;
    }
    progress.finish();
    done.complete = writer.complete()?;
    done.elapsed = started.elapsed();
    Ok(done)
}

impl Target {
    /// The rows `[tokens, layers, hidden]` of consecutive tokens as the target keeps them, and their statistics.
    fn rows(
        &self,
        source: &Store,
        reader: &SplitReader,
        tokens: std::ops::Range<u64>,
    ) -> Result<(Vec<u8>, PartStatistics), ConvertError> {
        let stored = reader.rows(tokens.clone())?;
        let from = stored.dtype();
        let (to, hidden) = (self.manifest.store_dtype, self.manifest.hidden);
        let (own, theirs) = (to.vector_bytes(hidden), from.vector_bytes(hidden));
        let errors: Vec<Option<f64>> = self.errors(source, reader);
        let row_bytes = stored.row_bytes();
        let rows: Vec<&[u8]> = stored
            .pieces()
            .flat_map(|piece| piece.chunks_exact(row_bytes))
            .collect();
        let layers = self.places.len();
        let mut converted = vec![0; rows.len() * layers * own];
        let begin = || {
            let recoder = rows::Recoder::new(from, to, hidden);
            (recoder, PartStatistics::new(layers))
        };
        let statistics = converted
            .par_chunks_exact_mut(layers * own)
            .zip(rows)
            .enumerate()
            .with_min_len(MIN_TOKENS)
            .try_fold(
                begin,
                |(mut recoder, mut statistics), (index, (out, row))| {
                    let vectors = out.chunks_exact_mut(own).zip(&self.places);
                    for (layer, (out, &place)) in vectors.enumerate() {
                        let stored = &row[place * theirs..(place + 1) * theirs];
                        let counted = &mut statistics.layers[layer];
                        recoder
                            .recode(layer, stored, out, errors[layer], counted)
                            .map_err(|overflow| {
                                self.overflow(reader, tokens.start + index as u64, overflow)
                            })?;
                    }
                    Ok((recoder, statistics))
                },
            )
            .map(|folded| folded.map(|(_, statistics)| statistics))
            .try_reduce(
                || PartStatistics::new(layers),
                |mut left, right| {
                    left.merge(&right);
                    Ok::<_, ConvertError>(left)
                },
            )?;
        Ok((converted, statistics))
    }

    /// What is known of the rounding of the kept layers in the source.
    fn errors(&self, source: &Store, reader: &SplitReader) -> Vec<Option<f64>> {
        let statistics = source.statistics(reader.name()).unwrap_or_default();
        let error = |&place: &usize| statistics.get(place).and_then(|layer| layer.error);
        self.places.iter().map(error).collect()
    }

    fn overflow(&self, reader: &SplitReader, token: u64, overflow: rows::Overflow) -> ConvertError {
        let sequence = reader
            .offsets()
            .partition_point(|&offset| offset <= token)
            .saturating_sub(1);
        let first = reader.offsets()[sequence];
        // The model's number of the layer, not its place among those that are kept.
        let layer = self.manifest.layers[overflow.layer];
        ConvertError::Value {
            split: reader.name(),
            sentence: reader
                .sentence_of()
                .get(sequence)
                .map_or(0, |&number| number + 1),
            token: token - first,
            problem: rows::Overflow { layer, ..overflow }.to_string(),
        }
    }
}
