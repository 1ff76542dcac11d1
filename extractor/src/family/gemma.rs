//! Gemma (2024): Llama with wide heads, scaled embeddings, and norms that store what their weights
//! have more than 1.

use super::activation::Activation;
use super::config::Config;
use super::error::FamilyError;
use super::llama::{self, Defaults};
use super::reader::Family;
use super::spec::{EncoderSpec, FeedForward, Norm};

pub(super) const FAMILY: Family = Family {
    model_types: &["gemma"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let mut spec = gemma(config, "gemma", ("hidden_act", Some(16)))?;
    // What configurations call gelu was meant to be its approximation.
    if let FeedForward::Gated { activation, .. } = &mut spec.feed_forward
        && *activation == Activation::Gelu
        && config.text_or("hidden_act", "")? == "gelu"
    {
        *activation = Activation::GeluTanh;
    }
    Ok(spec)
}

/// What all Gemmas share, with the name of the non-linearity's field and the heads of keys where
/// the configuration does not say.
pub(super) fn gemma(
    config: &Config,
    family: &'static str,
    (activation, key_heads): (&'static str, Option<usize>),
) -> Result<EncoderSpec, FamilyError> {
    config.require_off("use_bidirectional_attention")?;
    let defaults = Defaults {
        key_heads,
        head_size: Some(256),
        activation: (activation, "gelu_pytorch_tanh"),
        ..Defaults::LLAMA
    };
    let mut spec = llama::spec(config, family, &defaults)?;
    spec.attention.bias = config.switch_or("attention_bias", false)?;
    spec.attention.output_bias = spec.attention.bias;
    #[expect(clippy::cast_precision_loss, reason = "hidden sizes are small numbers")]
    let scale = (spec.hidden as f32).sqrt();
    spec.embedding.scale = Some(scale);
    spec.norm = Norm::Rms {
        epsilon: config.epsilon_or("rms_norm_eps", 1e-6)?,
        one_more: true,
    };
    Ok(spec)
}
