//! A model, a data set and what is to become of them: all that is known before the data set is
//! tokenized.

use std::path::PathBuf;

use cache::StoreDtype;
use shared::datasets::Dataset;

use super::error::ExtractError;
use super::model::Model;
use super::request::{Request, StoreFormat};
use crate::batch::{GPU_PART_BATCHES, GPU_PART_BYTES};
use crate::encoder::{Provider, RowsOn};
use crate::plan::Tokens;

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
            .map(|root| cache::store_path(root, &model.files.name(), &dataset.id));
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

    /// Files of a part where batches have at most `batch_tokens` tokens: on a GPU parts are larger,
    /// unless their size was said.
    #[must_use]
    pub fn part_files(&self, provider: Provider, batch_tokens: usize) -> u64 {
        let mut bytes = self.format.byte_limits();
        if provider == Provider::Cuda && self.format.part_bytes.is_none() {
            let rows = GPU_PART_BATCHES * batch_tokens as u64 * self.row_bytes() as u64;
            bytes.part = rows.clamp(bytes.part, GPU_PART_BYTES);
        }
        bytes.units(self.row_bytes()).part_files
    }

    /// Changes the number format of the store to `dtype`, also that of rows which a graph makes.
    pub fn store_as(&mut self, dtype: StoreDtype) {
        self.format.dtype = dtype;
        let rows = &mut self.model.options.rows;
        *rows = match *rows {
            RowsOn::Host => RowsOn::Host,
            RowsOn::Gpu(_) => RowsOn::Gpu(dtype),
            RowsOn::Graph(_) => RowsOn::Graph(dtype),
        };
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
        if dataset.has_pairs() {
            self.model.options.token_types = self.model.has_token_types()?;
        }
        let Model {
            tokenizer, limits, ..
        } = &self.model;
        Ok(Tokens::new(dataset, tokenizer, *limits)?)
    }
}
