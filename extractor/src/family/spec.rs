//! An encoder as the parts it is made of: what a graph needs to know of it, in one vocabulary for
//! all families.
//!
//! A part says what is computed, with its sizes, and what checkpoints call its tensors (without
//! `.weight` and `.bias`), so that a part which an encoder does not have has no name either. Each
//! part has a file in [`crate::graph`] that builds it.

use super::activation::Activation;
use super::config::Config;
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::rotary::Rotation;

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
    /// What differs in layers where a token sees only those near it, if there are such layers.
    pub local: Option<LocalAttention>,
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
        match self.position {
            PositionEncoding::Table { rows, ids, .. } => rows.saturating_sub(ids.first()),
            PositionEncoding::Rotary { positions, .. } => positions,
        }
    }

    /// How the tokens of a sequence are numbered.
    #[must_use]
    pub fn position_ids(&self) -> PositionIds {
        match self.position {
            PositionEncoding::Table { ids, .. } => ids,
            PositionEncoding::Rotary { .. } => PositionIds::FromZero,
        }
    }

    /// Size of the widest value in the feed-forward block.
    #[must_use]
    pub fn intermediate(&self) -> usize {
        match self.feed_forward {
            FeedForward::Plain { inner, .. } => inner,
            FeedForward::Gated { inner, .. } => 2 * inner,
        }
    }

    /// What a layer, from 0, has in place of attention over the whole sequence, if anything.
    #[must_use]
    pub fn local_attention(&self, layer: usize) -> Option<&LocalAttention> {
        let local = self.local.as_ref()?;
        let is_local = local.layers.get(layer).copied().unwrap_or(false);
        is_local.then_some(local)
    }

    /// Checks what the rest of the crate relies on.
    pub(super) fn check(&self, config: &Config) -> Result<(), FamilyError> {
        match self.position {
            PositionEncoding::Table { rows, ids, .. } if self.max_positions() == 0 => {
                let expected = format!("at least {}", ids.first() + 1);
                Err(config.wrong("max_position_embeddings", &expected, rows))
            }
            PositionEncoding::Table { .. } | PositionEncoding::Rotary { .. } => Ok(()),
        }
    }
}

/// From token ids to the first hidden state: the sum of table rows, and what is done with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Embedding {
    /// The word table, `[vocabulary, size]`.
    pub words: &'static str,
    /// Rows of the word table: every token id is below it.
    pub vocabulary: usize,
    /// Size of an embedding.
    pub size: usize,
    /// The token type table, if there is one.
    pub token_types: Option<TokenTypes>,
    /// What a word's embedding is multiplied with before anything is added, if it is.
    pub scale: Option<f32>,
    /// The norm of the sum, if there is one.
    pub norm: Option<&'static str>,
    /// The linear layer from `size` to the hidden size, if they differ.
    pub projection: Option<&'static str>,
}

/// A token type table, `[rows, size]`. Every token of a sequence is of type 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenTypes {
    /// The table.
    pub table: &'static str,
    /// Its rows.
    pub rows: usize,
}

/// How an encoder knows the order of its tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum PositionEncoding {
    /// Queries and keys are turned by angles that grow with the position (Su et al. 2021).
    Rotary {
        /// Positions that the encoder was made for.
        positions: usize,
        /// The angles.
        rotation: Rotation,
    },
    /// A row of a learned (or stored sinusoidal) table is added to each word embedding.
    Table {
        /// The table, `[rows, embedding size]`.
        table: &'static str,
        /// Its rows.
        rows: usize,
        /// Which row a token takes.
        ids: PositionIds,
    },
}

/// Multi-head self-attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Number of heads.
    pub heads: usize,
    /// Heads of keys and values, each shared by as many heads of queries.
    pub key_heads: usize,
    /// Size of a head's queries, keys and values.
    pub head_size: usize,
    /// Whether a token sees only itself and what comes before it.
    pub causal: bool,
    /// What scores are multiplied with before the softmax.
    pub scale: AttentionScale,
    /// Whether the linear layers of query, key and value have biases.
    pub bias: bool,
    /// Whether the linear layer after the heads has one.
    pub output_bias: bool,
    /// Query, key and value.
    pub input: AttentionInput,
    /// The norms of the queries and of the keys of each head, if there are any.
    pub norms: Option<[&'static str; 2]>,
    /// The linear layer after the heads.
    pub output: &'static str,
}

impl Attention {
    /// Size of the queries of all heads together.
    #[must_use]
    pub fn size(&self) -> usize {
        self.heads * self.head_size
    }

    /// Sizes of queries, keys and values.
    #[must_use]
    pub fn sizes(&self) -> [usize; 3] {
        [self.size(), self.key_size(), self.key_size()]
    }

    /// Size of the keys, or of the values, of all heads together.
    #[must_use]
    pub fn key_size(&self) -> usize {
        self.key_heads * self.head_size
    }
}

/// Attention of tokens to those near them.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalAttention {
    /// The largest distance between two tokens that see each other.
    pub distance: usize,
    /// For each layer, whether it is local.
    pub layers: Vec<bool>,
    /// The angles of local layers, where they are others.
    pub rotation: Option<Rotation>,
}

/// How checkpoints store the linear layers of query, key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionInput {
    /// A linear layer for each.
    Separate([&'static str; 3]),
    /// One linear layer for all three, side by side.
    Merged(&'static str),
}

/// What attention scores are multiplied with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionScale {
    /// 1 / sqrt(head size).
    pub by_head_size: bool,
    /// 1 / (layer + 1).
    pub by_layer: bool,
}

impl AttentionScale {
    /// What nearly all encoders do.
    pub const STANDARD: Self = Self {
        by_head_size: true,
        by_layer: false,
    };

    /// The factor in a layer.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "head sizes and layers are small numbers"
    )]
    pub fn factor(self, head_size: usize, layer: usize) -> f32 {
        let by_head_size = if self.by_head_size {
            1.0 / (head_size as f32).sqrt()
        } else {
            1.0
        };
        let by_layer = if self.by_layer {
            1.0 / (layer + 1) as f32
        } else {
            1.0
        };
        by_head_size * by_layer
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
    /// `output(activation(a) * b)`, where `a` and `b` are linear in the input (Shazeer 2020).
    Gated {
        /// Size of `a` and of `b`.
        inner: usize,
        /// The non-linearity.
        activation: Activation,
        /// Whether the linear layers have biases.
        bias: bool,
        /// The linear layers from the hidden size to `a` and `b`.
        input: GatedInput,
        /// The linear layer back.
        output: &'static str,
    },
}

/// How checkpoints store the two linear layers into a gated feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatedInput {
    /// A linear layer for what the activation is of, and one for what it is multiplied with.
    Separate([&'static str; 2]),
    /// One linear layer for both, side by side in that order.
    Merged(&'static str),
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
    /// RMS norm: `x / sqrt(mean(x^2) + epsilon) * weight` (Zhang and Sennrich 2019).
    Rms {
        /// Added to the mean of squares.
        epsilon: f32,
        /// Whether checkpoints store the weight less 1.
        less_one: bool,
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
    /// `x = x + block(norm(x))` for each block, and one more norm after the last layer (GPT-2).
    PreNorm {
        /// The norm of the attention block.
        attention: &'static str,
        /// Whether the attention block of the first layer has one.
        first: bool,
        /// The norm of the feed-forward block.
        feed_forward: &'static str,
        /// The norm after the last layer; its output is the last hidden state.
        last: &'static str,
    },
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
    /// What stands before the number of a layer.
    pub layer: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_scaled_by_head_size_and_layer() {
        assert_eq!(
            AttentionScale::STANDARD.factor(64, 5).to_bits(),
            0.125_f32.to_bits()
        );
        let both = AttentionScale {
            by_head_size: true,
            by_layer: true,
        };
        assert_eq!(both.factor(16, 1).to_bits(), 0.125_f32.to_bits());
        let neither = AttentionScale {
            by_head_size: false,
            by_layer: false,
        };
        assert_eq!(neither.factor(16, 1).to_bits(), 1.0_f32.to_bits());
    }
}
