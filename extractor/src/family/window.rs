//! Layers that see no farther than some tokens, and which layers of an encoder these are.

use super::config::Config;
use super::error::FamilyError;

/// The name of a layer that sees the whole sequence.
const FULL: &str = "full_attention";
/// The name of a layer with a window.
const SLIDING: &str = "sliding_attention";

/// The window of some layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Distance in tokens of the farthest token that is seen, to each side (to the left in a
    /// causal encoder).
    pub reach: usize,
    /// Whether a layer has it, by its number.
    pub layers: Vec<bool>,
}

impl Window {
    /// A window in the layers that have it; none where no layer does.
    pub(super) fn in_layers(reach: usize, layers: Vec<bool>) -> Option<Self> {
        layers.contains(&true).then_some(Self { reach, layers })
    }

    /// Whether layer number `layer` has it.
    #[must_use]
    pub fn is_in(&self, layer: usize) -> bool {
        self.layers.get(layer).copied().unwrap_or(false)
    }
}

/// Which layers have a window: those that `layer_types` says, or else those that `is_windowed`.
pub(super) fn windowed_layers(
    config: &Config,
    layers: usize,
    is_windowed: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, FamilyError> {
    let Some(types) = config.texts("layer_types")? else {
        return Ok((0..layers).map(is_windowed).collect());
    };
    if types.len() != layers {
        let expected = format!("a list of {layers}, one for each layer");
        return Err(config.wrong("layer_types", &expected, format!("{} of them", types.len())));
    }
    let is_windowed = |name: &&str| match *name {
        FULL => Ok(false),
        SLIDING => Ok(true),
        other => Err(config.unsupported("layer_types", other, &format!("{FULL}, {SLIDING}"))),
    };
    types.iter().map(is_windowed).collect()
}
