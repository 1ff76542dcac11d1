//! Qwen2 and Qwen2.5 (Yang et al. 2024): Llama with biases at query, key and value, and a window
//! in its upper layers if that is switched on.

use super::config::Config;
use super::error::FamilyError;
use super::llama::{self, Defaults};
use super::reader::Family;
use super::spec::EncoderSpec;
use super::window::{Window, windowed_layers};

pub(super) const FAMILY: Family = Family {
    model_types: &["qwen2"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let defaults = Defaults {
        key_heads: Some(32),
        ..Defaults::LLAMA
    };
    let mut spec = llama::spec(config, "qwen2", &defaults)?;
    spec.attention.bias = true;
    spec.attention.window = window(config, spec.layers)?;
    Ok(spec)
}

/// The window of Qwen's layers, if one is switched on.
pub(super) fn window(config: &Config, layers: usize) -> Result<Option<Window>, FamilyError> {
    let size = config.nullable_size("sliding_window", Some(4096))?;
    let is_on = config.switch_or("use_sliding_window", false)?;
    let size = size.filter(|_| is_on);
    let first = config
        .nullable_size("max_window_layers", Some(28))?
        .unwrap_or(0);
    let layers = windowed_layers(config, layers, |layer| size.is_some() && layer >= first)?;
    match size {
        Some(size) => Ok(Window::in_layers(size - 1, layers)),
        None if layers.contains(&true) => {
            let supported = "true where layer_types has sliding_attention";
            Err(config.unsupported("use_sliding_window", "false", supported))
        }
        None => Ok(None),
    }
}
