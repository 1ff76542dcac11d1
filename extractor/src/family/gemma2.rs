//! Gemma 2 (2024): Gemma with norms before and behind its blocks, capped scores, and a window in
//! every other layer.

use super::attention::AttentionScale;
use super::config::Config;
use super::error::FamilyError;
use super::gemma;
use super::reader::Family;
use super::spec::{EncoderSpec, ResidualOrder};
use super::window::{Window, windowed_layers};

pub(super) const FAMILY: Family = Family {
    model_types: &["gemma2"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let mut spec = with_block_norms(config, "gemma2")?;
    spec.attention.soft_cap = soft_cap(config, Some(50.0))?;
    let layers = windowed_layers(config, spec.layers, |layer| layer % 2 == 0)?;
    spec.attention.window = window(config, layers)?;
    Ok(spec)
}

/// What Gemma 2 and 3 share.
pub(super) fn with_block_norms(
    config: &Config,
    family: &'static str,
) -> Result<EncoderSpec, FamilyError> {
    let mut spec = gemma::gemma(config, family, ("hidden_activation", Some(4)))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is a size of heads, and a small number"
    )]
    let size = config.number_or("query_pre_attn_scalar", 256.0)? as f32;
    spec.attention.scale = AttentionScale {
        instead: Some(size),
        ..AttentionScale::STANDARD
    };
    spec.residual = ResidualOrder::BlockNorms {
        before: Some(["input_layernorm", "pre_feedforward_layernorm"]),
        after: ["post_attention_layernorm", "post_feedforward_layernorm"],
        last: "norm",
    };
    Ok(spec)
}

/// The window of the layers that have one.
pub(super) fn window(config: &Config, layers: Vec<bool>) -> Result<Option<Window>, FamilyError> {
    let size = config.nullable_size("sliding_window", Some(4096))?;
    Ok(size.and_then(|size| Window::in_layers(size - 1, layers)))
}

/// The cap of attention scores, if there is one.
#[expect(
    clippy::cast_possible_truncation,
    reason = "transformers computes in float32 too"
)]
pub(super) fn soft_cap(config: &Config, default: Option<f64>) -> Result<Option<f32>, FamilyError> {
    let cap = config.nullable("attn_logit_softcapping", default)?;
    Ok(cap.map(|cap| cap as f32))
}
