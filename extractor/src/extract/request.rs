//! What is asked for, and with which model and data set: all that is known before the data set is tokenized.

use std::path::PathBuf;

use cache::{ByteLimits, Codec, LongPolicy, StoreDtype};
use shared::dataset::Dataset;
use shared::device::DeviceChoice;

use super::error::ExtractError;
use super::model::Model;
use crate::batch::{GPU_PART_BATCHES, GPU_PART_BYTES};
use crate::encoder::{LayerSelection, Provider, RowsOn};
use crate::graph::ComputeDtype;
use crate::plan::Tokens;

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

/// A model, a data set and what is to become of them.
pub struct Extraction {
    /// The encoder and its tokenizer.
    pub model: Model,
    /// The labelled text; its sentences are gone once [`Extraction::tokens`] was called.
    pub dataset: Dataset,
    /// How the store is written.
    pub format: StoreFormat,
    /// Most tokens of a batch, if it was said.
    pub max_batch_tokens: Option<usize>,
    /// Where the store goes; none when no root was given.
    pub store: Option<PathBuf>,
}

impl Extraction {
    /// Brings model and data set together.
    #[must_use]
    pub fn new(model: Model, dataset: Dataset, request: &Request) -> Self {
        let store = request
            .out
            .as_ref()
            .map(|root| cache::store_path(root, &model.files.id, &dataset.id));
        Self {
            model,
            dataset,
            format: request.format,
            max_batch_tokens: request.max_batch_tokens,
            store,
        }
    }

    /// Bytes of all kept layers of one token in the store.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.model.layers.len() * self.format.dtype.vector_bytes(self.model.hidden)
    }

    /// Most tokens of a file.
    #[must_use]
    pub fn file_tokens(&self) -> u64 {
        self.format
            .byte_limits()
            .units(self.row_bytes())
            .file_tokens
    }

    /// Files of a part where batches have at most `batch_tokens` tokens: on a GPU parts are larger, unless their size
    /// was said.
    #[must_use]
    pub fn part_files(&self, provider: Provider, batch_tokens: usize) -> u64 {
        let mut bytes = self.format.byte_limits();
        if provider == Provider::Cuda && self.format.part_bytes.is_none() {
            let rows = GPU_PART_BATCHES * batch_tokens as u64 * self.row_bytes() as u64;
            bytes.part = rows.clamp(bytes.part, GPU_PART_BYTES);
        }
        bytes.units(self.row_bytes()).part_files
    }

    /// Tokenizes the data set, whose sentences are moved into the result.
    ///
    /// # Errors
    /// [`ExtractError::Plan`], naming file, line and sentence.
    pub fn tokens(&mut self) -> Result<Tokens, ExtractError> {
        let dataset = Dataset {
            splits: std::mem::take(&mut self.dataset.splits),
            ..self.dataset.clone()
        };
        let Model {
            tokenizer, limits, ..
        } = &self.model;
        Ok(Tokens::new(dataset, tokenizer, *limits)?)
    }
}
