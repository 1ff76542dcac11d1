//! The sizes of an encoder that is loaded.

use crate::family::{Blocks, EncoderSpec};

/// What callers need to know of an encoder besides its weights.
pub(super) struct Sizes {
    pub(super) family: String,
    /// Number of hidden states: one of the embeddings and one for each transformer layer.
    pub(super) states: usize,
    pub(super) hidden: usize,
    pub(super) heads: usize,
    /// Heads whose scores have biases by distance: all or none.
    pub(super) biased_heads: usize,
    /// Whether attention scores have terms for distances.
    pub(super) distances: bool,
    /// Whether layers without a window have a bias of scores.
    pub(super) full_bias: bool,
    /// The blocks in which windows are computed, if there are any.
    pub(super) blocks: Option<Blocks>,
    /// Whether scores are capped.
    pub(super) capped: bool,
    pub(super) intermediate: usize,
    /// Number of token ids.
    pub(super) vocabulary: usize,
    /// Longest sequence in tokens.
    pub(super) max_positions: usize,
}

impl Sizes {
    /// The sizes of an encoder of which `layers` layers are computed.
    pub(super) fn from_spec(spec: &EncoderSpec, layers: usize) -> Self {
        Self {
            family: spec.family.to_owned(),
            states: spec.states(),
            hidden: spec.hidden,
            heads: spec.attention.heads,
            biased_heads: spec.biased_heads(),
            distances: spec.attention.disentangled.is_some(),
            full_bias: spec.biases(layers)[0],
            blocks: spec.blocks(layers),
            capped: spec.attention.soft_cap.is_some(),
            intermediate: spec.intermediate(),
            vocabulary: spec.embedding.vocabulary,
            max_positions: spec.max_positions(),
        }
    }
}
