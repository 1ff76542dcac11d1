//! The encoder of an extraction: what is known of it before a weight is read, and loading it.

use cache::SplitTables;
use shared::device::DeviceChoice;

use super::error::ExtractError;
use super::request::Request;
use crate::encoder::{Device, Encoder, EncoderError, EncoderOptions, runtime};
use crate::family::EncoderSpec;
use crate::model::ModelFiles;
use crate::plan::{Limits, PlanError};
use crate::tokenizer::Tokenizer;

/// An encoder with its tokenizer, not loaded yet.
pub struct Model {
    /// Its files.
    pub files: ModelFiles,
    /// Its `model_type`.
    pub family: String,
    /// Number of hidden states, the embedding output included.
    pub states: usize,
    /// Size of a hidden state.
    pub hidden: usize,
    /// Numbers of the kept layers, ascending.
    pub layers: Vec<usize>,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// How long sequences may be.
    pub limits: Limits,
    /// Longest sequence that the encoder has positions for, in tokens.
    pub max_positions: usize,
    /// How it is loaded.
    pub options: EncoderOptions,
    /// GPUs beside that of `options` which take a share of the batches.
    pub other_gpus: Vec<Device>,
    /// Its parts; none of an exported graph.
    pub spec: Option<EncoderSpec>,
    /// The encoder itself, where only loading it tells its sizes.
    loaded: Option<Encoder>,
}

impl Model {
    /// Looks at configuration and tokenizer. An exported graph has to be loaded, as only its
    /// outputs tell its sizes.
    ///
    /// # Errors
    /// When one of them cannot be used, or a setting of `request` does not go with them or with
    /// this machine.
    pub fn open(files: ModelFiles, request: &Request) -> Result<Self, ExtractError> {
        let (options, other_gpus) = encoder_options(request)?;
        let (family, states, hidden, max_positions, spec, loaded) = if files.onnx_file().is_some() {
            let encoder = Encoder::load(&files, &options)?;
            let family = encoder.family().to_owned();
            let (states, hidden) = (encoder.layers_in_model(), encoder.hidden());
            let max_positions = encoder.max_positions();
            (family, states, hidden, max_positions, None, Some(encoder))
        } else {
            let spec = files.spec()?;
            let family = spec.family.to_owned();
            let (states, hidden) = (spec.states(), spec.hidden);
            let max_positions = spec.max_positions();
            (family, states, hidden, max_positions, Some(spec), None)
        };
        let layers = options.layers.resolve(states)?;
        let tokenizer = Tokenizer::in_folder(&files.folder)?;
        let limits = Limits::new(request.max_length, request.long, max_positions, &tokenizer)?;
        Ok(Self {
            files,
            family,
            states,
            hidden,
            layers,
            tokenizer,
            limits,
            max_positions,
            options,
            other_gpus,
            spec,
            loaded,
        })
    }

    /// Bytes that the weights up to the last kept layer take in memory, once, in the number format
    /// that is computed in.
    ///
    /// # Errors
    /// When the file of an exported graph is not there.
    pub fn weight_bytes(&self) -> Result<u64, ExtractError> {
        match &self.spec {
            Some(spec) => Ok(spec.weights(self.last_layer()) * self.options.dtype.bytes() as u64),
            None => Ok(self.files.weight_bytes()?),
        }
    }

    /// Whether the encoder tells the texts of a pair apart by types that the tokenizer gives them.
    ///
    /// # Errors
    /// When the types are not those of two texts.
    pub fn has_token_types(&self) -> Result<bool, PlanError> {
        let types = self.spec.as_ref().map(|spec| spec.embedding.token_types);
        // What an exported graph does with them is not known.
        let any = types.is_none_or(|types| types.is_some_and(|types| types.rows > 1));
        Ok(any && self.tokenizer.types_second_text()?)
    }

    /// Number of the last kept layer: those above it are not computed.
    #[must_use]
    pub fn last_layer(&self) -> usize {
        self.layers.last().copied().unwrap_or(0)
    }

    /// The encoder, loaded now if it is not yet.
    ///
    /// # Errors
    /// As [`Encoder::load`].
    pub fn load(&mut self) -> Result<Encoder, ExtractError> {
        match self.loaded.take() {
            Some(encoder) => Ok(encoder),
            None => Ok(Encoder::load(&self.files, &self.options)?),
        }
    }

    /// Makes sure that `encoder` knows every token of `tables`.
    ///
    /// # Errors
    /// [`ExtractError::Vocabulary`].
    pub fn check_vocabulary(
        &self,
        encoder: &Encoder,
        tables: &[SplitTables],
    ) -> Result<(), ExtractError> {
        let ids = tables
            .iter()
            .flat_map(|table| table.input_ids.iter().copied());
        let vocabulary = encoder.vocabulary();
        match ids.max().filter(|&id| id as usize >= vocabulary) {
            Some(id) => Err(ExtractError::Vocabulary {
                folder: self.files.folder.clone(),
                id,
                vocabulary,
            }),
            None => Ok(()),
        }
    }

    /// One more encoder of the same kind.
    pub(super) fn load_another(&self, device: Device) -> Result<Encoder, EncoderError> {
        let options = EncoderOptions {
            device,
            profile: false,
            ..self.options.clone()
        };
        Encoder::load(&self.files, &options)
    }
}

/// How the first encoder is loaded, and which GPUs are used beside its own.
fn encoder_options(request: &Request) -> Result<(EncoderOptions, Vec<Device>), ExtractError> {
    let (device, other_gpus) = runtime::devices(&request.device)?;
    let options = EncoderOptions {
        device,
        threads: request.threads.unwrap_or_else(shared::resources::threads),
        layers: request.layers.clone(),
        dtype: request.compute_dtype,
        rows: request.rows,
        token_types: false,
        // So that nodes without a kernel for the GPU show.
        profile: match request.device {
            DeviceChoice::Cpu => false,
            DeviceChoice::Gpus(_) | DeviceChoice::AllGpus => true,
            DeviceChoice::Auto => shared::gpu::has_driver(),
        },
    };
    Ok((options, other_gpus))
}
