//! How long an extraction will take, from a few seconds of a model of the same shape. Time depends
//! on sizes and not on numbers, and all layers of an encoder are alike: so two layers without
//! weights tell it, before a weight is fetched.

use std::path::Path;
use std::time::{Duration, Instant};

use cache::SplitTables;
use serde::Serialize;

use crate::batch::{self, Budget, CPU_TOKENS, GPU_TOKENS, batches};
use crate::encoder::{Batch, Encoder, EncoderError, EncoderOptions, Provider, RowsOn};

/// Layers of the model that is tried: with one, the embeddings would count too much.
const LAYERS: usize = 2;
/// Time after which no further batch is begun.
const ENOUGH: Duration = Duration::from_secs(2);
/// Most batches of a trial.
const MOST: u32 = 64;

/// What a trial found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// Tokens a second that the whole encoder would do.
    pub tokens_per_second: f64,
    /// The execution provider that it ran on.
    pub provider: Provider,
    /// Threads of the encoder.
    pub threads: usize,
}

/// Encodes some batches of the largest of `tables`, of at most so many tokens, with a model of the
/// shape that `config` states and two layers, and scales that up to the first `layers` layers. None
/// where there is nothing to encode.
///
/// # Errors
/// When the configuration cannot be used, or when ONNX Runtime or the device is not available.
pub fn run(
    config: &Path,
    options: &EncoderOptions,
    layers: usize,
    tables: &[SplitTables],
    max_batch_tokens: Option<usize>,
) -> Result<Option<Trial>, EncoderError> {
    let Some(table) = tables.iter().max_by_key(|table| table.input_ids.len()) else {
        return Ok(None);
    };
    let options = EncoderOptions {
        rows: RowsOn::Host,
        profile: false,
        ..options.clone()
    };
    let mut encoder = Encoder::blank(config, LAYERS.min(layers), &options)?;
    let tried = encoder.layers().len() - 1;
    let budget = match encoder.provider() {
        provider @ Provider::Cpu => Budget::new(max_batch_tokens.unwrap_or(CPU_TOKENS), provider),
        provider @ Provider::Cuda => {
            let tokens = max_batch_tokens.unwrap_or(GPU_TOKENS);
            Budget::new(tokens, provider).bucketed(encoder.max_positions())
        }
    };
    let batches = batches(0..table.sentence_of.len(), &table.offsets, budget);
    let (mut tokens, mut time) = (0, Duration::ZERO);
    // The first run of a session lays its memory out; that is not repeated.
    for (number, index) in spread(batches.len()).take(1 + MOST as usize).enumerate() {
        let batch = &batches[index];
        let blank = blank(batch, &table.offsets);
        let started = Instant::now();
        encoder.encode(&blank)?;
        if number > 0 || batches.len() == 1 {
            time += started.elapsed();
            tokens += batch_tokens(batch, &table.offsets);
        }
        if time > ENOUGH {
            break;
        }
    }
    if tokens == 0 {
        return Ok(None);
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (tokens, share) = (tokens as f64, tried.max(1) as f64 / layers.max(1) as f64);
    Ok(Some(Trial {
        tokens_per_second: tokens / time.as_secs_f64().max(1e-9) * share,
        provider: encoder.provider(),
        threads: options.threads,
    }))
}

/// Indices below `count` in an order whose every beginning is spread over all of them: steps of the
/// golden section.
fn spread(count: usize) -> impl Iterator<Item = usize> {
    let step = (count * 618 / 1000).max(1);
    let step = (step..=count)
        .find(|&step| greatest_common_divisor(step, count) == 1)
        .unwrap_or(1);
    (0..count).map(move |number| number * step % count)
}

fn greatest_common_divisor(one: usize, other: usize) -> usize {
    if other == 0 {
        one
    } else {
        greatest_common_divisor(other, one % other)
    }
}

/// A batch of the same shape, of token 0, the only one of the vocabulary.
fn blank(batch: &batch::Batch, offsets: &[u64]) -> Batch {
    let length = |&sequence: &usize| {
        let length = offsets[sequence + 1] - offsets[sequence];
        i32::try_from(length).unwrap_or(i32::MAX)
    };
    let (rows, width) = (batch.sequences.len(), batch.width);
    Batch {
        input_ids: vec![0; rows * width],
        lengths: batch.sequences.iter().map(length).collect(),
        rows,
        width,
    }
}

fn batch_tokens(batch: &batch::Batch, offsets: &[u64]) -> u64 {
    (batch.sequences.len() * batch.width) as u64 - batch.padding(offsets)
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn every_batch_comes_once_and_early_ones_are_far_apart() {
        for count in [1, 2, 3, 10, 64, 999] {
            let mut all: Vec<usize> = spread(count).collect();
            assert!(count < 10 || all[0].abs_diff(all[1]) > count / 3);
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
        assert_eq!(spread(0).count(), 0);
    }
}
