//! Gemma 3 (2025), its text encoder: Gemma 2 with norms of queries and keys in place of the cap, and
//! rotary positions of their own in layers with a window.

use super::attention::QueryKeyNorms;
use super::config::Config;
use super::error::FamilyError;
use super::gemma2::{soft_cap, window, with_block_norms};
use super::reader::Family;
use super::rotary::{RotaryDefaults, rotary};
use super::spec::{EncoderSpec, PositionEncoding};
use super::window::windowed_layers;

pub(super) const FAMILY: Family = Family {
    model_types: &["gemma3_text"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let mut spec = with_block_norms(config, "gemma3_text")?;
    let pattern = config.nullable_size("sliding_window_pattern", Some(6))?;
    let is_windowed = |layer: usize| !(layer + 1).is_multiple_of(pattern.unwrap_or(6));
    let layers = windowed_layers(config, spec.layers, is_windowed)?;
    spec.attention.window = window(config, layers)?;
    spec.attention.soft_cap = soft_cap(config, None)?;
    spec.attention.norms = Some(QueryKeyNorms {
        query: "self_attn.q_norm",
        key: "self_attn.k_norm",
        by_head: true,
    });
    let (head_size, longest) = (spec.attention.head_size, spec.max_positions());
    let full = RotaryDefaults {
        layers: Some("full_attention"),
        theta: ("rope_theta", 1_000_000.0),
        ..RotaryDefaults::PLAIN
    };
    let windowed = RotaryDefaults {
        layers: Some("sliding_attention"),
        theta: ("rope_local_base_freq", 10_000.0),
        scaled: false,
        ..RotaryDefaults::PLAIN
    };
    spec.position = PositionEncoding::Rotary {
        full: rotary(config, head_size, longest, full)?,
        windowed: rotary(config, head_size, longest, windowed)?,
        longest,
    };
    Ok(spec)
}
