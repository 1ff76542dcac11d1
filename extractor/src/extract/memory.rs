//! Whether the job has memory for an extraction. The operating system ends a job that takes more
//! than its limit without a word, so what it takes at least is looked at before it begins.

use shared::size::format_bytes;

use super::batches::LargestBatch;
use super::error::ExtractError;
use super::extraction::Extraction;
use super::model::Model;
use crate::encoder::Device;

/// Program, libraries and data set.
const BASE_BYTES: u64 = 64 << 20;
/// While ONNX Runtime packs the matrices for the CPU, the weights are in memory 1.9 times
/// (`docs/models.md`, "True sizes"); files may hold a head that is not loaded.
const LOADING: f64 = 1.8;
/// Batches of rows that are converted, waiting or written at the same time, at least.
const ROWS_IN_FLIGHT: u64 = 2;

/// An error if the job's limit is below what loading the encoder takes, whose weights have
/// `weight_bytes` in memory.
///
/// # Errors
/// [`ExtractError::Memory`], with what would fit.
pub fn check_weights(model: &Model, weight_bytes: u64) -> Result<(), ExtractError> {
    let limit = shared::resources::memory_limit();
    let (Some(limit), Some(needed)) = (limit, loading_bytes(model, weight_bytes)) else {
        return Ok(());
    };
    if BASE_BYTES + needed <= limit {
        return Ok(());
    }
    let least = format_bytes(BASE_BYTES + needed);
    let mut hints = vec![format!(
        "ask for more (Slurm: --mem; shell: ulimit -v), {least} at least"
    )];
    if let Some(fitting) = last_fitting_layer(model, limit.saturating_sub(BASE_BYTES)) {
        hints.push(format!(
            "layers above the last one kept are not loaded: --layers with a list that ends at {fitting} would fit"
        ));
    }
    Err(ExtractError::Memory {
        what: "loading the encoder".to_owned(),
        needed: BASE_BYTES + needed,
        limit,
        hints,
    })
}

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
    // What loading took beyond the weights themselves is free again.
    let weights = loading_bytes(&extraction.model, weight_bytes)
        .map_or(0, |loading| scaled(loading, 1.0 / LOADING));
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

/// Bytes that loading the weights takes at least; none where they go to a GPU, or are loaded
/// already.
fn loading_bytes(model: &Model, weight_bytes: u64) -> Option<u64> {
    let on_cpu = match model.options.device {
        Device::Cpu => true,
        Device::Auto => !shared::gpu::has_driver(),
        Device::Cuda(_) => false,
    };
    if !on_cpu || model.files.onnx_file().is_some() {
        return None;
    }
    Some(scaled(weight_bytes, LOADING))
}

/// The highest layer below the last kept one up to which the encoder is loaded within `room` bytes.
fn last_fitting_layer(model: &Model, room: u64) -> Option<usize> {
    let spec = model.spec.as_ref()?;
    let bytes = |layer: usize| spec.weights(layer) * model.options.dtype.bytes() as u64;
    (1..model.last_layer())
        .rev()
        .find(|&layer| scaled(bytes(layer), LOADING) <= room)
}

/// Bytes that a token of a batch takes at least: every kept layer in float32, and its rows.
fn token_bytes(extraction: &Extraction) -> u64 {
    let values = (extraction.model.layers.len() * extraction.model.hidden) as u64;
    values.saturating_mul(4) + ROWS_IN_FLIGHT * extraction.row_bytes() as u64
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
        assert_eq!(error.hints(), ["--max-batch-tokens 4915 would fit"]);
        assert!(batches_fit(4915, row, gigabyte, 2 * gigabyte).is_ok());
        assert!(batches_fit(4916, row, gigabyte, 2 * gigabyte).is_err());
        let error = batches_fit(512, row, gigabyte, gigabyte).unwrap_err();
        assert!(error.hints()[0].contains("ask for more"), "{error:?}");
    }
}
