//! Layers that see no farther than some tokens, and which layers of an encoder these are.

use super::config::Config;
use super::error::FamilyError;

/// Fewest queries of a block: smaller ones are slower than they are worth.
const SMALLEST_BLOCK: usize = 16;
/// Most queries of a block, so that those of a long window do not see much that is outside it.
const LARGEST_BLOCK: usize = 256;
/// Queries and keys of a block are a multiple of this: ONNX Runtime's memory-efficient attention on a
/// GPU looks at the number of queries alone to decide whether it can read a bias, and then fails at
/// one whose rows of keys are not aligned.
const ALIGNMENT: usize = 16;
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

    /// How sequences are cut so that this window costs no more than what it sees.
    #[must_use]
    pub fn blocks(&self, causal: bool) -> Blocks {
        Blocks {
            queries: self
                .reach
                .clamp(SMALLEST_BLOCK, LARGEST_BLOCK)
                .next_multiple_of(ALIGNMENT),
            before: self.reach,
            after: if causal { 0 } else { self.reach },
        }
    }

    /// Whether layer number `layer` has it.
    #[must_use]
    pub fn is_in(&self, layer: usize) -> bool {
        self.layers.get(layer).copied().unwrap_or(false)
    }
}

/// Blocks of consecutive queries, for each of which attention is computed with the keys alone that
/// any of them sees: the scores of a text grow with its length, not with the square of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// Queries of a block.
    pub queries: usize,
    /// Tokens that are seen before the first of them.
    pub before: usize,
    /// Tokens that are seen after the last of them.
    pub after: usize,
}

impl Blocks {
    /// Keys of a block: what its queries see, and a few more after it where a GPU's kernel wants a
    /// bias whose rows are aligned.
    #[must_use]
    pub const fn keys(self) -> usize {
        let seen = self
            .before
            .saturating_add(self.queries)
            .saturating_add(self.after);
        match seen.checked_next_multiple_of(ALIGNMENT) {
            Some(keys) => keys,
            None => seen,
        }
    }

    /// Queries and keys of a block in a batch of rows of `width` tokens: all of a row, where blocks
    /// would not see less.
    #[must_use]
    pub fn in_width(self, width: usize) -> [usize; 2] {
        if width <= self.keys() {
            [width, width]
        } else {
            [self.queries, self.keys()]
        }
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
