//! GPT-NeoX (Black et al. 2022), of which Pythia is made: both blocks of a layer read the same hidden
//! state, and a part of each head is turned by its position.

use super::activation::Activation;
use super::attention::{Attention, AttentionInput};
use super::config::Config;
use super::embedding::Embedding;
use super::error::FamilyError;
use super::reader::Family;
use super::rotary::{RotaryDefaults, rotary};
use super::spec::{
    EncoderSpec, FeedForward, LinearLayout, Norm, PositionEncoding, ResidualOrder, TensorNames,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["gpt_neox"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let hidden = config.size(&["hidden_size"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let head_size = config.head_size(hidden, heads)?;
    let longest = config.size(&["max_position_embeddings"])?;
    let defaults = RotaryDefaults {
        theta: ("rotary_emb_base", 10_000.0),
        share: Some(("rotary_pct", 0.25)),
        ..RotaryDefaults::PLAIN
    };
    let rotary = rotary(config, head_size, longest, defaults)?;
    let bias = config.switch_or("attention_bias", true)?;
    let (attention, feed_forward, last) = (
        "input_layernorm",
        "post_attention_layernorm",
        "final_layer_norm",
    );
    let residual = if config.switch_or("use_parallel_residual", true)? {
        ResidualOrder::Parallel {
            attention,
            feed_forward,
            last,
        }
    } else {
        ResidualOrder::PreNorm {
            attention,
            feed_forward,
            last: Some(last),
            in_first_layer: true,
        }
    };
    Ok(EncoderSpec {
        family: "gpt_neox",
        layers: config.size(&["num_hidden_layers"])?,
        hidden,
        embedding: Embedding::words_alone("embed_in", config.size(&["vocab_size"])?, hidden),
        position: PositionEncoding::rotary(rotary, longest),
        attention: Attention {
            causal: true,
            bias,
            output_bias: bias,
            ..Attention::plain(
                heads,
                head_size,
                AttentionInput::MergedByHead("attention.query_key_value"),
                "attention.dense",
            )
        },
        feed_forward: FeedForward::Plain {
            inner: config.size(&["intermediate_size"])?,
            activation: Activation::from_config(config, "hidden_act", "gelu")?,
            bias: true,
            input: "mlp.dense_h_to_4h",
            output: "mlp.dense_4h_to_h",
        },
        norm: Norm::Layer {
            epsilon: config.epsilon_or("layer_norm_eps", 1e-5)?,
            bias: true,
        },
        residual,
        linear: LinearLayout::OutIn,
        names: TensorNames {
            prefixes: &["", "gpt_neox."],
            layer: "layers.",
            groups: None,
        },
    })
}
