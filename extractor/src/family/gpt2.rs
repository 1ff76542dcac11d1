//! GPT-2 (Radford et al. 2019): a causal encoder that normalises before its blocks, and once more
//! after the last.

use super::activation::Activation;
use super::attention::{Attention, AttentionInput, AttentionScale};
use super::config::Config;
use super::embedding::Embedding;
use super::error::FamilyError;
use super::position_ids::PositionIds;
use super::reader::Family;
use super::spec::{
    EncoderSpec, FeedForward, LinearLayout, Norm, PositionEncoding, ResidualOrder, TensorNames,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["gpt2"],
    spec,
};

/// `reorder_and_upcast_attn` is about rounding only.
fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    config.require_off("add_cross_attention")?;
    let hidden = config.size(&["n_embd", "hidden_size"])?;
    let layers = config.size(&["n_layer", "num_hidden_layers"])?;
    let heads = config.size(&["n_head", "num_attention_heads"])?;
    let inner = config.size_or(&["n_inner"], 4 * hidden)?;
    let vocabulary = config.size(&["vocab_size"])?;
    let rows = config.size(&["n_positions", "max_position_embeddings"])?;
    Ok(EncoderSpec {
        family: "gpt2",
        layers,
        hidden,
        embedding: Embedding::words_alone("wte", vocabulary, hidden),
        position: PositionEncoding::Table {
            table: "wpe",
            rows,
            ids: PositionIds::FromZero,
        },
        feed_forward: FeedForward::Plain {
            inner,
            activation: Activation::from_config(config, "activation_function", "gelu_new")?,
            bias: true,
            input: "mlp.c_fc",
            output: "mlp.c_proj",
        },
        norm: Norm::Layer {
            epsilon: config.epsilon_or("layer_norm_epsilon", 1e-5)?,
            bias: true,
        },
        attention: Attention {
            causal: true,
            scale: AttentionScale {
                by_head_size: config.switch_or("scale_attn_weights", true)?,
                instead: None,
                by_layer: config.switch_or("scale_attn_by_inverse_layer_idx", false)?,
            },
            ..Attention::plain(
                heads,
                config.head_size(hidden, heads)?,
                AttentionInput::Merged("attn.c_attn"),
                "attn.c_proj",
            )
        },
        residual: ResidualOrder::PreNorm {
            attention: "ln_1",
            feed_forward: "ln_2",
            last: Some("ln_f"),
            in_first_layer: true,
        },
        linear: LinearLayout::InOut,
        names: TensorNames {
            prefixes: &["", "transformer."],
            layer: "h.",
            groups: None,
        },
    })
}
