//! Encoders as ONNX graphs. One graph serves every family: it follows the
//! [`EncoderSpec`] and is made of ONNX Runtime's fused operators, in memory,
//! without a file.
//!
//! Inputs are [`INPUT_IDS`] and [`POSITION_IDS`], int32 `[rows, width]`, and, unless the encoder is
//! causal, [`LENGTHS`], int32 `[3 * rows + 2]`. Outputs are the selected hidden states, ascending,
//! `[rows, width, hidden]` in the number type that the encoder computes in, and on request rows of a
//! store ([`ROWS`]).
//!
//! Operators: <https://onnx.ai/onnx/operators/> and, for the domain `com.microsoft`,
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>.

mod activation;
mod builder;
mod rows;
mod weights;

use cache::StoreDtype;
use ort::editor::Model;
use shared::exit::ExitStatus;

pub(crate) use self::builder::{Builder, MICROSOFT, ONNX_FLOAT, outlet};
pub use self::rows::{KEPT, ROWS, STATISTICS, can_be_output};
use self::weights::Source;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::encoder::ComputeDtype;
use crate::family::{AttentionNames, EncoderSpec, LinearLayout, NormPlacement};

/// Token ids, int32 `[rows, width]`.
pub const INPUT_IDS: &str = "input_ids";
/// Rows of the position table, int32 `[rows, width]`.
pub const POSITION_IDS: &str = "position_ids";
/// Where rows end, int32 `[3 * rows + 2]`: the tokens of each row `[rows]`, then twice where each row begins among all
/// positions, and where the last one ends `[rows + 1]`. In this form `Attention` hands it to its memory-efficient kernel; told
/// the tokens alone, it computes all scores of a row in float16 and bfloat16 too.
pub const LENGTHS: &str = "lengths";

/// Builds the graph of an encoder up to the last of `states`, with each of `states` (ascending) as
/// an output and, if `rows` names a number format, rows of a store in it. The weights are copied out of `checkpoint`.
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
    let mut graph = EncoderGraph {
        spec,
        checkpoint,
        builder: Builder::new(dtype)?,
    };
    let states = graph.hidden_states(states)?;
    let mut builder = graph.builder;
    let rows = rows
        .map(|format| builder.rows(&states, spec.hidden, format))
        .transpose()?;
    builder.finish(!spec.causal, spec.hidden, &states, rows)
}

/// Adds an encoder to a graph that has values of the names [`INPUT_IDS`], [`POSITION_IDS`] and, unless the encoder is
/// causal, [`LENGTHS`], whatever integers the first two are. Gives the names of `states` (ascending), each
/// `[rows, width, hidden]`.
///
/// # Errors
/// As [`build`].
pub(crate) fn encoder(
    builder: Builder,
    spec: &EncoderSpec,
    checkpoint: &Checkpoint,
    states: &[usize],
) -> Result<(Builder, Vec<String>), GraphError> {
    let mut graph = EncoderGraph {
        spec,
        checkpoint,
        builder,
    };
    let states = graph.hidden_states(states)?;
    Ok((graph.builder, states))
}

/// What flows from layer to layer, by the names of values, each `[rows, width, hidden]`.
struct Stream {
    /// The hidden state of the layer.
    state: String,
    /// What the next layer's first block adds its result to; the hidden state itself, except after
    /// the final norm.
    residual: String,
    /// What the next layer's first block reads.
    input: String,
}

impl Stream {
    /// Where all three are the same.
    fn single(state: String) -> Self {
        Self {
            residual: state.clone(),
            input: state.clone(),
            state,
        }
    }
}

struct EncoderGraph<'a> {
    spec: &'a EncoderSpec,
    checkpoint: &'a Checkpoint,
    builder: Builder,
}

impl<'a> EncoderGraph<'a> {
    /// The encoder up to the last of `states`, which are given by name.
    fn hidden_states(&mut self, states: &[usize]) -> Result<Vec<String>, GraphError> {
        let last = states.last().copied().unwrap_or(0);
        let mut stream = self.embeddings()?;
        let mut names = Vec::with_capacity(states.len());
        for state in 0..=last {
            if state > 0 {
                stream = match self.spec.norm {
                    NormPlacement::Post => self.post_norm_layer(state - 1, &stream)?,
                    NormPlacement::Pre => self.pre_norm_layer(state - 1, &stream)?,
                };
            }
            if states.contains(&state) {
                names.push(stream.state.clone());
            }
        }
        Ok(names)
    }

    /// Words and positions (which carry the token type: it is the same for all), their sum, norm and projection.
    fn embeddings(&mut self) -> Result<Stream, GraphError> {
        let (spec, names) = (self.spec, &self.spec.names);
        let table = |name: &str| format!("{name}.weight");
        let words = self.tensor(&table(names.words), &[spec.vocabulary, spec.embedding])?;
        let mut positions = self.tensor(
            &table(names.positions),
            &[spec.position_rows, spec.embedding],
        )?;
        if spec.token_types > 0 {
            let types = self.checkpoint.tensor(
                names.prefixes,
                &table(names.token_types),
                &[spec.token_types, spec.embedding],
            )?;
            positions = positions.plus_first_row(types);
        }
        let words = self.builder.gather("embeddings.words", &words, INPUT_IDS)?;
        let positions = self
            .builder
            .gather("embeddings.positions", &positions, POSITION_IDS)?;
        if spec.norm == NormPlacement::Pre {
            return self.boundary("embeddings", &words, &positions, None, 0);
        }
        let norm = self.norm(names.embedding_norm, spec.embedding)?;
        let normed = self.builder.skip_norm(
            "embeddings.norm",
            [&words, &positions],
            None,
            &norm,
            spec.epsilon,
            false,
        )?;
        if spec.embedding == spec.hidden {
            return Ok(Stream::single(normed.output));
        }
        let matrix = self.linear_matrix(names.projection, spec.embedding, spec.hidden)?;
        let bias = self.bias(names.projection, spec.hidden)?;
        let projected = self
            .builder
            .matmul("embeddings.projection", &normed.output, &matrix)?;
        Ok(Stream::single(self.builder.add_bias(
            "embeddings.projection.bias",
            &projected,
            &bias,
        )?))
    }

    /// Attention, sum and norm; feed-forward, sum and norm.
    fn post_norm_layer(&mut self, layer: usize, stream: &Stream) -> Result<Stream, GraphError> {
        let (spec, names) = (self.spec, &self.spec.names);
        let label = format!("layer.{layer}");
        let (attended, bias) = self.attention(layer, &label, &stream.input)?;
        let norm = self.norm(&self.in_layer(layer, names.attention_norm), spec.hidden)?;
        let name = format!("{label}.attention.norm");
        let middle = self
            .builder
            .skip_norm(
                &name,
                [&attended, &stream.residual],
                Some(&bias),
                &norm,
                spec.epsilon,
                false,
            )?
            .output;
        let (transformed, bias) = self.feed_forward(layer, &label, &middle)?;
        let norm = self.norm(&self.in_layer(layer, names.feed_forward_norm), spec.hidden)?;
        let name = format!("{label}.norm");
        let normed = self.builder.skip_norm(
            &name,
            [&transformed, &middle],
            Some(&bias),
            &norm,
            spec.epsilon,
            false,
        )?;
        Ok(Stream::single(normed.output))
    }

    /// Attention and sum, norm; feed-forward and sum, and the norm that comes before the next layer.
    fn pre_norm_layer(&mut self, layer: usize, stream: &Stream) -> Result<Stream, GraphError> {
        let (spec, names) = (self.spec, &self.spec.names);
        let label = format!("layer.{layer}");
        let (attended, bias) = self.attention(layer, &label, &stream.input)?;
        let norm = self.norm(&self.in_layer(layer, names.feed_forward_norm), spec.hidden)?;
        let name = format!("{label}.attention.sum");
        let middle = self.builder.skip_norm(
            &name,
            [&attended, &stream.residual],
            Some(&bias),
            &norm,
            spec.epsilon,
            true,
        )?;
        let (transformed, bias) = self.feed_forward(layer, &label, &middle.output)?;
        self.boundary(
            &format!("{label}.sum"),
            &transformed,
            &middle.sum,
            Some(&bias),
            layer + 1,
        )
    }

    /// The sum that ends a layer and, in the same operator, the norm that stands before the next
    /// one. The norm after the last layer is part of its hidden state.
    fn boundary(
        &mut self,
        label: &str,
        output: &str,
        residual: &str,
        bias: Option<&Source<'a>>,
        state: usize,
    ) -> Result<Stream, GraphError> {
        let (spec, names) = (self.spec, &self.spec.names);
        let is_last = state == spec.layers;
        let norm = if is_last {
            names.final_norm.to_owned()
        } else {
            self.in_layer(state, names.attention_norm)
        };
        let norm = self.norm(&norm, spec.hidden)?;
        let result =
            self.builder
                .skip_norm(label, [output, residual], bias, &norm, spec.epsilon, true)?;
        let state = if is_last {
            result.output.clone()
        } else {
            result.sum.clone()
        };
        Ok(Stream {
            state,
            residual: result.sum,
            input: result.output,
        })
    }

    /// Attention over a row and the matrix behind it; the bias is left to the sum that follows.
    fn attention(
        &mut self,
        layer: usize,
        label: &str,
        input: &str,
    ) -> Result<(String, Source<'a>), GraphError> {
        let (spec, names) = (self.spec, &self.spec.names);
        let (matrix, bias) = match names.attention {
            AttentionNames::Merged(merged) => {
                let merged = self.in_layer(layer, merged);
                (
                    self.linear_matrix(&merged, spec.hidden, 3 * spec.hidden)?,
                    self.bias(&merged, 3 * spec.hidden)?,
                )
            }
            AttentionNames::Separate(separate) => {
                let [query, key, value] = separate.map(|name| self.in_layer(layer, name));
                let matrix = |name: &str| self.linear_matrix(name, spec.hidden, spec.hidden);
                let bias = |name: &str| self.bias(name, spec.hidden);
                (
                    Source::beside([matrix(&query)?, matrix(&key)?, matrix(&value)?]),
                    Source::beside([bias(&query)?, bias(&key)?, bias(&value)?]),
                )
            }
        };
        let scale = spec.scale.of(spec.hidden / spec.heads, layer);
        let name = format!("{label}.attention");
        let attended =
            self.builder
                .attention(&name, input, &matrix, &bias, spec.heads, scale, spec.causal)?;
        let output = self.in_layer(layer, names.attention_output);
        let matrix = self.linear_matrix(&output, spec.hidden, spec.hidden)?;
        let result =
            self.builder
                .matmul(&format!("{label}.attention.output"), &attended, &matrix)?;
        Ok((result, self.bias(&output, spec.hidden)?))
    }

    /// The feed-forward block; its last bias is left to the sum that follows.
    fn feed_forward(
        &mut self,
        layer: usize,
        label: &str,
        input: &str,
    ) -> Result<(String, Source<'a>), GraphError> {
        let (spec, names) = (self.spec, &self.spec.names);
        let inner = self.in_layer(layer, names.feed_forward_in);
        let matrix = self.linear_matrix(&inner, spec.hidden, spec.intermediate)?;
        let bias = self.bias(&inner, spec.intermediate)?;
        let wide = self
            .builder
            .matmul(&format!("{label}.feed_forward.in"), input, &matrix)?;
        let name = format!("{label}.feed_forward.activation");
        let active = self
            .builder
            .activation(&name, &wide, &bias, spec.activation)?;
        let outer = self.in_layer(layer, names.feed_forward_out);
        let matrix = self.linear_matrix(&outer, spec.intermediate, spec.hidden)?;
        let result = self
            .builder
            .matmul(&format!("{label}.feed_forward.out"), &active, &matrix)?;
        Ok((result, self.bias(&outer, spec.hidden)?))
    }
}

/// Where the weights come from. The sources borrow the checkpoint, not the graph.
impl<'a> EncoderGraph<'a> {
    fn in_layer(&self, layer: usize, name: &str) -> String {
        format!("{}{layer}.{name}", self.spec.names.layer)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Source<'a>, GraphError> {
        Ok(Source::stored(self.checkpoint.tensor(
            self.spec.names.prefixes,
            name,
            shape,
        )?))
    }

    /// A linear layer's matrix, `[inputs, outputs]`.
    fn linear_matrix(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Source<'a>, GraphError> {
        let name = format!("{name}.weight");
        match self.spec.linear {
            LinearLayout::InOut => self.tensor(&name, &[inputs, outputs]),
            LinearLayout::OutIn => Ok(self.tensor(&name, &[outputs, inputs])?.transposed()),
        }
    }

    fn bias(&self, name: &str, outputs: usize) -> Result<Source<'a>, GraphError> {
        self.tensor(&format!("{name}.bias"), &[outputs])
    }

    /// A layer norm's factors and offsets.
    fn norm(&self, name: &str, size: usize) -> Result<[Source<'a>; 2], GraphError> {
        Ok([
            self.tensor(&format!("{name}.weight"), &[size])?,
            self.bias(name, size)?,
        ])
    }
}

/// Why a graph could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The weights.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// ONNX Runtime refused a part.
    #[error("cannot build the encoder's graph: {0}")]
    Ort(#[from] ort::Error),
}

impl GraphError {
    /// Who has to mend it.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Checkpoint(error) => error.exit_status(),
            Self::Ort(_) => ExitStatus::Machine,
        }
    }
}
