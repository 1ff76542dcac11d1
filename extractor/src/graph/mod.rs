//! Encoders as ONNX graphs. One graph serves every family: it follows the [`EncoderSpec`] part by
//! part, one file for each kind of part, and is made of ONNX Runtime's fused operators, in memory,
//! without a file.
//!
//! Inputs are [`INPUT_IDS`] and [`POSITION_IDS`], int32 `[rows, width]`, and, unless the encoder is
//! causal, [`LENGTHS`], int32 `[3 * rows + 2]`; with windows the blocks in which these are computed
//! (five inputs, from [`BLOCK_QUERIES`] on). Outputs are the selected hidden states, ascending,
//! `[rows, width, hidden]` in the number format that the encoder computes in, and on request rows
//! of a store ([`ROWS`]).
//!
//! Operators: <https://onnx.ai/onnx/operators/> and, for the domain `com.microsoft`,
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>.

mod activation;
mod attention;
mod attention_parts;
mod blocks;
mod builder;
mod convolution;
mod disentangled;
mod dtype;
mod embedding;
mod encoder_graph;
mod error;
mod feed_forward;
mod inputs;
mod layer;
mod norm;
mod position;
mod relative_bias;
mod rotary;
mod rows;
mod token_dropout;
mod weights;
mod window;

use cache::StoreDtype;
use ort::editor::Model;
use ort::value::TensorElementType;

pub(crate) use self::builder::{Builder, MICROSOFT, outlet, size};
pub use self::dtype::ComputeDtype;
pub(crate) use self::dtype::{ONNX_FLOAT, ONNX_INT32, ONNX_INT64};
use self::encoder_graph::{EncoderGraph, Shared};
pub use self::error::GraphError;
pub use self::inputs::{
    BLOCK_KEY_POSITIONS, BLOCK_KEYS, BLOCK_PLACES, BLOCK_QUERIES, BLOCK_QUERY_POSITIONS, INPUT_IDS,
    KEPT, LENGTHS, POSITION_IDS,
};
pub use self::rows::{ROWS, STATISTICS, can_be_output};
pub(crate) use self::window::FAR;
use crate::checkpoint::Checkpoint;
use crate::family::EncoderSpec;

/// Builds the graph of an encoder up to the last of `states`, with each of `states` (ascending) as
/// an output and, if `rows` names a number format, rows of a store in it. The weights are copied
/// out of `checkpoint`.
///
/// # Errors
/// When a tensor is missing or has another shape, or ONNX Runtime refuses a part of the graph.
pub fn build(
    spec: &EncoderSpec,
    checkpoint: &Checkpoint,
    dtype: ComputeDtype,
    states: &[usize],
    rows: Option<StoreDtype>,
) -> Result<Model, GraphError> {
    let last = states.last().copied().unwrap_or(0);
    let in_blocks = spec.blocks(last).is_some();
    let builder = Builder::new(dtype)?;
    let (mut builder, states) = parts(builder, spec, checkpoint, states, in_blocks)?;
    let rows = rows
        .map(|format| builder.rows(&states, spec.hidden, format))
        .transpose()?;
    let ids = |name| outlet(name, TensorElementType::Int32, &[-1, -1]);
    let numbers = |name| outlet(name, TensorElementType::Int32, &[-1]);
    let mut inputs = vec![ids(INPUT_IDS), ids(POSITION_IDS)];
    if !spec.attention.causal {
        inputs.push(numbers(LENGTHS));
    }
    if in_blocks {
        inputs.extend(blocks::INPUTS.map(ids));
    }
    if rows.is_some() {
        inputs.push(numbers(KEPT));
    }
    let shape = [-1, -1, i64::try_from(spec.hidden).unwrap_or(-1)];
    let states = states
        .iter()
        .map(|state| outlet(state, dtype.element(), &shape));
    let outputs = states.chain(rows.into_iter().flatten()).collect();
    builder.close(inputs, outputs)
}

/// Adds an encoder to a graph that has values of the names [`INPUT_IDS`], [`POSITION_IDS`] and,
/// unless the encoder is causal, [`LENGTHS`], whatever integers the first two are. Gives the names
/// of `states` (ascending), each `[rows, width, hidden]`. Windows are biases of all scores: the graph
/// has no other inputs.
///
/// # Errors
/// As [`build`].
pub(crate) fn encoder(
    builder: Builder,
    spec: &EncoderSpec,
    checkpoint: &Checkpoint,
    states: &[usize],
) -> Result<(Builder, Vec<String>), GraphError> {
    parts(builder, spec, checkpoint, states, false)
}

/// The same, with windows in blocks or as biases of all scores.
fn parts(
    builder: Builder,
    spec: &EncoderSpec,
    checkpoint: &Checkpoint,
    states: &[usize],
    in_blocks: bool,
) -> Result<(Builder, Vec<String>), GraphError> {
    let last = states.last().copied().unwrap_or(0);
    let mut graph = EncoderGraph {
        spec,
        checkpoint,
        last,
        in_blocks,
        builder,
        shared: Shared::default(),
    };
    let mut stream = graph.embeddings()?;
    let mut names = Vec::with_capacity(states.len());
    for state in 0..=last {
        if state > 0 {
            stream = graph.layer(state - 1, &stream)?;
        }
        if states.contains(&state) {
            names.push(stream.state.clone());
        }
    }
    Ok((graph.builder, names))
}
