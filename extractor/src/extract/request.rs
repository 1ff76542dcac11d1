//! What is asked for.

use std::path::PathBuf;

use cache::{ByteLimits, Codec, LongPolicy, StoreDtype};
use shared::device::DeviceChoice;

use crate::encoder::{LayerSelection, RowsOn};
use crate::graph::ComputeDtype;

/// The settings of an extraction, as a user gives them.
#[derive(Debug, Clone)]
pub struct Request {
    /// Root folder of the stores, if a store is to be written.
    pub out: Option<PathBuf>,
    /// Hidden states to keep.
    pub layers: LayerSelection,
    /// Number format of weights and arithmetic.
    pub compute_dtype: ComputeDtype,
    /// Where the encoder runs.
    pub device: DeviceChoice,
    /// Threads of the encoder; the job's share of the machine by default.
    pub threads: Option<usize>,
    /// Where rows of the store are made.
    pub rows: RowsOn,
    /// Most tokens of a sequence, special tokens included.
    pub max_length: Option<usize>,
    /// What happens to longer sentences.
    pub long: LongPolicy,
    /// Most tokens of a batch, padding included.
    pub max_batch_tokens: Option<usize>,
    /// How the store is written.
    pub format: StoreFormat,
}

/// Number format, compression and sizes of a store's files.
#[derive(Debug, Clone, Copy)]
pub struct StoreFormat {
    /// Number format of the hidden states.
    pub dtype: StoreDtype,
    /// Compression of chunks.
    pub codec: Codec,
    /// Most bytes of an inner chunk.
    pub chunk_bytes: u64,
    /// Most bytes of a file.
    pub file_bytes: u64,
    /// Most bytes of a part; what suits the device by default.
    pub part_bytes: Option<u64>,
}

impl StoreFormat {
    /// Most bytes of chunk, file and part.
    pub(super) fn byte_limits(&self) -> ByteLimits {
        ByteLimits {
            chunk: self.chunk_bytes,
            file: self.file_bytes,
            part: self
                .part_bytes
                .unwrap_or_else(|| ByteLimits::default().part),
        }
    }
}
