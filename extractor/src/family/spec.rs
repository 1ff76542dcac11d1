//! Everything a graph needs to know of an encoder, in one vocabulary for all
//! families.

use super::{Activation, Config, FamilyError};

/// One encoder.
#[derive(Debug, Clone)]
pub struct EncoderSpec {
    /// The `model_type`.
    pub family: &'static str,
    /// Transformer layers.
    pub layers: usize,
    /// Size of a hidden state.
    pub hidden: usize,
    /// Size of an embedding; where it is not `hidden`, a projection follows.
    pub embedding: usize,
    /// Attention heads; they divide `hidden`.
    pub heads: usize,
    /// Inner size of the feed-forward block.
    pub intermediate: usize,
    /// Rows of the word embedding table.
    pub vocabulary: usize,
    /// Rows of the position embedding table.
    pub position_rows: usize,
    /// Rows of the token type table; 0 where there is none. A sequence is all of type 0.
    pub token_types: usize,
    /// How tokens are numbered.
    pub positions: Positions,
    /// Non-linearity of the feed-forward block.
    pub activation: Activation,
    /// Added to the variance in layer norms.
    pub epsilon: f32,
    /// Where layer norms stand.
    pub norm: NormPlacement,
    /// Whether a token sees only itself and what comes before it.
    pub causal: bool,
    /// What attention scores are multiplied with.
    pub scale: AttentionScale,
    /// How checkpoints store the matrix of a linear layer.
    pub linear: LinearLayout,
    /// What checkpoints call the tensors.
    pub names: TensorNames,
}

impl EncoderSpec {
    /// Hidden states: the embedding output and one a transformer layer.
    #[must_use]
    pub fn states(&self) -> usize {
        self.layers + 1
    }

    /// Longest sequence in tokens, special tokens included.
    #[must_use]
    pub fn max_positions(&self) -> usize {
        self.position_rows.saturating_sub(self.positions.first())
    }

    /// What the rest of the crate relies on.
    pub(super) fn check(&self, config: &Config) -> Result<(), FamilyError> {
        if !self.hidden.is_multiple_of(self.heads) {
            let (hidden, heads) = (self.hidden, self.heads);
            return Err(config.wrong(
                "num_attention_heads",
                &format!("a divisor of the hidden size {hidden}"),
                heads,
            ));
        }
        if self.max_positions() == 0 {
            let least = self.positions.first() + 1;
            let got = self.position_rows;
            return Err(config.wrong("max_position_embeddings", &format!("at least {least}"), got));
        }
        Ok(())
    }
}

/// Where layer norms stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlacement {
    /// After each block and its residual sum, and after the embeddings (BERT).
    Post,
    /// Before each block, and once more after the last (GPT-2).
    Pre,
}

/// How the tokens of a sequence are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// 0, 1, 2, ...
    FromZero,
    /// From one above the padding token's id on; padding tokens within a sequence share its id and
    /// are not counted (`RoBERTa`).
    AfterPadding {
        /// Id of the padding token.
        padding: i32,
    },
}

impl Positions {
    /// Number of the first token.
    #[must_use]
    pub fn first(self) -> usize {
        match self {
            Self::FromZero => 0,
            Self::AfterPadding { padding } => usize::try_from(padding).unwrap_or(0) + 1,
        }
    }

    /// The number of each token of `sequence`, `[tokens]`.
    #[must_use]
    pub fn of(self, sequence: &[i32]) -> Vec<i32> {
        match self {
            Self::FromZero => (0..).zip(sequence).map(|(position, _)| position).collect(),
            Self::AfterPadding { padding } => sequence
                .iter()
                .scan(padding, |last, &id| {
                    *last += i32::from(id != padding);
                    Some(if id == padding { padding } else { *last })
                })
                .collect(),
        }
    }
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
    pub fn of(self, head_size: usize, layer: usize) -> f32 {
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

/// How checkpoints store the matrix of a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinearLayout {
    /// `[out, in]`, as `torch.nn.Linear`.
    OutIn,
    /// `[in, out]`, as GPT-2's `Conv1D`.
    InOut,
}

/// What checkpoints call the tensors, without `.weight` and `.bias`.
#[derive(Debug, Clone)]
pub struct TensorNames {
    /// What may stand before every name: nothing, or the base model's name in a task model.
    pub prefixes: &'static [&'static str],
    /// Word embeddings.
    pub words: &'static str,
    /// Position embeddings.
    pub positions: &'static str,
    /// Token type embeddings; needed if there are token types.
    pub token_types: &'static str,
    /// The norm after the embeddings, where norms stand after.
    pub embedding_norm: &'static str,
    /// The projection of embeddings to the hidden size, where they differ.
    pub projection: &'static str,
    /// The norm after the last layer, where norms stand before.
    pub final_norm: &'static str,
    /// What stands before a layer's number.
    pub layer: &'static str,
    /// Query, key and value.
    pub attention: AttentionNames,
    /// The linear layer after attention.
    pub attention_output: &'static str,
    /// The norm of the attention block.
    pub attention_norm: &'static str,
    /// First linear layer of the feed-forward block.
    pub feed_forward_in: &'static str,
    /// Second one.
    pub feed_forward_out: &'static str,
    /// The norm of the feed-forward block.
    pub feed_forward_norm: &'static str,
}

/// What checkpoints call query, key and value.
#[derive(Debug, Clone, Copy)]
pub enum AttentionNames {
    /// A linear layer each.
    Separate([&'static str; 3]),
    /// One for all three.
    Merged(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roberta_counts_from_above_its_padding_and_not_the_padding() {
        let positions = Positions::AfterPadding { padding: 1 };
        assert_eq!(positions.of(&[0, 7, 1, 9, 2]), [2, 3, 1, 4, 5]);
        assert_eq!(Positions::FromZero.of(&[0, 7, 1]), [0, 1, 2]);
    }

    #[test]
    fn scores_are_scaled_by_head_size_and_layer() {
        assert_eq!(
            AttentionScale::STANDARD.of(64, 5).to_bits(),
            0.125_f32.to_bits()
        );
        let both = AttentionScale {
            by_head_size: true,
            by_layer: true,
        };
        assert_eq!(both.of(16, 1).to_bits(), 0.125_f32.to_bits());
        let neither = AttentionScale {
            by_head_size: false,
            by_layer: false,
        };
        assert_eq!(neither.of(16, 1).to_bits(), 1.0_f32.to_bits());
    }
}
