//! `ModernBERT` (Warner et al. 2024): rotary positions, norms before the blocks and none before the
//! first, a gated feed-forward block, and a window in most layers, which have angles of their own.

use super::activation::Activation;
use super::attention::{Attention, AttentionInput};
use super::config::Config;
use super::embedding::Embedding;
use super::error::FamilyError;
use super::reader::Family;
use super::rotary::{RotaryDefaults, rotary};
use super::spec::{
    EncoderSpec, FeedForward, GatedInput, LinearLayout, Norm, PositionEncoding, ResidualOrder,
    TensorNames,
};
use super::window::{Window, windowed_layers};

pub(super) const FAMILY: Family = Family {
    model_types: &["modernbert"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let hidden = config.size(&["hidden_size"])?;
    let layers = config.size(&["num_hidden_layers"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let head_size = config.head_size(hidden, heads)?;
    let longest = config.size(&["max_position_embeddings"])?;
    let every = config.size_or(&["global_attn_every_n_layers"], 3)?;
    let windowed = windowed_layers(config, layers, |layer| !layer.is_multiple_of(every))?;
    let angles = |layers: &'static str, theta: (&'static str, f64)| {
        let defaults = RotaryDefaults {
            layers: Some(layers),
            theta,
            ..RotaryDefaults::PLAIN
        };
        rotary(config, head_size, longest, defaults)
    };
    let bias = config.switch_or("attention_bias", false)?;
    let mlp_bias = config.switch_or("mlp_bias", false)?;
    Ok(EncoderSpec {
        family: "modernbert",
        layers,
        hidden,
        embedding: Embedding {
            norm: Some("embeddings.norm"),
            ..Embedding::words_alone(
                "embeddings.tok_embeddings",
                config.size(&["vocab_size"])?,
                hidden,
            )
        },
        position: PositionEncoding::Rotary {
            full: angles("full_attention", ("global_rope_theta", 160_000.0))?,
            windowed: angles("sliding_attention", ("local_rope_theta", 10_000.0))?,
            longest,
        },
        attention: Attention {
            // Half of local_attention to each side.
            window: Window::in_layers(config.size_or(&["local_attention"], 128)? / 2, windowed),
            bias,
            output_bias: bias,
            ..Attention::plain(
                heads,
                head_size,
                AttentionInput::Merged("attn.Wqkv"),
                "attn.Wo",
            )
        },
        feed_forward: FeedForward::Gated {
            inner: config.size(&["intermediate_size"])?,
            activation: Activation::from_config(config, "hidden_activation", "gelu")?,
            bias: mlp_bias,
            output_bias: mlp_bias,
            input: GatedInput::Merged("mlp.Wi"),
            output: "mlp.Wo",
        },
        norm: Norm::Layer {
            epsilon: config.epsilon_or("norm_eps", 1e-5)?,
            bias: config.switch_or("norm_bias", false)?,
        },
        residual: ResidualOrder::PreNorm {
            attention: "attn_norm",
            feed_forward: "mlp_norm",
            last: Some("final_norm"),
            in_first_layer: false,
        },
        linear: LinearLayout::OutIn,
        names: TensorNames {
            prefixes: &["", "model."],
            layer: "layers.",
            groups: None,
        },
    })
}
