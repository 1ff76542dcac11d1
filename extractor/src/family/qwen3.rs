//! Qwen3 (Yang et al. 2025): Llama whose heads have norms of their queries and keys.

use super::attention::QueryKeyNorms;
use super::config::Config;
use super::error::FamilyError;
use super::llama::{self, Defaults};
use super::qwen2;
use super::reader::Family;
use super::spec::EncoderSpec;

pub(super) const FAMILY: Family = Family {
    model_types: &["qwen3"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let defaults = Defaults {
        key_heads: Some(32),
        head_size: Some(128),
        ..Defaults::LLAMA
    };
    let mut spec = llama::spec(config, "qwen3", &defaults)?;
    spec.attention.bias = config.switch_or("attention_bias", false)?;
    spec.attention.output_bias = spec.attention.bias;
    spec.attention.window = qwen2::window(config, spec.layers)?;
    spec.attention.norms = Some(QueryKeyNorms {
        query: "self_attn.q_norm",
        key: "self_attn.k_norm",
        by_head: true,
    });
    Ok(spec)
}
