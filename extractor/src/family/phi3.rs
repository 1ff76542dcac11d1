//! Phi-3 (Abdin et al. 2024): Llama with merged linear layers, and a window if one is set. Its
//! variants for long texts choose their positions by the longest text of a batch and are refused.

use super::attention::AttentionInput;
use super::config::Config;
use super::error::FamilyError;
use super::llama::{self, Defaults};
use super::reader::Family;
use super::rotary::RotaryDefaults;
use super::spec::{EncoderSpec, FeedForward, GatedInput};
use super::window::Window;

pub(super) const FAMILY: Family = Family {
    model_types: &["phi3"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let defaults = Defaults {
        epsilon: 1e-5,
        rotary: RotaryDefaults {
            share: Some(("partial_rotary_factor", 1.0)),
            ..RotaryDefaults::PLAIN
        },
        ..Defaults::LLAMA
    };
    for field in ["rope_scaling", "rope_parameters"] {
        let settings = config.object(field)?.unwrap_or_default();
        let kind = settings.get("rope_type").or_else(|| settings.get("type"));
        if let Some(kind) = kind.filter(|kind| kind.as_str() != Some("default")) {
            return Err(config.unsupported(&format!("{field}.rope_type"), kind, "default"));
        }
    }
    let mut spec = llama::spec(config, "phi3", &defaults)?;
    spec.attention.input = AttentionInput::Merged("self_attn.qkv_proj");
    if let FeedForward::Gated { input, .. } = &mut spec.feed_forward {
        *input = GatedInput::Merged("mlp.gate_up_proj");
    }
    if let Some(window) = config.nullable_size("sliding_window", None)? {
        spec.attention.window = Window::in_layers(window - 1, vec![true; spec.layers]);
    }
    Ok(spec)
}
