//! An encoder as the parts it is made of: what a graph needs to know of it, in one vocabulary for
//! all families.
//!
//! A part says what is computed, with its sizes, and what checkpoints call its tensors (without
//! `.weight` and `.bias`), so that a part which an encoder does not have has no name either. Each
//! part has a file in [`crate::graph`] that builds it.

use std::collections::BTreeSet;

use super::activation::Activation;
use super::attention::Attention;
use super::config::Config;
use super::embedding::Embedding;
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::rotary::Rotary;

/// One encoder.
#[derive(Debug, Clone)]
pub struct EncoderSpec {
    /// The `model_type`.
    pub family: &'static str,
    /// Number of transformer layers.
    pub layers: usize,
    /// Size of a hidden state.
    pub hidden: usize,
    /// From token ids to the first hidden state.
    pub embedding: Embedding,
    /// How the encoder knows the order of its tokens.
    pub position: PositionEncoding,
    /// Self-attention of each layer.
    pub attention: Attention,
    /// The feed-forward block of each layer.
    pub feed_forward: FeedForward,
    /// What every norm of the encoder computes.
    pub norm: Norm,
    /// Where norms and residual sums stand in a layer.
    pub residual: ResidualOrder,
    /// How checkpoints store the matrix of a linear layer.
    pub linear: LinearLayout,
    /// What stands before the names of tensors.
    pub names: TensorNames,
}

impl EncoderSpec {
    /// Number of hidden states: the embedding output and one for each transformer layer.
    #[must_use]
    pub fn states(&self) -> usize {
        self.layers + 1
    }

    /// Longest sequence in tokens, special tokens included.
    #[must_use]
    pub fn max_positions(&self) -> usize {
        match &self.position {
            PositionEncoding::Table { rows, ids, .. } => rows.saturating_sub(ids.first()),
            PositionEncoding::Rotary { longest, .. } | PositionEncoding::None { longest } => {
                *longest
            }
        }
    }

    /// How the tokens of a sequence are numbered.
    #[must_use]
    pub fn position_ids(&self) -> PositionIds {
        match &self.position {
            PositionEncoding::Table { ids, .. } => *ids,
            PositionEncoding::Rotary { .. } | PositionEncoding::None { .. } => {
                PositionIds::FromZero
            }
        }
    }

    /// Heads whose scores have biases by distance: all of them or none.
    #[must_use]
    pub fn biased_heads(&self) -> usize {
        self.attention
            .relative_bias
            .map_or(0, |_| self.attention.heads)
    }

    /// Widest result of a linear layer in the feed-forward block.
    #[must_use]
    pub fn intermediate(&self) -> usize {
        match self.feed_forward {
            FeedForward::Plain { inner, .. } => inner,
            // Both halves of the input, side by side.
            FeedForward::Gated { inner, .. } => 2 * inner,
        }
    }

    /// Checks what the rest of the crate relies on.
    pub(super) fn check(&self, config: &Config) -> Result<(), FamilyError> {
        match &self.position {
            PositionEncoding::Table { rows, ids, .. } if self.max_positions() == 0 => {
                let expected = format!("at least {}", ids.first() + 1);
                Err(config.wrong("max_position_embeddings", &expected, rows))
            }
            PositionEncoding::Table { .. }
            | PositionEncoding::Rotary { .. }
            | PositionEncoding::None { .. } => Ok(()),
        }
    }
}

/// How an encoder knows the order of its tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum PositionEncoding {
    /// A row of a learned (or stored sinusoidal) table is added to each word embedding.
    Table {
        /// The table, `[rows, embedding size]`.
        table: &'static str,
        /// Its rows.
        rows: usize,
        /// Which row a token takes.
        ids: PositionIds,
    },
    /// Queries and keys are turned by an angle that grows with the position (Su et al. 2021).
    Rotary {
        /// The angles in layers that see the whole sequence.
        full: Rotary,
        /// The angles in layers with a window.
        windowed: Rotary,
        /// Longest sequence in tokens.
        longest: usize,
    },
    /// Nothing of its own: attention scores depend on distances, or the encoder does not know the
    /// order.
    None {
        /// Longest sequence in tokens.
        longest: usize,
    },
}

impl PositionEncoding {
    /// The same angles in all layers, for sequences of up to `longest` tokens.
    #[must_use]
    pub fn rotary(angles: Rotary, longest: usize) -> Self {
        Self::Rotary {
            full: angles.clone(),
            windowed: angles,
            longest,
        }
    }
}

/// The feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedForward {
    /// `output(activation(input(x)))`.
    Plain {
        /// Size between the two linear layers.
        inner: usize,
        /// The non-linearity.
        activation: Activation,
        /// Whether the linear layers have biases.
        bias: bool,
        /// The linear layer from the hidden size to `inner`.
        input: &'static str,
        /// The linear layer back.
        output: &'static str,
    },
    /// `output(activation(gate(x)) * up(x))` (Shazeer 2020).
    Gated {
        /// Size between the linear layers.
        inner: usize,
        /// The non-linearity.
        activation: Activation,
        /// Whether the linear layers to `inner` have biases.
        bias: bool,
        /// Whether the linear layer back has one.
        output_bias: bool,
        /// The linear layers from the hidden size to `inner`.
        input: GatedInput,
        /// The linear layer back.
        output: &'static str,
    },
}

/// How checkpoints store the linear layers of a gated feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatedInput {
    /// The gate, whose result goes through the non-linearity, and the other one.
    Separate([&'static str; 2]),
    /// One linear layer for both, side by side, the gate first.
    Merged(&'static str),
    /// The same, the gate last.
    MergedGateLast(&'static str),
}

/// What a norm computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Norm {
    /// Layer norm: `(x - mean) / sqrt(variance + epsilon) * weight + bias`.
    Layer {
        /// Added to the variance.
        epsilon: f32,
        /// Whether there is a bias.
        bias: bool,
    },
    /// Layer norm without weights: `(x - mean) / sqrt(variance + epsilon)`.
    Plain {
        /// Added to the variance.
        epsilon: f32,
    },
    /// RMS norm (Zhang and Sennrich 2019): `x / sqrt(mean(x²) + epsilon) * weight`.
    Rms {
        /// Added to the mean of squares.
        epsilon: f32,
        /// Whether the weights are stored as what they have more than 1 (Gemma).
        one_more: bool,
    },
}

/// Where norms and residual sums stand in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResidualOrder {
    /// `x = norm(x + block(x))` for each block (BERT).
    PostNorm {
        /// The norm of the attention block.
        attention: &'static str,
        /// The norm of the feed-forward block.
        feed_forward: &'static str,
    },
    /// The same with a convolution beside the first layer (DeBERTa-v2 XL).
    PostNormConvolution {
        /// The norm of the attention block.
        attention: &'static str,
        /// The norm of the feed-forward block.
        feed_forward: &'static str,
        /// The convolution.
        convolution: Convolution,
    },
    /// `x = x + block(norm(x))` for each block, and most often one more norm after the last layer
    /// (GPT-2).
    PreNorm {
        /// The norm of the attention block.
        attention: &'static str,
        /// The norm of the feed-forward block.
        feed_forward: &'static str,
        /// The norm after the last layer, if there is one; its output is the last hidden state.
        last: Option<&'static str>,
        /// Whether the attention block of the first layer has a norm as the others do.
        in_first_layer: bool,
    },
    /// `x = x + attention(norm(x)) + feed_forward(norm(x))`, and one more norm after the last
    /// layer (GPT-NeoX).
    Parallel {
        /// The norm of the attention block.
        attention: &'static str,
        /// The norm of the feed-forward block.
        feed_forward: &'static str,
        /// The norm after the last layer; its output is the last hidden state.
        last: &'static str,
    },
    /// `x = x + norm(block(norm(x)))` for each block, and one more norm after the last layer
    /// (Gemma 2), or without the inner norm (`OLMo` 2).
    BlockNorms {
        /// The norms before the attention block and the feed-forward block, if there are any.
        before: Option<[&'static str; 2]>,
        /// The norms after the two.
        after: [&'static str; 2],
        /// The norm after the last layer; its output is the last hidden state.
        last: &'static str,
    },
}

/// A convolution of hidden state 0 beside the first layer, whose output becomes
/// `norm(layer(x) + activation(convolution(x)))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Its weights, `[hidden, hidden / groups, kernel]`, and a bias.
    pub name: &'static str,
    /// The norm of the sum.
    pub norm: &'static str,
    /// Tokens that it sees at a time, an odd number: half of them to each side.
    pub kernel: usize,
    /// Parts of the hidden size that do not meet.
    pub groups: usize,
    /// The non-linearity.
    pub activation: Activation,
}

/// How checkpoints store the matrix of a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinearLayout {
    /// `[out, in]`, as `torch.nn.Linear`.
    OutIn,
    /// `[in, out]`, as GPT-2's `Conv1D`.
    InOut,
}

/// What stands before the names of tensors in checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorNames {
    /// What may stand before every name: nothing, or the base model's name in a task model.
    pub prefixes: &'static [&'static str],
    /// What stands before the number of a layer, or of a group of layers.
    pub layer: &'static str,
    /// The groups, where layers are stored in groups that are passed more than once.
    pub groups: Option<LayerGroups>,
}

impl TensorNames {
    /// The name of a tensor of layer `layer`, from 0.
    #[must_use]
    pub fn in_layer(&self, layer: usize, name: &str) -> String {
        let begin = self.layer;
        match self.groups {
            None => format!("{begin}{layer}.{name}"),
            Some(groups) => {
                let (group, inner) = groups.place(layer);
                format!("{begin}{group}.{}{inner}.{name}", groups.name)
            }
        }
    }
}

/// Groups of layers that an encoder passes several times, each time with the same weights
/// (ALBERT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerGroups {
    /// What stands between the number of a group and that of a layer in it.
    pub name: &'static str,
    /// Number of groups.
    pub groups: usize,
    /// How often a group is passed, all groups together: the layers of the encoder are
    /// `passes * layers`.
    pub passes: usize,
    /// Layers of a group.
    pub layers: usize,
}

impl LayerGroups {
    /// How many of the first `layers` layers of the encoder have weights that none before them has.
    #[must_use]
    pub fn distinct(self, layers: usize) -> usize {
        let places: BTreeSet<_> = (0..layers).map(|layer| self.place(layer)).collect();
        places.len()
    }

    /// Group, and layer in the group, of layer `layer` of the encoder.
    #[must_use]
    pub fn place(self, layer: usize) -> (usize, usize) {
        let pass = layer / self.layers;
        // transformers divides in float64, and where the passes are no multiple of the groups a
        // quotient may come out just below a whole number.
        let group = f64_of(pass) / (f64_of(self.passes) / f64_of(self.groups));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a quotient of small positive numbers, rounded down on purpose"
        )]
        let group = group as usize;
        (group, layer % self.layers)
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of layers are small")]
const fn f64_of(number: usize) -> f64 {
    number as f64
}
