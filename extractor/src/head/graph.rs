//! Encoder and head as one graph.
//!
//! A row is a sequence: a sentence, or a window of one that is too long for the encoder; heads see
//! a window as they saw it in training, by itself. Inputs, int64: `input_ids` and `attention_mask`,
//! `[rows, width]`, the padding on the right; [`TOKEN_TYPES`] where the encoder is told them.
//! Output: [`LOGITS`], float32, `[rows, width, classes]` (undefined at padding), or `[rows,
//! classes]` where sentences are classified. What is behind the mean over tokens there is linear,
//! so that the logits of a sentence are the mean of those of its windows, weighted with their
//! tokens. Where words have heads, there is one more input and other outputs, see [`super::trees`].

use ort::editor::{Model, ONNX_DOMAIN};
use ort::operator::Attribute;
use ort::value::TensorElementType;

use super::nodes::{Nodes, Rows, size};
use super::trees::{self, ARC_SCORES, RELATION_SCORES, TreeOutputs, WORDS};
use super::{HeadOptions, Level, Parameters};
use crate::checkpoint::Checkpoint;
use crate::family::{EncoderSpec, PositionIds};
use crate::graph::{
    Builder, ComputeDtype, GraphError, INPUT_IDS, LENGTHS, ONNX_FLOAT, ONNX_INT32, ONNX_INT64,
    POSITION_IDS, TOKEN_TYPES, encoder, outlet,
};

/// 1 where there is a token and 0 where there is padding, int64 `[rows, width]`.
pub const ATTENTION_MASK: &str = "attention_mask";
/// The result.
pub const LOGITS: &str = "logits";

/// Builds the graph of an encoder up to the last layer that the head reads, and of the head;
/// `outputs` is for heads that make trees.
///
/// # Errors
/// When a tensor of either is missing or has another shape, or ONNX Runtime refuses a part of the
/// graph.
pub fn build(
    spec: &EncoderSpec,
    checkpoint: &Checkpoint,
    dtype: ComputeDtype,
    options: &HeadOptions,
    parameters: &Parameters,
    outputs: TreeOutputs,
) -> Result<Model, GraphError> {
    let read = options.layers_read().unwrap_or_default();
    let mut states = read.clone();
    states.sort_unstable();
    states.dedup();
    let mut nodes = Nodes {
        builder: Builder::new(dtype)?,
        parameters,
    };
    encoder_inputs(&mut nodes, spec)?;
    let (builder, names) = encoder(nodes.builder, spec, checkpoint, &states)?;
    let mut nodes = Nodes {
        builder,
        parameters,
    };
    let rows = rows(&mut nodes)?;
    let mut layers = Vec::with_capacity(names.len());
    for name in &names {
        layers.push(nodes.builder.float32(name)?);
    }
    let layers: Vec<&str> = read
        .iter()
        .filter_map(|layer| Some(layers[states.binary_search(layer).ok()?].as_str()))
        .collect();
    let features = super::layers::features(&mut nodes, options, &layers, &rows)?;
    if options.parser.is_some() {
        trees::outputs(&mut nodes, options, &features, (outputs, LOGITS))?;
    } else {
        logits(&mut nodes, options, &features, &rows)?;
    }
    close(nodes.builder, spec, options, outputs)
}

/// What the encoder reads, from what is given: positions and lengths.
fn encoder_inputs(nodes: &mut Nodes<'_>, spec: &EncoderSpec) -> Result<(), GraphError> {
    let axis = nodes.builder.integers("tokens.axis", &[1])?;
    match spec.position_ids() {
        ids @ (PositionIds::FromZero | PositionIds::From { .. }) => {
            let counted = nodes.apply("CumSum", "tokens.counted", &[ATTENTION_MASK, &axis])?;
            let before = size(ids.first()) - 1;
            let before = nodes.builder.integers("tokens.before", &[before])?;
            nodes.apply("Add", POSITION_IDS, &[&counted, &before])?;
        }
        PositionIds::AfterPadding { padding } => {
            let padding = nodes
                .builder
                .integers("tokens.padding_id", &[i64::from(padding)])?;
            let is_padding = nodes.apply("Equal", "tokens.is_padding", &[INPUT_IDS, &padding])?;
            let is_token = nodes.apply("Not", "tokens.is_token", &[&is_padding])?;
            let is_token = nodes
                .builder
                .cast("tokens.is_token.int64", &is_token, ONNX_INT64)?;
            let is_token = nodes.apply("Mul", "tokens.is_counted", &[&is_token, ATTENTION_MASK])?;
            let counted = nodes.apply("CumSum", "tokens.counted", &[&is_token, &axis])?;
            let counted = nodes.apply("Mul", "tokens.position", &[&counted, &is_token])?;
            nodes.apply("Add", POSITION_IDS, &[&counted, &padding])?;
        }
    }
    if !spec.attention.causal {
        lengths(nodes)?;
    }
    Ok(())
}

/// [`LENGTHS`] from the attention mask: tokens of each row, then twice where rows begin and the
/// last one ends. Widths are counted as sums of ones, because a shape would have to be fetched from
/// a GPU first.
fn lengths(nodes: &mut Nodes<'_>) -> Result<(), GraphError> {
    let flat = || Ok::<_, GraphError>(vec![Attribute::new("keepdims", 0_i64)?]);
    let lengths = nodes.by("ReduceSum", "tokens.lengths", ATTENTION_MASK, &[1], flat()?)?;
    let zero = nodes.builder.integers("tokens.zero", &[0])?;
    let one = nodes.builder.integers("rows.one", &[1])?;
    let zeros = nodes.apply("Mul", "rows.zeros", &[ATTENTION_MASK, &zero])?;
    let ones = nodes.apply("Add", "rows.ones", &[&zeros, &one])?;
    let widths = nodes.by("ReduceSum", "rows.widths", &ones, &[1], flat()?)?;
    let first_axis = nodes.builder.integers("rows.first_axis", &[0])?;
    let ends = nodes.apply("CumSum", "rows.ends", &[&widths, &first_axis])?;
    let parts = [lengths.as_str(), &zero, &ends, &zero, &ends];
    let beside = vec![Attribute::new("axis", 0_i64)?];
    let all = nodes.builder.node(
        (ONNX_DOMAIN, "Concat"),
        "rows.lengths_and_offsets",
        &parts,
        beside,
    )?;
    nodes.builder.cast(LENGTHS, &all, ONNX_INT32)?;
    Ok(())
}

/// Masks, as the head needs them.
fn rows(nodes: &mut Nodes<'_>) -> Result<Rows, GraphError> {
    let mask = nodes
        .builder
        .cast("rows.mask", ATTENTION_MASK, ONNX_FLOAT)?;
    let length = nodes.by("ReduceSum", "rows.length", &mask, &[1], vec![])?;
    let part = nodes.apply("Div", "rows.part", &[&mask, &length])?;
    let share = nodes.by("Unsqueeze", "rows.share", &part, &[1], vec![])?;
    Ok(Rows { mask, share })
}

/// Features `[rows, width, features]` to the output.
fn logits(
    nodes: &mut Nodes<'_>,
    options: &HeadOptions,
    features: &str,
    rows: &Rows,
) -> Result<(), GraphError> {
    let classifier = options.classifier();
    let mut value = match options.level {
        Level::Token => features.to_owned(),
        Level::Sentence => {
            let mean = nodes.apply("MatMul", "rows.mean", &[&rows.share, features])?;
            nodes.by("Squeeze", "rows.features", &mean, &[1], vec![])?
        }
    };
    value = nodes.linear(&classifier.first, &value)?;
    if let Some(second) = &classifier.second {
        value = nodes.linear(second, &value)?;
    }
    nodes.apply("Identity", LOGITS, &[&value])?;
    Ok(())
}

fn close(
    builder: Builder,
    spec: &EncoderSpec,
    options: &HeadOptions,
    outputs: TreeOutputs,
) -> Result<Model, GraphError> {
    let ids = |name| outlet(name, TensorElementType::Int64, &[-1, -1]);
    let classes = size(options.classes);
    let float = |name, shape: &[i64]| outlet(name, TensorElementType::Float32, shape);
    if let Some(parser) = &options.parser {
        let inputs = vec![
            ids(INPUT_IDS),
            ids(ATTENTION_MASK),
            float(WORDS, &[-1, -1, -1]),
        ];
        let projected = size(parser.projected_size(options.classes));
        let outputs = match outputs {
            TreeOutputs::Projected => vec![float(LOGITS, &[-1, -1, projected])],
            TreeOutputs::Scores => vec![
                float(ARC_SCORES, &[-1, -1, -1]),
                float(RELATION_SCORES, &[-1, -1, classes, -1]),
            ],
        };
        return builder.close(inputs, outputs);
    }
    let shape: &[i64] = match options.level {
        Level::Token => &[-1, -1, classes],
        Level::Sentence => &[-1, classes],
    };
    let mut inputs = vec![ids(INPUT_IDS), ids(ATTENTION_MASK)];
    if spec.tells_token_types() {
        inputs.push(ids(TOKEN_TYPES));
    }
    builder.close(inputs, vec![float(LOGITS, shape)])
}
