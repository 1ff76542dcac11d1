//! BERT (Devlin et al. 2019), and what its relatives share with it.

use super::activation::Activation;
use super::attention::{Attention, AttentionInput};
use super::config::Config;
use super::embedding::{Embedding, TokenTypes};
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::spec::{
    EncoderSpec, FeedForward, LinearLayout, Norm, PositionEncoding, ResidualOrder, TensorNames,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["bert"],
    spec: |config| spec(config, "bert", &["", "bert."], PositionIds::FromZero),
};

/// An encoder with BERT's layers. Missing settings are those of `BertConfig`.
pub(super) fn spec(
    config: &Config,
    family: &'static str,
    prefixes: &'static [&'static str],
    ids: PositionIds,
) -> Result<EncoderSpec, FamilyError> {
    let token_types = config.size_or(&["type_vocab_size"], 2)?;
    let mut spec = without_token_types(config, family, prefixes, ids)?;
    spec.embedding.token_types = Some(token_types_of(token_types));
    Ok(spec)
}

/// A table of so many token types.
pub(super) const fn token_types_of(rows: usize) -> TokenTypes {
    TokenTypes {
        table: "embeddings.token_type_embeddings",
        rows,
        told: false,
    }
}

/// The same, whatever `type_vocab_size` says.
pub(super) fn without_token_types(
    config: &Config,
    family: &'static str,
    prefixes: &'static [&'static str],
    ids: PositionIds,
) -> Result<EncoderSpec, FamilyError> {
    config.require_text("position_embedding_type", "absolute")?;
    layers(config, family, prefixes, ids)
}

/// The same, whatever `position_embedding_type` says.
pub(super) fn layers(
    config: &Config,
    family: &'static str,
    prefixes: &'static [&'static str],
    ids: PositionIds,
) -> Result<EncoderSpec, FamilyError> {
    config.require_off("add_cross_attention")?;
    let hidden = config.size(&["hidden_size"])?;
    let layers = config.size(&["num_hidden_layers"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let inner = config.size(&["intermediate_size"])?;
    let vocabulary = config.size(&["vocab_size"])?;
    let rows = config.size(&["max_position_embeddings"])?;
    Ok(EncoderSpec {
        family,
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
            ids,
        },
        feed_forward: FeedForward::Plain {
            inner,
            activation: Activation::from_config(config, "hidden_act", "gelu")?,
            bias: true,
            input: "intermediate.dense",
            output: "output.dense",
        },
        norm: Norm::Layer {
            epsilon: config.epsilon_or("layer_norm_eps", 1e-12)?,
            bias: true,
        },
        attention: Attention {
            causal: config.switch_or("is_decoder", false)?,
            ..Attention::plain(
                heads,
                config.head_size(hidden, heads)?,
                AttentionInput::Separate([
                    "attention.self.query",
                    "attention.self.key",
                    "attention.self.value",
                ]),
                "attention.output.dense",
            )
        },
        residual: ResidualOrder::PostNorm {
            attention: "attention.output.LayerNorm",
            feed_forward: "output.LayerNorm",
        },
        linear: LinearLayout::OutIn,
        names: TensorNames {
            prefixes,
            layer: "encoder.layer.",
            groups: None,
        },
    })
}
