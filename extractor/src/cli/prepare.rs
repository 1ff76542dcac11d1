//! From options to what an extraction needs, checked, with no weight read but for its digest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cache::{ByteLimits, DatasetIdentity, FORMAT_VERSION, Manifest, ModelIdentity};
use hub::model::Need;
use shared::datasets::Dataset;
use shared::signals::StopFlag;
use shared::terminal::Terminal;

use super::error::CliError;
use super::options::InputOptions;
use super::source;
use crate::batch::{CPU_TOKENS, GPU_PART_BATCHES, GPU_PART_BYTES};
use crate::encoder::{Device, Encoder, EncoderOptions, runtime};
use crate::family::{Config, EncoderSpec};
use crate::model::ModelFiles;
use crate::plan::{Limits, Tokens};
use crate::tokenizer::Tokenizer;

/// What a store needs to know of an encoder before it is loaded.
pub(super) struct Shape {
    pub(super) family: String,
    /// Hidden states, the embedding output included.
    pub(super) states: usize,
    pub(super) hidden: usize,
    pub(super) max_positions: usize,
    /// The encoder itself, where only loading it tells the rest.
    loaded: Option<Encoder>,
}

impl Shape {
    /// From `config.json`; an exported graph has to be loaded, as only its outputs tell.
    fn of(files: &ModelFiles, options: &EncoderOptions) -> Result<Self, CliError> {
        if files.onnx_file().is_none() {
            let spec = EncoderSpec::from_config(&Config::read(&files.config)?)?;
            return Ok(Self {
                family: spec.family.to_owned(),
                states: spec.states(),
                hidden: spec.hidden,
                max_positions: spec.max_positions(),
                loaded: None,
            });
        }
        let encoder = Encoder::load(files, options)?;
        Ok(Self {
            family: encoder.family().to_owned(),
            states: encoder.layers_in_model(),
            hidden: encoder.hidden(),
            max_positions: encoder.max_positions(),
            loaded: Some(encoder),
        })
    }
}

/// Everything known before sentences are cut into tokens.
pub(super) struct Prepared {
    pub(super) files: ModelFiles,
    pub(super) shape: Shape,
    pub(super) tokenizer: Tokenizer,
    pub(super) dataset: Dataset,
    pub(super) limits: Limits,
    pub(super) encoder: EncoderOptions,
    /// GPUs beside that of `encoder` which take a share of the batches.
    pub(super) more_gpus: Vec<Device>,
    /// Most tokens of a batch, if it was said.
    pub(super) max_batch_tokens: Option<usize>,
    /// Where the store goes; none when no root was given.
    pub(super) store: Option<PathBuf>,
    layers: Vec<usize>,
    store_dtype: cache::StoreDtype,
    codec: cache::Codec,
    bytes: ByteLimits,
    /// Bytes of a part, if they were said.
    pub(super) part_bytes: Option<u64>,
}

impl Prepared {
    /// Looks at model, tokenizer and data set.
    pub(super) fn new(
        options: &InputOptions,
        need: Need,
        terminal: &Terminal,
        stop: &StopFlag,
    ) -> Result<Self, CliError> {
        if options.max_batch_tokens == Some(0) {
            return Err(CliError::usage(
                "--max-batch-tokens 0 leaves no room for a token",
                "give at least 1",
            ));
        }
        let files = source::model(options, need, terminal, stop)?;
        let threads = options.threads.unwrap_or_else(shared::resources::threads);
        let (device, more_gpus) = runtime::devices(&options.device)?;
        let encoder = EncoderOptions {
            device,
            threads,
            layers: options.layers.clone(),
            dtype: options.dtype,
            rows: options.rows.on(options.store_dtype),
            // So that nodes without a kernel for the GPU show.
            profile: match device {
                Device::Cpu => false,
                Device::Cuda(_) => true,
                Device::Auto => shared::gpu::has_driver(),
            },
        };
        let shape = Shape::of(&files, &encoder)?;
        let layers = options.layers.resolve(shape.states)?;
        let tokenizer = Tokenizer::in_folder(&files.folder)?;
        let limits = Limits::new(
            options.max_length,
            options.long,
            shape.max_positions,
            &tokenizer,
        )?;
        let dataset = source::dataset(&options.data, terminal, stop)?;
        terminal.status(format!(
            "model      {} ({}, {} of {} layers, hidden size {})",
            files.id,
            shape.family,
            layers.len(),
            shape.states,
            shape.hidden
        ));
        for note in tokenizer.notes() {
            terminal.status(format!("tokenizer  {note}"));
        }
        let splits: Vec<String> = dataset
            .splits
            .iter()
            .map(|split| format!("{} {}", split.name, split.sentences.len()))
            .collect();
        let scheme = dataset
            .scheme
            .map_or_else(String::new, |scheme| format!(", {scheme}"));
        terminal.status(format!(
            "data set   {} ({}{scheme}, {} classes; sentences: {})",
            dataset.id,
            dataset.task,
            dataset.classes.len(),
            splits.join(", ")
        ));
        for note in &dataset.notes {
            terminal.status(format!("           {note}"));
        }
        let store = options
            .out
            .as_ref()
            .map(|root| cache::store_path(root, &files.id, &dataset.id));
        let max_batch_tokens = options.max_batch_tokens;
        let store_dtype = options.store_dtype;
        let bytes = ByteLimits {
            chunk: options.chunk_bytes,
            file: options.file_bytes,
            part: options
                .part_bytes
                .unwrap_or_else(|| ByteLimits::default().part),
        };
        Ok(Self {
            files,
            shape,
            tokenizer,
            dataset,
            limits,
            encoder,
            more_gpus,
            max_batch_tokens,
            store,
            layers,
            store_dtype,
            codec: options.compression,
            bytes,
            part_bytes: options.part_bytes,
        })
    }

    /// Files of a part where batches have at most `batch_tokens` tokens: on a GPU parts are larger, unless their size was said.
    pub(super) fn part_files(&self, on_gpu: bool, batch_tokens: usize) -> u64 {
        let mut bytes = self.bytes;
        if on_gpu && self.part_bytes.is_none() {
            let rows = GPU_PART_BATCHES * batch_tokens as u64 * self.row_bytes() as u64;
            bytes.part = rows.clamp(bytes.part, GPU_PART_BYTES);
        }
        bytes.units(self.row_bytes()).part_files
    }

    /// The manifest of the store; the sizes of the splits, the count of long sentences and where the encoder really runs are still missing.
    pub(super) fn manifest(&self, weights_digest: String) -> Result<Manifest, CliError> {
        let units = self.bytes.units(self.row_bytes());
        Ok(Manifest {
            format_version: FORMAT_VERSION,
            model: ModelIdentity {
                id: self.files.id.clone(),
                revision: self.files.revision.clone(),
                weights_digest,
                family: self.shape.family.clone(),
                layers_in_model: self.shape.states,
            },
            tokenizer_digest: self.tokenizer.digest().to_owned(),
            dataset: DatasetIdentity {
                id: self.dataset.id.clone(),
                digest: self.dataset.digest(),
                task: self.dataset.task,
                scheme: self.dataset.scheme,
            },
            splits: BTreeMap::new(),
            max_length: self.limits.max_length,
            long: self.limits.long,
            long_sentences: 0,
            layers: self.layers.clone(),
            hidden: self.shape.hidden,
            compute_dtype: self.encoder.dtype.to_string(),
            max_batch_tokens: self.batch_tokens(),
            store_dtype: self.store_dtype,
            codec: self.codec,
            provider: match self.encoder.device {
                Device::Cuda(_) => "cuda".to_owned(),
                Device::Cpu | Device::Auto => "cpu".to_owned(),
            },
            chunk_tokens: units.chunk_tokens,
            file_tokens: units.file_tokens,
            part_files: units.part_files,
            versions: versions()?,
        })
    }

    /// Most tokens of a batch: what was said, else what a CPU does best with.
    pub(super) fn batch_tokens(&self) -> usize {
        self.max_batch_tokens.unwrap_or(CPU_TOKENS)
    }

    /// The encoder, loaded now if it is not yet.
    pub(super) fn load(&mut self) -> Result<Encoder, CliError> {
        match self.shape.loaded.take() {
            Some(encoder) => Ok(encoder),
            None => Ok(Encoder::load(&self.files, &self.encoder)?),
        }
    }

    /// Bytes of all kept layers of one token.
    pub(super) fn row_bytes(&self) -> usize {
        self.layers.len() * self.store_dtype.vector_bytes(self.shape.hidden)
    }

    /// Number of kept layers.
    pub(super) fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Number of the last kept layer: those above it are not computed.
    pub(super) fn last_layer(&self) -> usize {
        self.layers.last().copied().unwrap_or(0)
    }

    /// Cuts the data set into tokens. The data set goes into them.
    pub(super) fn tokens(&mut self, terminal: &Terminal) -> Result<Tokens, CliError> {
        let dataset = Dataset {
            splits: std::mem::take(&mut self.dataset.splits),
            ..self.dataset.clone()
        };
        let tokens = Tokens::new(dataset, &self.tokenizer, self.limits)?;
        for line in tokens.counts.lines() {
            terminal.status(line);
        }
        for word in &tokens.counts.words_without_sub_word {
            let label = word.label.as_deref().unwrap_or("-");
            let (split, sentence, text) = (word.split, word.sentence + 1, &word.text);
            terminal.detail(format!(
                "           no sub-word: {split}, sentence {sentence}, {text:?} ({label})"
            ));
        }
        Ok(tokens)
    }
}

/// Of everything that rounding may depend on.
fn versions() -> Result<BTreeMap<String, String>, CliError> {
    let library = shared::native::onnxruntime()?;
    let onnxruntime =
        shared::native::onnxruntime_version(&library).unwrap_or_else(|| "unknown".to_owned());
    let extractor = env!("CARGO_PKG_VERSION").to_owned();
    Ok([("extractor", extractor), ("onnxruntime", onnxruntime)]
        .map(|(name, version)| (name.to_owned(), version))
        .into())
}
