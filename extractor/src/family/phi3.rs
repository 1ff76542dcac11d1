//! Phi-3 (Abdin et al. 2024), a decoder as a frozen encoder: Llama's layers, with query, key and
//! value, and both inputs of the gated block, stored as one.

use super::config::Config;
use super::error::FamilyError;
use super::llama;
use super::reader::Family;
use super::spec::{AttentionInput, EncoderSpec, FeedForward, GatedInput};

pub(super) const FAMILY: Family = Family {
    model_types: &["phi3"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let layers = config.size(&["num_hidden_layers"])?;
    let mut spec = llama::decoder(
        config,
        llama::Variant {
            positions: 4096,
            epsilon: 1e-5,
            bias: false,
            output_bias: false,
            mlp_bias: false,
            local: llama::window_everywhere(config, layers, None)?,
            ..llama::Variant::new(config, "phi3")?
        },
    )?;
    spec.attention.input = AttentionInput::Merged("self_attn.qkv_proj");
    if let FeedForward::Gated { input, .. } = &mut spec.feed_forward {
        *input = GatedInput::Merged("mlp.gate_up_proj");
    }
    Ok(spec)
}
