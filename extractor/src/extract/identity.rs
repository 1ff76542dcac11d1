//! What identifies a store: the manifest, made in one piece.

use std::collections::BTreeMap;

use cache::{Codec, StoreDtype};
use cache::{DatasetIdentity, FORMAT_VERSION, LongPolicy, Manifest, ModelIdentity, SplitSize};
use shared::datasets::SplitName;

use super::error::ExtractError;
use super::extraction::Extraction;
use crate::encoder::Provider;
use crate::plan::Tokens;

/// All of a manifest that follows from model, data set and settings.
#[derive(Debug, Clone)]
pub struct Identity {
    model: ModelIdentity,
    tokenizer_digest: String,
    dataset: DatasetIdentity,
    max_length: usize,
    long: LongPolicy,
    layers: Vec<usize>,
    hidden: usize,
    compute_dtype: String,
    store_dtype: StoreDtype,
    codec: Codec,
    chunk_tokens: u64,
    file_tokens: u64,
    versions: BTreeMap<String, String>,
}

/// The rest of a manifest: what turns out when the data set is tokenized and the encoders are
/// loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computed {
    /// Size of each split.
    pub splits: BTreeMap<SplitName, SplitSize>,
    /// Sentences that were longer than a sequence may be.
    pub long_sentences: u64,
    /// Where the encoder runs, `cpu` or `cuda`.
    pub provider: String,
    /// Most tokens of a batch.
    pub max_batch_tokens: usize,
    /// Files of a part.
    pub part_files: u64,
}

impl Computed {
    /// What an extraction of `tokens` on `provider` gives. A store that was begun keeps its
    /// `part_files`.
    #[must_use]
    pub fn new(
        tokens: &Tokens,
        provider: Provider,
        max_batch_tokens: usize,
        part_files: u64,
    ) -> Self {
        let counts = &tokens.counts;
        Self {
            splits: tokens.sizes.clone(),
            long_sentences: counts.split_sentences + counts.truncated_sentences,
            provider: provider.to_string(),
            max_batch_tokens,
            part_files,
        }
    }
}

impl Identity {
    /// The identity of what `extraction` stores; `weights_digest` is that of the model's files.
    ///
    /// # Errors
    /// When ONNX Runtime, whose version is part of it, is not found.
    pub fn new(extraction: &Extraction, weights_digest: String) -> Result<Self, ExtractError> {
        let Extraction { model, format, .. } = extraction;
        let units = format.byte_limits().units(extraction.row_bytes());
        Ok(Self {
            model: ModelIdentity {
                id: model.files.id.clone(),
                revision: model.files.revision.clone(),
                weights_digest,
                family: model.family.clone(),
                layers_in_model: model.states,
                random_seed: model.files.random_seed,
            },
            tokenizer_digest: model.tokenizer.digest().to_owned(),
            dataset: dataset_identity(extraction),
            max_length: model.limits.max_length,
            long: model.limits.long,
            layers: model.layers.clone(),
            hidden: model.hidden,
            compute_dtype: model.options.dtype.to_string(),
            store_dtype: format.dtype,
            codec: format.codec,
            chunk_tokens: units.chunk_tokens,
            file_tokens: units.file_tokens,
            versions: versions()?,
        })
    }

    /// The same in another number format of the same size.
    #[must_use]
    pub fn stored_as(self, store_dtype: StoreDtype) -> Self {
        Self {
            store_dtype,
            ..self
        }
    }

    /// The manifest of a store of this identity.
    #[must_use]
    pub fn manifest(&self, computed: Computed) -> Manifest {
        let identity = self.clone();
        Manifest {
            format_version: FORMAT_VERSION,
            model: identity.model,
            tokenizer_digest: identity.tokenizer_digest,
            dataset: identity.dataset,
            splits: computed.splits,
            max_length: identity.max_length,
            long: identity.long,
            long_sentences: computed.long_sentences,
            layers: identity.layers,
            hidden: identity.hidden,
            compute_dtype: identity.compute_dtype,
            max_batch_tokens: computed.max_batch_tokens,
            store_dtype: identity.store_dtype,
            codec: identity.codec,
            provider: computed.provider,
            chunk_tokens: identity.chunk_tokens,
            file_tokens: identity.file_tokens,
            part_files: computed.part_files,
            versions: identity.versions,
            converted_from: None,
        }
    }
}

/// What identifies the data set of an extraction.
#[must_use]
pub fn dataset_identity(extraction: &Extraction) -> DatasetIdentity {
    let dataset = &extraction.dataset;
    DatasetIdentity {
        id: dataset.id.clone(),
        digest: dataset.digest(),
        task: dataset.task,
        scheme: dataset.scheme,
    }
}

/// Versions of everything that rounding may depend on.
fn versions() -> Result<BTreeMap<String, String>, ExtractError> {
    let library = shared::native::onnxruntime()?;
    let onnxruntime =
        shared::native::onnxruntime_version(&library).unwrap_or_else(|| "unknown".to_owned());
    let extractor = env!("CARGO_PKG_VERSION").to_owned();
    Ok([("extractor", extractor), ("onnxruntime", onnxruntime)]
        .map(|(name, version)| (name.to_owned(), version))
        .into())
}
