//! Runs a frozen encoder: token ids in, the hidden states of every selected layer out. The rest of the crate sees this
//! type alone, so that a graph built here and one that somebody exported, CPU and GPU, look the same to it.

mod batch;
mod block;
pub(crate) mod cuda;
mod error;
mod footprint;
mod layers;
mod onnx_file;
mod options;
mod placement;
mod provider;
mod rows;
pub(crate) mod runtime;

use std::path::Path;

use ort::session::Session;
use ort::session::builder::SessionBuilder;

use self::batch::Feeds;
pub use self::batch::{Batch, HiddenStates};
pub use self::error::EncoderError;
pub use self::footprint::Footprint;
pub use self::layers::{LayerSelection, LayerSelectionError};
pub use self::onnx_file::output_name;
pub use self::options::{Device, EncoderOptions, RowsOn};
pub use self::provider::Provider;
pub use self::rows::GraphRows;
use self::rows::RowMaker;
use self::runtime::Target;
use crate::checkpoint::Checkpoint;
use crate::family::{Config, EncoderSpec};
use crate::graph;
use crate::model::ModelFiles;

/// A loaded encoder, ready to run. It holds the weights once, in ONNX Runtime's memory.
pub struct Encoder {
    session: Session,
    feeds: Feeds,
    shape: Shape,
    /// Names of the selected layers' outputs.
    outputs: Vec<String>,
    layers: Vec<usize>,
    target: Target,
    /// Present if the graph makes rows of a store.
    rows: Option<RowMaker>,
    /// Whether runs are being profiled.
    profiled: bool,
    notes: Vec<String>,
}

/// What callers need to know of a model besides its weights.
struct Shape {
    family: String,
    /// Hidden states the model has: one of the embeddings and one a transformer layer.
    states: usize,
    hidden: usize,
    heads: usize,
    intermediate: usize,
    vocabulary: usize,
    max_positions: usize,
}

impl Encoder {
    /// Reads configuration and weights, builds the graph and hands it to ONNX Runtime. Layers
    /// above the last selected one are neither read nor computed.
    ///
    /// # Errors
    /// When the configuration or the weights cannot be used, when a selected layer does not
    /// exist, or when ONNX Runtime or the device is not available.
    pub fn load(files: &ModelFiles, options: &EncoderOptions) -> Result<Self, EncoderError> {
        match files.onnx_file() {
            Some(file) => onnx_file::load(files, file, options),
            None => Self::from_checkpoint(files, options),
        }
    }

    fn from_checkpoint(files: &ModelFiles, options: &EncoderOptions) -> Result<Self, EncoderError> {
        let spec = EncoderSpec::from_config(&Config::read(&files.config)?)?;
        let layers = options.layers.resolve(spec.states())?;
        Self::from_spec(&spec, layers, options, || {
            Ok(Checkpoint::open(&files.weights)?)
        })
    }

    /// An encoder of the model's sizes, but with at most `layers` layers, a vocabulary of one and no weights: to
    /// measure how long a layer takes. Nothing but `config.json` is read.
    ///
    /// # Errors
    /// When the configuration cannot be used, or when ONNX Runtime or the device is not available.
    pub fn blank(
        config: &Path,
        layers: usize,
        options: &EncoderOptions,
    ) -> Result<Self, EncoderError> {
        let mut spec = EncoderSpec::from_config(&Config::read(config)?)?;
        spec.layers = spec.layers.min(layers);
        spec.embedding.vocabulary = 1;
        let states = (0..spec.states()).collect();
        Self::from_spec(&spec, states, options, || Ok(Checkpoint::blank()))
    }

    /// The graph of `spec` up to the last of `layers`.
    fn from_spec(
        spec: &EncoderSpec,
        layers: Vec<usize>,
        options: &EncoderOptions,
        checkpoint: impl Fn() -> Result<Checkpoint, EncoderError>,
    ) -> Result<Self, EncoderError> {
        let (session, target, notes) = runtime::on_device(options, |target, builder| {
            Self::session(spec, &layers, options, &checkpoint, (target, builder))
        })?;
        Ok(Self::for_session(
            session,
            spec,
            layers,
            options,
            (target, notes),
        ))
    }

    /// A session of the graph on `target`.
    fn session(
        spec: &EncoderSpec,
        layers: &[usize],
        options: &EncoderOptions,
        checkpoint: impl Fn() -> Result<Checkpoint, EncoderError>,
        (target, builder): (Target, SessionBuilder),
    ) -> Result<Session, EncoderError> {
        // The files are unmapped before the session lays the weights out anew.
        let rows = options.rows.format(target != Target::Cpu);
        let model = graph::build(spec, &checkpoint()?, options.dtype, layers, rows)?;
        model
            .into_session(&builder)
            .map_err(|source| EncoderError::Session {
                device: target.to_string(),
                source,
            })
    }

    /// The encoder around a session that [`Self::session`] made.
    fn for_session(
        session: Session,
        spec: &EncoderSpec,
        layers: Vec<usize>,
        options: &EncoderOptions,
        (target, notes): (Target, Vec<String>),
    ) -> Self {
        let rows = options
            .rows
            .format(target != Target::Cpu)
            .map(|format| RowMaker::new(&session, target, format));
        Self {
            outputs: session
                .outputs()
                .iter()
                .take(layers.len())
                .map(|output| output.name().to_owned())
                .collect(),
            session,
            feeds: Feeds::Built {
                positions: spec.position_ids(),
                lengths: !spec.attention.causal,
            },
            shape: Shape {
                family: spec.family.to_owned(),
                states: spec.states(),
                hidden: spec.hidden,
                heads: spec.attention.heads,
                intermediate: spec.intermediate(),
                vocabulary: spec.embedding.vocabulary,
                max_positions: spec.max_positions(),
            },
            layers,
            target,
            rows,
            profiled: options.profile,
            notes,
        }
    }

    /// The selected layers, ascending; 0 is the embedding output.
    #[must_use]
    pub fn layers(&self) -> &[usize] {
        &self.layers
    }

    /// Hidden states the model has, selected or not: its transformer layers and the embedding output.
    #[must_use]
    pub fn layers_in_model(&self) -> usize {
        self.shape.states
    }

    /// Size of a hidden state.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.shape.hidden
    }

    /// Longest sequence in tokens, special tokens included.
    #[must_use]
    pub fn max_positions(&self) -> usize {
        self.shape.max_positions
    }

    /// Number of token ids: every id is below it.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.shape.vocabulary
    }

    /// Where the graph runs.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        self.target.provider()
    }

    /// Where the graph runs, with the number of the GPU: `cpu` or `cuda:0`.
    #[must_use]
    pub fn device(&self) -> String {
        self.target.to_string()
    }

    /// Free memory of the GPU that the encoder runs on; none on the CPU.
    ///
    /// # Errors
    /// When NVIDIA's library does not tell.
    pub fn free_memory(&self) -> Result<Option<u64>, EncoderError> {
        match self.target {
            Target::Cpu => Ok(None),
            Target::Cuda(number) => runtime::free_memory(number).map(Some),
        }
    }

    /// The model's family, as `model_type` names it.
    #[must_use]
    pub fn family(&self) -> &str {
        &self.shape.family
    }

    /// What a user should know about how the encoder was set up, for example that `auto` found a
    /// GPU and could not use it.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Computes the selected hidden states of a batch. What stands at padded positions is undefined.
    ///
    /// # Errors
    /// When the batch does not fit the model or its own dimensions, or when ONNX Runtime fails,
    /// for example because memory ran out.
    pub fn encode(&mut self, batch: &Batch) -> Result<HiddenStates<'_>, EncoderError> {
        batch.check(self.shape.vocabulary, self.shape.max_positions)?;
        let mut inputs = self.feeds.inputs(batch)?;
        if self.rows.is_some() {
            // The graph wants to know which rows to make: one, as none is looked at.
            inputs.push((graph::KEPT.into(), batch::tensor([1], vec![0_i32])?));
        }
        let outputs = self
            .session
            .run(inputs)
            .map_err(|source| EncoderError::Run {
                device: self.target.to_string(),
                rows: batch.rows,
                width: batch.width,
                source,
            })?;
        HiddenStates::new(
            outputs,
            &self.outputs,
            [batch.rows, batch.width, self.shape.hidden],
        )
    }
}

#[cfg(test)]
mod tests;
