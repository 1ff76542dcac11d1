//! The options that the adapter alone has: which of its parts are built, and the sizes of its
//! attention.

use serde::{Deserialize, Serialize};

use crate::heads::error::HeadOptionsError;

/// Options that the adapter alone has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterOptions {
    /// With the tailor.
    pub tailor: bool,
    /// With attention over tokens in the tailor.
    pub tailor_attention: bool,
    /// Width of queries and keys, over all heads together.
    pub attention_size: usize,
    /// Attention heads.
    pub heads: usize,
}

impl Default for AdapterOptions {
    /// The paper's settings.
    fn default() -> Self {
        Self {
            tailor: true,
            tailor_attention: true,
            attention_size: 16,
            heads: 2,
        }
    }
}

impl AdapterOptions {
    /// Says what cannot be built.
    pub(in crate::heads) fn check(&self) -> Result<(), HeadOptionsError> {
        let (size, heads) = (self.attention_size, self.heads);
        if heads == 0 || size == 0 || !size.is_multiple_of(heads) {
            return Err(HeadOptionsError::Size(format!(
                "--heads must divide --attention-size: got {heads} heads of {size} together"
            )));
        }
        Ok(())
    }

    /// What was left out of the adapter, as a run's name tells it; empty where nothing was.
    #[must_use]
    pub fn left_out(&self) -> &'static str {
        match (self.tailor, self.tailor_attention) {
            (false, _) => "-no-tailor",
            (true, false) => "-no-tailor-attention",
            (true, true) => "",
        }
    }

    /// The sizes that differ from the paper's, by the names of the options that set them.
    #[must_use]
    pub fn unusual(&self) -> Vec<(&'static str, usize)> {
        let usual = Self::default();
        [
            ("attention-size", self.attention_size, usual.attention_size),
            ("heads", self.heads, usual.heads),
        ]
        .into_iter()
        .filter(|(_, own, usual)| own != usual)
        .map(|(name, own, _)| (name, own))
        .collect()
    }
}
