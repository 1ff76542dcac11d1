//! Mistral (Jiang et al. 2023): Llama whose layers may all have a window.

use super::config::Config;
use super::error::FamilyError;
use super::llama::{self, Defaults};
use super::reader::Family;
use super::spec::EncoderSpec;
use super::window::Window;

pub(super) const FAMILY: Family = Family {
    model_types: &["mistral"],
    spec,
};

fn spec(config: &Config) -> Result<EncoderSpec, FamilyError> {
    let defaults = Defaults {
        key_heads: Some(8),
        ..Defaults::LLAMA
    };
    let mut spec = llama::spec(config, "mistral", &defaults)?;
    if let Some(window) = config.nullable_size("sliding_window", Some(4096))? {
        spec.attention.window = Window::in_layers(window - 1, vec![true; spec.layers]);
    }
    Ok(spec)
}
