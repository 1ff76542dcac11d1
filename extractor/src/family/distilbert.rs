//! `DistilBERT` (Sanh et al. 2019): BERT without token types, under other names.

use super::activation::Activation;
use super::attention::{Attention, AttentionInput};
use super::config::Config;
use super::embedding::Embedding;
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::spec::{
    EncoderSpec, FeedForward, LinearLayout, Norm, PositionEncoding, ResidualOrder, TensorNames,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["distilbert"],
    spec,
};

/// Sinusoidal position embeddings are stored as any others, so `sinusoidal_pos_embds` does not
/// matter.
fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let hidden = config.size(&["dim", "hidden_size"])?;
    let layers = config.size(&["n_layers", "num_hidden_layers"])?;
    let heads = config.size(&["n_heads", "num_attention_heads"])?;
    let inner = config.size(&["hidden_dim"])?;
    let vocabulary = config.size(&["vocab_size"])?;
    let rows = config.size(&["max_position_embeddings"])?;
    Ok(EncoderSpec {
        family: "distilbert",
        layers,
        hidden,
        embedding: Embedding {
            words: "embeddings.word_embeddings",
            words_also: None,
            vocabulary,
            size: hidden,
            token_types: None,
            scale: None,
            norm: Some("embeddings.LayerNorm"),
            projection: None,
            dropped_mask: None,
        },
        position: PositionEncoding::Table {
            table: "embeddings.position_embeddings",
            rows,
            ids: PositionIds::FromZero,
        },
        attention: Attention::plain(
            heads,
            config.head_size(hidden, heads)?,
            AttentionInput::Separate(["attention.q_lin", "attention.k_lin", "attention.v_lin"]),
            "attention.out_lin",
        ),
        feed_forward: FeedForward::Plain {
            inner,
            activation: Activation::from_config(config, "activation", "gelu")?,
            bias: true,
            input: "ffn.lin1",
            output: "ffn.lin2",
        },
        norm: Norm::Layer {
            epsilon: 1e-12,
            bias: true,
        },
        residual: ResidualOrder::PostNorm {
            attention: "sa_layer_norm",
            feed_forward: "output_layer_norm",
        },
        linear: LinearLayout::OutIn,
        names: TensorNames {
            prefixes: &["", "distilbert."],
            layer: "transformer.layer.",
            groups: None,
        },
    })
}
