//! An encoder that is loaded: a session of ONNX Runtime, what goes into it and what comes out.

use std::path::Path;

use cache::StoreDtype;
use ort::session::builder::SessionBuilder;
use ort::session::{RunOptions, Session};

use super::batch::Batch;
use super::error::EncoderError;
use super::footprint::Footprint;
use super::hidden_states::HiddenStates;
use super::inputs::GraphInputs;
use super::onnx_file::{self, ExportedGraph};
use super::options::EncoderOptions;
use super::placement;
use super::provider::Provider;
use super::rows::{GraphRows, RowMaker};
use super::runtime::{self, Target};
use super::sizes::Sizes;
use super::tensor::tensor;
use crate::checkpoint::Checkpoint;
use crate::family::{Config, EncoderSpec};
use crate::graph::{self, ComputeDtype, KEPT};
use crate::model::ModelFiles;

/// A loaded encoder, ready to run. It holds the weights once, in ONNX Runtime's memory.
pub struct Encoder {
    session: Session,
    inputs: GraphInputs,
    sizes: Sizes,
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

impl Encoder {
    /// Reads configuration and weights, builds the graph and hands it to ONNX Runtime. Layers
    /// above the last selected one are neither read nor computed.
    ///
    /// ```no_run
    /// use extractor::encoder::{Batch, Encoder, EncoderOptions};
    /// use extractor::model::ModelFiles;
    ///
    /// let files = ModelFiles::in_folder("bert-base-cased".as_ref())?;
    /// let mut encoder = Encoder::load(&files, &EncoderOptions::default())?;
    /// let batch = Batch::padded(&[&[101, 1109, 4172, 102], &[101, 102]])?;
    /// let states = encoder.encode(&batch)?;
    /// let embedding_output = states.layer(0); // [rows, width, hidden]
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the configuration or the weights cannot be used, when a selected layer does not
    /// exist, or when ONNX Runtime or the device is not available.
    pub fn load(files: &ModelFiles, options: &EncoderOptions) -> Result<Self, EncoderError> {
        match files.onnx_file() {
            Some(file) => {
                let exported = onnx_file::load(files, file, options)?;
                Ok(Self::from_exported(exported, options))
            }
            None => Self::from_checkpoint(files, options),
        }
    }

    /// The encoder around an exported graph.
    fn from_exported(exported: ExportedGraph, options: &EncoderOptions) -> Self {
        let output = |&layer: &usize| onnx_file::output_name(layer);
        Self {
            session: exported.session,
            inputs: exported.inputs,
            sizes: exported.sizes,
            outputs: exported.layers.iter().map(output).collect(),
            layers: exported.layers,
            target: exported.target,
            // Its outputs are what they are: rows are made of them on the CPU.
            rows: None,
            profiled: options.profile,
            notes: exported.notes,
        }
    }

    fn from_checkpoint(files: &ModelFiles, options: &EncoderOptions) -> Result<Self, EncoderError> {
        let config = Config::read(&files.config)?;
        let mut spec = EncoderSpec::from_config(&config)?;
        if options.token_types {
            spec.tell_token_types();
        }
        let layers = options.layers.resolve(spec.states())?;
        Self::from_spec(&spec, layers, options, || weights(files, &spec, &config))
    }

    /// An encoder of the model's sizes, but with layers of the kinds of `layers` alone (their numbers
    /// in the model, from 0), a vocabulary of one and no weights: to measure how long a layer takes.
    /// Nothing but `config.json` is read.
    ///
    /// # Errors
    /// When the configuration cannot be used, or when ONNX Runtime or the device is not available.
    pub fn blank(
        config: &Path,
        layers: &[usize],
        options: &EncoderOptions,
    ) -> Result<Self, EncoderError> {
        let mut spec = EncoderSpec::from_config(&Config::read(config)?)?;
        if let Some(window) = &mut spec.attention.window {
            window.layers = layers.iter().map(|&layer| window.is_in(layer)).collect();
        }
        spec.layers = layers.len();
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
            inputs: GraphInputs::Built {
                positions: spec.position_ids(),
                lengths: !spec.attention.causal,
                blocks: spec.blocks(layers.last().copied().unwrap_or(0)),
                token_types: spec.tells_token_types(),
            },
            sizes: Sizes::from_spec(spec, layers.last().copied().unwrap_or(0)),
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

    /// Hidden states the model has, selected or not: its transformer layers and the embedding
    /// output.
    #[must_use]
    pub fn layers_in_model(&self) -> usize {
        self.sizes.states
    }

    /// Size of a hidden state.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.sizes.hidden
    }

    /// Longest sequence in tokens, special tokens included.
    #[must_use]
    pub fn max_positions(&self) -> usize {
        self.sizes.max_positions
    }

    /// Number of token ids: every id is below it.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.sizes.vocabulary
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
        &self.sizes.family
    }

    /// What a user should know about how the encoder was set up, for example that `auto` found a
    /// GPU and could not use it.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Computes the selected hidden states of a batch. What stands at padded positions is
    /// undefined.
    ///
    /// # Errors
    /// When the batch does not fit the model or its own dimensions, or when ONNX Runtime fails,
    /// for example because memory ran out.
    pub fn encode(&mut self, batch: &Batch) -> Result<HiddenStates<'_>, EncoderError> {
        batch.check(self.sizes.vocabulary, self.sizes.max_positions)?;
        let mut inputs = self.inputs.for_batch(batch)?;
        if self.rows.is_some() {
            // The graph wants to know which rows to make: one, as none is looked at.
            inputs.push((KEPT.into(), tensor([1], vec![0_i32])?));
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
            [batch.rows, batch.width, self.sizes.hidden],
        )
    }

    /// The number format of rows that the graph makes; none if it makes none.
    #[must_use]
    pub fn row_format(&self) -> Option<StoreDtype> {
        self.rows.as_ref().map(|rows| rows.format)
    }

    /// Whether rows come in pinned memory.
    #[must_use]
    pub fn rows_are_pinned(&self) -> bool {
        self.rows.as_ref().is_some_and(|rows| rows.pinned)
    }

    /// Encodes a batch and gives the rows of the tokens in `kept`, each `row * width + position`,
    /// in that order.
    ///
    /// # Errors
    /// As [`Encoder::encode`]; when this encoder's graph makes no rows, or a kept token is padding
    /// or outside the batch.
    pub fn encode_rows(&mut self, batch: &Batch, kept: &[i32]) -> Result<GraphRows, EncoderError> {
        batch.check(self.sizes.vocabulary, self.sizes.max_positions)?;
        batch.check_kept(kept)?;
        let Some(maker) = &self.rows else {
            let problem = "its graph makes no rows".to_owned();
            return Err(EncoderError::Batch { problem });
        };
        let failed = |source| EncoderError::Runtime { source };
        let mut inputs = self.inputs.for_batch(batch)?;
        inputs.push((KEPT.into(), tensor([kept.len()], kept.to_vec())?));
        let mut rows = maker.room(kept.len(), self.layers.len(), self.sizes.hidden)?;
        let outputs = rows.outputs().map_err(failed)?;
        // Not an `IoBinding`: binding inputs would wait for everything that runs on the GPU, other
        // sessions included.
        let options = RunOptions::new().map_err(failed)?.with_outputs(outputs);
        let run = self.session.run_with_options(inputs, &options);
        // The outputs themselves are views of the block that the rows are in.
        drop(run.map_err(|source| EncoderError::Run {
            device: self.target.to_string(),
            rows: batch.rows,
            width: batch.width,
            source,
        })?);
        Ok(rows)
    }

    /// What a batch takes of the memory of where it runs.
    #[must_use]
    pub fn footprint(&self, compute: ComputeDtype) -> Footprint {
        Footprint {
            layers: self.layers.len(),
            hidden: self.sizes.hidden,
            intermediate: self.sizes.intermediate,
            heads: self.sizes.heads,
            biased_heads: self.sizes.biased_heads,
            distances: self.sizes.distances,
            biases: usize::from(self.sizes.full_bias),
            blocks: self.sizes.blocks,
            capped: self.sizes.capped,
            compute,
            rows: self.row_format(),
        }
    }

    /// Ends profiling and tells which nodes the runs so far had on the CPU, as `Operator (name)`.
    /// None if nothing was profiled, or if this has been asked before.
    ///
    /// # Errors
    /// When the profile cannot be written or read.
    pub fn nodes_on_cpu(&mut self) -> Result<Option<Vec<String>>, EncoderError> {
        if !std::mem::take(&mut self.profiled) {
            return Ok(None);
        }
        let path = self.session.end_profiling();
        let path = path.map_err(|source| EncoderError::Runtime { source })?;
        placement::read_profile(Path::new(&path)).map(Some)
    }
}

/// The weights of `files`, of which `config` states the encoder `spec`: those in the files, or random
/// ones.
///
/// # Errors
/// When a file cannot be read, or the configuration does not say how weights are drawn.
pub(crate) fn weights(
    files: &ModelFiles,
    spec: &EncoderSpec,
    config: &Config,
) -> Result<Checkpoint, EncoderError> {
    match files.random_seed {
        Some(seed) => Ok(Checkpoint::random(spec.random_weights(config, seed)?)),
        None => Ok(Checkpoint::open(&files.weights)?),
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // A session that is still profiled when it ends leaves the profile behind.
        let _ = self.nodes_on_cpu();
    }
}

#[cfg(test)]
mod tests;
