//! `OLMo` 2 (2024): Llama with its norms behind the blocks, and norms of all queries and all keys.

use super::attention::QueryKeyNorms;
use super::config::Config;
use super::error::FamilyError;
use super::llama::{self, Defaults};
use super::reader::Family;
use super::spec::{EncoderSpec, ResidualOrder};

pub(super) const FAMILY: Family = Family {
    model_types: &["olmo2"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let defaults = Defaults {
        epsilon: 1e-5,
        ..Defaults::LLAMA
    };
    let mut spec = llama::spec(config, "olmo2", &defaults)?;
    spec.attention.bias = config.switch_or("attention_bias", false)?;
    spec.attention.output_bias = spec.attention.bias;
    spec.attention.norms = Some(QueryKeyNorms {
        query: "self_attn.q_norm",
        key: "self_attn.k_norm",
        by_head: false,
    });
    spec.residual = ResidualOrder::BlockNorms {
        before: None,
        after: ["post_attention_layernorm", "post_feedforward_layernorm"],
        last: "norm",
    };
    Ok(spec)
}
