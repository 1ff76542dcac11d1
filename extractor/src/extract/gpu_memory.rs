//! How large batches are on a GPU, and how many encoders take turns there, from the memory that is
//! free.

use super::error::ExtractError;
use crate::batch::{CPU_TOKENS, GPU_TOKENS};
use crate::encoder::Footprint;

/// Smallest batch that is tried where memory is short.
pub(super) const LEAST_TOKENS: usize = 256;
/// Batches of this size keep most GPUs busy: a second encoder is not worth smaller ones.
const WORTHWHILE_TOKENS: usize = 4096;
/// Share of the free memory that batches may take, in per cent; libraries need some of their own,
/// and estimates are that.
const SHARE: u64 = 80;
/// Batches of rows that wait for the disk or are written, beside those that encoders fill.
const ROWS_WAITING: usize = 4;

/// What there is room for.
#[derive(Debug, Clone, Copy)]
pub(super) struct GpuMemory {
    /// Bytes free on the GPU with one encoder in it, if it tells.
    pub(super) free: Option<u64>,
    /// Bytes that another encoder takes.
    pub(super) weights: u64,
    /// Bytes that the job has beside the GPU, if known.
    pub(super) host: Option<u64>,
    /// Number of GPUs that are used.
    pub(super) gpus: usize,
    /// Bytes of a token in the store.
    pub(super) row_bytes: u64,
    /// Positions of the widest row of a batch.
    pub(super) width: usize,
    /// What a batch takes.
    pub(super) footprint: Footprint,
}

/// How encoders are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// Most tokens of a batch.
    pub(super) tokens: usize,
    /// Encoders that take turns on each GPU.
    pub(super) encoders: usize,
}

impl GpuMemory {
    /// Two encoders if batches stay large enough, else one; and the largest batches that go with
    /// it.
    pub(super) fn choose(&self, tokens: Option<usize>, encoders: Option<usize>) -> Choice {
        let encoders = encoders.unwrap_or_else(|| {
            let enough = tokens.unwrap_or_else(|| WORTHWHILE_TOKENS.min(self.tokens(1)));
            if self.free.is_some() && self.fitting(2) >= enough {
                2
            } else {
                1
            }
        });
        Choice {
            tokens: tokens.unwrap_or_else(|| self.tokens(encoders)),
            encoders,
        }
    }

    /// The size of batches where so many encoders take turns: a power of two, so that GPUs that are
    /// nearly alike agree.
    fn tokens(&self, encoders: usize) -> usize {
        let most = self
            .footprint
            .countable_positions(self.width)
            .clamp(LEAST_TOKENS, GPU_TOKENS);
        let fitting = self.fitting(encoders).clamp(LEAST_TOKENS, most);
        1 << fitting.ilog2()
    }

    /// Tokens of a batch for which there is room.
    fn fitting(&self, encoders: usize) -> usize {
        let count = encoders as u64;
        let on_gpu = self.free.map_or(CPU_TOKENS, |free| {
            let batches = free.saturating_sub(self.weights * (count - 1)) / 100 * SHARE;
            self.footprint.positions(batches / count, self.width)
        });
        let rows = self.row_bytes.max(1) * (encoders * self.gpus + ROWS_WAITING) as u64;
        let on_host = self.host.map_or(usize::MAX, |host| {
            usize::try_from(host / 2 / rows).unwrap_or(usize::MAX)
        });
        on_gpu.min(on_host)
    }

    /// Refuses batches of `tokens` whose tensors have more elements than a GPU counts.
    pub(super) fn check_countable(
        &self,
        tokens: Option<usize>,
        from_store: bool,
    ) -> Result<(), ExtractError> {
        let most = self.footprint.countable_positions(self.width);
        let Some(tokens) = tokens.filter(|&tokens| tokens > most) else {
            return Ok(());
        };
        let hint = if from_store {
            "the store was begun with that number: begin anew with --overwrite".to_owned()
        } else {
            format!("--max-batch-tokens {most} is the most for this encoder")
        };
        Err(ExtractError::TooManyElements {
            tokens,
            layers: self.footprint.layers,
            hidden: self.footprint.hidden,
            hint,
        })
    }
}
