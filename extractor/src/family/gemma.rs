//! Gemma (Gemma Team 2024), a decoder as a frozen encoder: Llama's layers with embeddings that are
//! scaled and norms whose weights are stored less 1.

use super::activation::Activation;
use super::config::Config;
use super::error::FamilyError;
use super::llama;
use super::reader::Family;
use super::spec::{EncoderSpec, FeedForward, Norm};

pub(super) const FAMILY: Family = Family {
    model_types: &["gemma"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    config.require_off("use_bidirectional_attention")?;
    let mut spec = llama::decoder(
        config,
        llama::Variant {
            positions: 8192,
            head_size: Some(config.size_or(&["head_dim"], 256)?),
            key_heads: config.size_or(&["num_key_value_heads"], 16)?,
            mlp_bias: false,
            ..llama::Variant::new(config, "gemma")?
        },
    )?;
    spec.embedding.scale = Some(scale(spec.hidden));
    spec.norm = Norm::Rms {
        epsilon: config.epsilon_or("rms_norm_eps", 1e-6)?,
        less_one: true,
    };
    if let FeedForward::Gated { activation, .. } = &mut spec.feed_forward {
        // Old configurations say `gelu` and mean this; transformers takes them by `hidden_act`.
        *activation = Activation::from_config(config, "hidden_act", "gelu_pytorch_tanh")?;
    }
    Ok(spec)
}

#[expect(clippy::cast_precision_loss, reason = "hidden sizes are small numbers")]
fn scale(hidden: usize) -> f32 {
    (hidden as f32).sqrt()
}
