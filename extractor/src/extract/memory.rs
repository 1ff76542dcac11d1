//! Whether the job has memory for the batches of an extraction. The operating system ends a job that
//! takes more than its limit without a word, so what it takes at least is looked at before it begins.

use super::batches::LargestBatch;
use super::error::ExtractError;
use super::extraction::Extraction;
use super::model::Model;
use super::weight_memory::BASE_BYTES;
use crate::encoder::Device;

/// Batches of rows that are converted, waiting or written at the same time, at least.
const ROWS_IN_FLIGHT: u64 = 2;

/// An error if the job's limit is below what the largest batch, of so many tokens, takes beside the
/// encoder, whose weights have `weight_bytes`.
///
/// # Errors
/// [`ExtractError::Memory`], with what would fit.
pub fn check_batches(
    extraction: &Extraction,
    weight_bytes: u64,
    largest: LargestBatch,
    max_batch_tokens: usize,
) -> Result<(), ExtractError> {
    let Some(limit) = shared::resources::memory_limit() else {
        return Ok(());
    };
    let weights = resident_bytes(&extraction.model, weight_bytes);
    let most = largest.tokens(max_batch_tokens);
    batches_fit(most, token_bytes(extraction), weights, limit)
}

fn batches_fit(most: u64, token: u64, weights: u64, limit: u64) -> Result<(), ExtractError> {
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
    Err(ExtractError::Memory {
        what: format!("a batch of {most} tokens, beside the encoder,"),
        needed,
        limit,
        hints: vec![hint],
    })
}

/// Bytes of the weights in this job's memory: none where they go to a GPU, or are loaded already.
fn resident_bytes(model: &Model, weight_bytes: u64) -> u64 {
    let on_cpu = match model.options.device {
        Device::Cpu => true,
        Device::Auto => !shared::gpu::has_driver(),
        Device::Cuda(_) => false,
    };
    if on_cpu && model.files.onnx_file().is_none() {
        weight_bytes
    } else {
        0
    }
}

/// Bytes that a token of a batch takes at least: every kept layer in float32, and its rows.
fn token_bytes(extraction: &Extraction) -> u64 {
    let values = (extraction.model.layers.len() * extraction.model.hidden) as u64;
    values.saturating_mul(4) + ROWS_IN_FLIGHT * extraction.row_bytes() as u64
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
        assert_eq!(error.hints(), ["--max-batch-tokens 4915 would fit"]);
        assert!(batches_fit(4915, row, gigabyte, 2 * gigabyte).is_ok());
        assert!(batches_fit(4916, row, gigabyte, 2 * gigabyte).is_err());
        let error = batches_fit(512, row, gigabyte, gigabyte).unwrap_err();
        assert!(error.hints()[0].contains("ask for more"), "{error:?}");
    }
}
