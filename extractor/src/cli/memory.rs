//! Whether the job has memory for an extraction. The kernel ends a job that takes more than its limit without a word, in the
//! middle of the night; so what it takes at least is looked at before it begins.

use cache::SplitTables;
use shared::exit::ExitStatus;

use super::error::CliError;
use super::prepare::Prepared;
use crate::encoder::Device;
use crate::job::bytes;
use crate::plan::Tokens;

/// Program, libraries and data set.
const BASE_BYTES: u64 = 64 << 20;
/// While ONNX Runtime packs the matrices for the processor, the weights are in memory 1.9 times (`docs/models.md`, "True
/// sizes"); files may hold a head that is not loaded.
const LOADING: f64 = 1.8;
/// Batches of rows that are converted, waiting or written at the same time, at least.
const ROWS_IN_FLIGHT: u64 = 2;

/// An error if the job's limit is below what loading the encoder takes.
pub(super) fn check_weights(prepared: &Prepared) -> Result<(), CliError> {
    let (Some(limit), Some(needed)) = (shared::resources::memory_limit(), weights(prepared)?)
    else {
        return Ok(());
    };
    if BASE_BYTES + needed <= limit {
        return Ok(());
    }
    let mut hints = vec![format!(
        "ask for more (Slurm: --mem; shell: ulimit -v), {} at least",
        bytes(BASE_BYTES + needed)
    )];
    let all = prepared.last_layer().max(1) as u64;
    let fitting = limit.saturating_sub(BASE_BYTES) * all / needed.max(1);
    if (1..all).contains(&fitting) {
        hints.push(format!(
            "layers above the last one kept are not loaded: --layers with a list that ends at {fitting} would fit"
        ));
    }
    Err(too_little(
        "loading the encoder",
        BASE_BYTES + needed,
        limit,
        hints,
    ))
}

/// An error if the job's limit is below what the largest batch takes beside the encoder.
pub(super) fn check_batches(prepared: &Prepared, tokens: &Tokens) -> Result<(), CliError> {
    let Some(limit) = shared::resources::memory_limit() else {
        return Ok(());
    };
    // What loading took beyond the weights themselves is free again.
    let weights = weights(prepared)?.map_or(0, |loading| scaled(loading, 1.0 / LOADING));
    let most = largest_batch(prepared.batch_tokens(), &tokens.tables);
    batches_fit(most, token_bytes(prepared), weights, limit)
}

fn batches_fit(most: u64, token: u64, weights: u64, limit: u64) -> Result<(), CliError> {
    let needed = (BASE_BYTES + weights).saturating_add(most.saturating_mul(token));
    if needed <= limit {
        return Ok(());
    }
    let fitting = limit.saturating_sub(BASE_BYTES + weights) / token.max(1);
    let hint = if fitting == 0 {
        "ask for more (Slurm: --mem; shell: ulimit -v)".to_owned()
    } else {
        format!("--max-batch-tokens {fitting} would fit")
    };
    let what = format!("a batch of {most} tokens, beside the encoder,");
    Err(too_little(&what, needed, limit, vec![hint]))
}

fn too_little(what: &str, needed: u64, limit: u64, hints: Vec<String>) -> CliError {
    CliError {
        message: format!(
            "{what} takes {} of memory at least, and this job may have {}",
            bytes(needed),
            bytes(limit)
        ),
        hints,
        status: ExitStatus::Machine,
    }
}

/// Bytes that loading the weights takes at least; none where they go to a GPU, or are loaded already.
fn weights(prepared: &Prepared) -> Result<Option<u64>, CliError> {
    let on_cpu = match prepared.encoder.device {
        Device::Cpu => true,
        Device::Auto => !shared::gpu::has_driver(),
        Device::Cuda(_) => false,
    };
    if !on_cpu || prepared.files.onnx_file().is_some() {
        return Ok(None);
    }
    let mut stored = 0;
    for file in &prepared.files.weights {
        stored += fs_err::metadata(file)?.len();
    }
    let states = prepared.shape.states.max(2) as u64;
    let loaded = stored.saturating_mul(prepared.last_layer() as u64) / (states - 1);
    Ok(Some(scaled(loaded, LOADING)))
}

/// Bytes that a token of a batch takes at least: every kept layer in float32, and its rows.
fn token_bytes(prepared: &Prepared) -> u64 {
    let values = prepared.layers() as u64 * prepared.shape.hidden as u64;
    values.saturating_mul(4) + ROWS_IN_FLIGHT * prepared.row_bytes() as u64
}

/// Tokens of the largest batch that the data set fills.
fn largest_batch(budget: usize, tables: &[SplitTables]) -> u64 {
    let longest = tables.iter().flat_map(|table| table.offsets.windows(2));
    let longest = longest.map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    let all = tables
        .iter()
        .map(|table| table.input_ids.len() as u64)
        .max();
    (budget as u64).min(all.unwrap_or(0)).max(longest)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate of a size"
)]
fn scaled(size: u64, by: f64) -> u64 {
    (size as f64 * by) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_that_do_not_fit_are_told_with_the_size_that_does() {
        let (gigabyte, row) = (1 << 30, 25 * 1024 * 8);
        assert!(batches_fit(2048, row, gigabyte, 2 * gigabyte).is_ok());
        let error = batches_fit(100_000, row, gigabyte, 2 * gigabyte).unwrap_err();
        // (1024 - 64) MiB of rows of 200 KiB.
        assert_eq!(error.hints, ["--max-batch-tokens 4915 would fit"]);
        assert!(batches_fit(4915, row, gigabyte, 2 * gigabyte).is_ok());
        assert!(batches_fit(4916, row, gigabyte, 2 * gigabyte).is_err());
        let error = batches_fit(512, row, gigabyte, gigabyte).unwrap_err();
        assert!(error.hints[0].contains("ask for more"), "{error:?}");
    }

    #[test]
    fn no_batch_is_larger_than_the_data_and_a_sequence_is_never_cut() {
        let table = |lengths: &[u64]| {
            let offsets = lengths.iter().scan(0, |end, length| {
                *end += length;
                Some(*end)
            });
            let tokens = usize::try_from(lengths.iter().sum::<u64>()).unwrap();
            SplitTables {
                name: shared::datasets::SplitName::Train,
                offsets: std::iter::once(0).chain(offsets).collect(),
                sentence_of: vec![0; lengths.len()],
                input_ids: vec![0; tokens],
                word_ids: vec![-1; tokens],
                words: Vec::new(),
                labels: Vec::new(),
            }
        };
        let tables = [table(&[5, 9, 3]), table(&[4])];
        assert_eq!(largest_batch(12, &tables), 12);
        assert_eq!(largest_batch(1000, &tables), 17);
        assert_eq!(largest_batch(4, &tables), 9);
    }
}
