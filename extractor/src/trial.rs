//! How long an extraction will take, from a few seconds of a model of the same shape. Time depends
//! on sizes and not on numbers, and all layers of a kind are alike (those that see the whole
//! sequence, those that have a window): so two layers of each without weights tell it, before a weight
//! is fetched.

use std::path::Path;
use std::time::{Duration, Instant};

use cache::SplitTables;
use serde::Serialize;

use crate::batch::{self, Budget, CPU_TOKENS, GPU_TOKENS, batches, spread};
use crate::encoder::{Batch, Encoder, EncoderError, EncoderOptions, Provider, RowsOn};
use crate::family::{Config, EncoderSpec};

/// Layers of the model that is tried: with one, the embeddings would count too much. (An encoder of
/// which only the embeddings are kept has none.)
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

/// Encodes some batches of the largest of `tables`, of at most so many tokens, with models of the
/// shape that `config` states and two layers of a kind, and scales that up to the first `layers`
/// layers. None where there is nothing to encode.
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
    let spec = EncoderSpec::from_config(&Config::read(config)?)?;
    let kinds = spec.layers_by_kind(layers);
    let mut kinds: Vec<Vec<usize>> = kinds.into_iter().filter(|kind| !kind.is_empty()).collect();
    if kinds.is_empty() {
        kinds.push(Vec::new());
    }
    let (mut seconds, mut provider) = (0.0, Provider::Cpu);
    for kind in kinds {
        let tried = &kind[..kind.len().min(LAYERS)];
        let mut encoder = Encoder::blank(config, tried, &options)?;
        provider = encoder.provider();
        let Some(time) = time(&mut encoder, table, max_batch_tokens)? else {
            return Ok(None);
        };
        seconds += scaled(time, tried.len(), kind.len());
    }
    Ok(Some(Trial {
        tokens_per_second: 1.0 / seconds,
        provider,
        threads: options.threads,
    }))
}

/// The time that `layers` layers take where `tried` of them take `time`.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn scaled(time: f64, tried: usize, layers: usize) -> f64 {
    time * layers.max(1) as f64 / tried.max(1) as f64
}

/// Seconds that `encoder` takes for a token of `table`; none where there is none.
fn time(
    encoder: &mut Encoder,
    table: &SplitTables,
    max_batch_tokens: Option<usize>,
) -> Result<Option<f64>, EncoderError> {
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
    let tokens = tokens as f64;
    Ok(Some(time.as_secs_f64().max(1e-9) / tokens))
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
    use super::*;

    /// Sequences of 512 tokens.
    fn table() -> SplitTables {
        let tokens = 8 * 512;
        SplitTables {
            name: shared::datasets::SplitName::Train,
            offsets: (0..=8).map(|sequence| 512 * sequence).collect(),
            sentence_of: (0..8).collect(),
            input_ids: vec![0; tokens],
            word_ids: vec![-1; tokens],
            words: Vec::new(),
            second_text: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Layers whose attention takes nearly all the time, three of four with a window.
    const CONFIG: &str = r#"{"model_type": "modernbert", "hidden_size": 64, "num_hidden_layers": 8,
        "num_attention_heads": 16, "intermediate_size": 16, "vocab_size": 64, "max_position_embeddings": 512,
        "global_attn_every_n_layers": 4, "local_attention": 16}"#;

    #[test]
    fn layers_of_each_kind_are_tried_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.json");
        fs_err::write(&config, CONFIG).unwrap();
        let options = EncoderOptions {
            device: crate::encoder::Device::Cpu,
            threads: 1,
            ..EncoderOptions::default()
        };
        let seconds = |layers: &[usize]| {
            let mut encoder = Encoder::blank(&config, layers, &options).unwrap();
            assert_eq!(encoder.layers().len(), layers.len() + 1);
            time(&mut encoder, &table(), None).unwrap().unwrap()
        };
        let (full, windowed) = (seconds(&[0, 4]), seconds(&[1, 2]));
        let trial = run(&config, &options, 8, &[table()], None)
            .unwrap()
            .unwrap();
        let expected = 1.0 / (full + 3.0 * windowed);
        let ratio = trial.tokens_per_second / expected;
        // Other programs run beside a test.
        assert!((0.1..10.0).contains(&ratio), "{ratio}, {full}, {windowed}");
        assert!((scaled(1.0, 2, 6) - 3.0).abs() < 1e-12 && (scaled(1.0, 0, 0) - 1.0).abs() < 1e-12);
        assert!(
            run(&config, &options, 0, &[table()], None)
                .unwrap()
                .is_some()
        );
        assert!(run(&config, &options, 8, &[], None).unwrap().is_none());
    }
}
