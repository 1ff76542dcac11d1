//! What the self-attention of an encoder computes, and how checkpoints store it.

use super::disentangled::Disentangled;
use super::relative_bias::RelativeBias;
use super::window::Window;

/// Multi-head self-attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Number of heads.
    pub heads: usize,
    /// Number of heads of keys and values, each of which serves as many heads of queries (Ainslie
    /// et al. 2023). A divisor of `heads`.
    pub key_heads: usize,
    /// Size of a head's queries, keys and values.
    pub head_size: usize,
    /// Whether a token sees only itself and what comes before it.
    pub causal: bool,
    /// What scores are multiplied with before the softmax.
    pub scale: AttentionScale,
    /// Which layers see no farther than so many tokens, if any.
    pub window: Option<Window>,
    /// Scores `s` become `cap * tanh(s / cap)`, where there is a cap.
    pub soft_cap: Option<f32>,
    /// The norms of queries and keys, if there are any.
    pub norms: Option<QueryKeyNorms>,
    /// What is added to scores by the distance of two tokens, if anything is.
    pub relative_bias: Option<RelativeBias>,
    /// The terms of scores for distances, if there are any (`DeBERTa`).
    pub disentangled: Option<Disentangled>,
    /// Whether the linear layers of query, key and value have biases.
    pub bias: bool,
    /// Whether the linear layer after the heads has one.
    pub output_bias: bool,
    /// Query, key and value.
    pub input: AttentionInput,
    /// The linear layer after the heads.
    pub output: &'static str,
}

impl Attention {
    /// Attention as nearly all encoders have it, with as many heads of keys as of queries.
    #[must_use]
    pub const fn plain(
        heads: usize,
        head_size: usize,
        input: AttentionInput,
        output: &'static str,
    ) -> Self {
        Self {
            heads,
            key_heads: heads,
            head_size,
            causal: false,
            scale: AttentionScale::STANDARD,
            window: None,
            soft_cap: None,
            norms: None,
            relative_bias: None,
            disentangled: None,
            bias: true,
            output_bias: true,
            input,
            output,
        }
    }

    /// Size of the queries of all heads together.
    #[must_use]
    pub fn size(&self) -> usize {
        self.heads * self.head_size
    }

    /// Sizes of the queries, keys and values of all heads together.
    #[must_use]
    pub fn sizes(&self) -> [usize; 3] {
        [self.size(), self.key_size(), self.key_size()]
    }

    /// Size of the keys or values of all heads together.
    #[must_use]
    pub fn key_size(&self) -> usize {
        self.key_heads * self.head_size
    }
}

/// Norms of queries and keys, of the kind of all norms of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryKeyNorms {
    /// The norm of queries.
    pub query: &'static str,
    /// The norm of keys.
    pub key: &'static str,
    /// Whether each head is normalised by itself, with the same weights, or all together.
    pub by_head: bool,
}

/// How checkpoints store the linear layers of query, key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionInput {
    /// A linear layer for each.
    Separate([&'static str; 3]),
    /// One linear layer for all three, side by side.
    Merged(&'static str),
    /// One linear layer, in which query, key and value of a head stand side by side, then those of
    /// the next head.
    MergedByHead(&'static str),
    /// The same matrix without a bias; queries and values of all heads have one each, and keys have
    /// none.
    MergedByHeadBiased {
        /// The linear layer.
        matrix: &'static str,
        /// The bias of queries, a tensor.
        query_bias: &'static str,
        /// The bias of values, a tensor.
        value_bias: &'static str,
    },
}

/// What attention scores are multiplied with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionScale {
    /// 1 / sqrt(head size).
    pub by_head_size: bool,
    /// A number in place of the head size.
    pub instead: Option<f32>,
    /// 1 / (layer + 1).
    pub by_layer: bool,
}

impl AttentionScale {
    /// What nearly all encoders do.
    pub const STANDARD: Self = Self {
        by_head_size: true,
        instead: None,
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
            1.0 / self.instead.unwrap_or(head_size as f32).sqrt()
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
            instead: None,
            by_layer: true,
        };
        assert_eq!(both.factor(16, 1).to_bits(), 0.125_f32.to_bits());
        let neither = AttentionScale {
            by_head_size: false,
            instead: None,
            by_layer: false,
        };
        let instead = AttentionScale {
            instead: Some(4.0),
            ..AttentionScale::STANDARD
        };
        assert_eq!(instead.factor(64, 5).to_bits(), 0.5_f32.to_bits());
        assert_eq!(neither.factor(16, 1).to_bits(), 1.0_f32.to_bits());
    }
}
