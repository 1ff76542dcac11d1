//! An encoder that somebody exported: accepted when every hidden state is an output, so that
//! nothing has to be guessed.

use std::path::Path;

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

use super::error::EncoderError;
use super::inputs::{ExportedInput, GraphInputs};
use super::options::EncoderOptions;
use super::runtime::{self, Target};
use super::sizes::Sizes;
use crate::family::{Config, EncoderSpec, PositionIds};
use crate::graph::ComputeDtype;
use crate::model::ModelFiles;

/// The output that an exported graph must have for hidden state `state`; 0 is the embedding output.
#[must_use]
pub fn output_name(state: usize) -> String {
    format!("hidden_states.{state}")
}

/// An exported graph that is loaded.
pub(super) struct ExportedGraph {
    pub(super) session: Session,
    pub(super) target: Target,
    pub(super) inputs: GraphInputs,
    pub(super) sizes: Sizes,
    /// The selected layers, ascending.
    pub(super) layers: Vec<usize>,
    pub(super) notes: Vec<String>,
}

/// Loads the graph `file` of a model.
pub(super) fn load(
    files: &ModelFiles,
    file: &Path,
    options: &EncoderOptions,
) -> Result<ExportedGraph, EncoderError> {
    if options.dtype != ComputeDtype::F32 {
        return Err(EncoderError::HalfOfOnnxFile {
            dtype: options.dtype,
            file: file.display().to_string(),
        });
    }
    let (session, target, notes) = runtime::on_device(options, |target, mut builder| {
        builder
            .commit_from_file(file)
            .map_err(|source| EncoderError::Session {
                device: target.to_string(),
                source,
            })
    })?;
    let problem = |problem: String| EncoderError::OnnxFile {
        file: file.display().to_string(),
        problem,
    };
    let inputs = inputs(&session).map_err(problem)?;
    let (states, hidden) = states(&session).map_err(problem)?;
    let layers = options.layers.resolve(states)?;
    let (sizes, positions) = sizes(&Config::read(&files.config)?, states, hidden)?;
    Ok(ExportedGraph {
        session,
        target,
        inputs: GraphInputs::Exported { inputs, positions },
        sizes,
        layers,
        notes,
    })
}

/// Sizes and position numbers of a graph with so many states of this size.
fn sizes(
    config: &Config,
    states: usize,
    hidden: usize,
) -> Result<(Sizes, PositionIds), EncoderError> {
    if let Ok(spec) = EncoderSpec::from_config(config) {
        let sizes = Sizes {
            states,
            hidden,
            ..Sizes::from_spec(&spec, spec.layers)
        };
        return Ok((sizes, spec.position_ids()));
    }
    // What is not supported as a checkpoint may still have been exported.
    let sizes = Sizes {
        family: config.text("model_type")?.to_owned(),
        states,
        hidden,
        // As in nearly all encoders.
        heads: hidden.div_ceil(64),
        biased_heads: 0,
        distances: false,
        full_bias: false,
        blocks: None,
        capped: false,
        intermediate: 4 * hidden,
        vocabulary: config.size(&["vocab_size"])?,
        max_positions: config.size(&["max_position_embeddings", "n_positions"])?,
    };
    Ok((sizes, PositionIds::FromZero))
}

/// The inputs of the graph, or which of them cannot be given.
fn inputs(session: &Session) -> Result<Vec<ExportedInput>, String> {
    let mut inputs = Vec::new();
    for input in session.inputs() {
        let name = input.name();
        let mut known = ExportedInput::ALL.into_iter();
        let Some(known) = known.find(|known| known.name() == name) else {
            return Err(format!(
                "it has an input {name}, which is not one of {}",
                ExportedInput::ALL.map(ExportedInput::name).join(", ")
            ));
        };
        if element_type(input) != Some(TensorElementType::Int64) {
            return Err(format!("its input {name} is {}, not int64", input.dtype()));
        }
        inputs.push(known);
    }
    Ok(inputs)
}

/// Number and size of the hidden states among the outputs.
fn states(session: &Session) -> Result<(usize, usize), String> {
    let output = |state: usize| {
        session
            .outputs()
            .iter()
            .find(|output| output.name() == output_name(state))
    };
    let outputs: Vec<&Outlet> = (0..).map_while(output).collect();
    let Some(first) = outputs.first() else {
        let found = session
            .outputs()
            .iter()
            .map(Outlet::name)
            .collect::<Vec<_>>()
            .join(", ");
        return Err(format!(
            "it has no output {} (its outputs: {found})",
            output_name(0)
        ));
    };
    if let Some(output) = outputs
        .iter()
        .find(|output| element_type(output) != Some(TensorElementType::Float32))
    {
        return Err(format!(
            "its output {} is {}, not float32",
            output.name(),
            output.dtype()
        ));
    }
    let hidden = match first.dtype() {
        ValueType::Tensor { shape, .. } => {
            shape.last().and_then(|&size| usize::try_from(size).ok())
        }
        _ => None,
    };
    let hidden = hidden.ok_or_else(|| {
        format!(
            "the last dimension of its output {} is not fixed",
            first.name()
        )
    })?;
    Ok((outputs.len(), hidden))
}

fn element_type(outlet: &Outlet) -> Option<TensorElementType> {
    match outlet.dtype() {
        ValueType::Tensor { ty, .. } => Some(*ty),
        _ => None,
    }
}
