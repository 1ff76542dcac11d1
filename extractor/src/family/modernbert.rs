//! `ModernBERT` (Warner et al. 2024): rotary positions, gated feed-forward, no biases, and layers
//! that see only tokens nearby, with angles of their own, between layers that see all.

use super::activation::Activation;
use super::config::Config;
use super::error::FamilyError;
use super::reader::Family;
use super::rotary::Settings;
use super::spec::{
    Attention, AttentionInput, AttentionScale, Embedding, EncoderSpec, FeedForward, GatedInput,
    LinearLayout, LocalAttention, Norm, PositionEncoding, ResidualOrder, TensorNames,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["modernbert"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let hidden = config.size(&["hidden_size"])?;
    let layers = config.size(&["num_hidden_layers"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let head_size = config.head_size(hidden, heads)?;
    let positions = config.size_or(&["max_position_embeddings"], 8192)?;
    let bias = config.switch_or("attention_bias", false)?;
    let rotation = |layer_type, field, base| {
        let base = config.number_or(field, base)?;
        Settings::new(config, Some(layer_type), base, head_size)?.rotation(positions)
    };
    let every = config.size_or(&["global_attn_every_n_layers"], 3)?;
    let by_place = (0..layers).map(|layer| layer % every != 0).collect();
    // The window is counted over both sides.
    let window = config.size_or(&["local_attention"], 128)?;
    Ok(EncoderSpec {
        family: "modernbert",
        layers,
        hidden,
        embedding: Embedding {
            words: "embeddings.tok_embeddings",
            vocabulary: config.size(&["vocab_size"])?,
            size: hidden,
            token_types: None,
            scale: None,
            norm: Some("embeddings.norm"),
            projection: None,
        },
        position: PositionEncoding::Rotary {
            positions,
            rotation: rotation("full_attention", "global_rope_theta", 160_000.0)?,
        },
        feed_forward: FeedForward::Gated {
            inner: config.size(&["intermediate_size"])?,
            activation: Activation::from_config(config, "hidden_activation", "gelu")?,
            bias: config.switch_or("mlp_bias", false)?,
            input: GatedInput::Merged("mlp.Wi"),
            output: "mlp.Wo",
        },
        norm: Norm::Layer {
            epsilon: config.epsilon_or("norm_eps", 1e-5)?,
            bias: config.switch_or("norm_bias", false)?,
        },
        attention: Attention {
            heads,
            key_heads: heads,
            head_size,
            causal: false,
            scale: AttentionScale::STANDARD,
            bias,
            output_bias: bias,
            norms: None,
            input: AttentionInput::Merged("attn.Wqkv"),
            output: "attn.Wo",
        },
        local: Some(LocalAttention {
            distance: window / 2,
            layers: config.local_layers(layers)?.unwrap_or(by_place),
            rotation: Some(rotation("sliding_attention", "local_rope_theta", 10_000.0)?),
        }),
        residual: ResidualOrder::PreNorm {
            attention: "attn_norm",
            first: false,
            feed_forward: "mlp_norm",
            last: "final_norm",
        },
        linear: LinearLayout::OutIn,
        names: TensorNames {
            prefixes: &["", "model."],
            layer: "layers.",
        },
    })
}
