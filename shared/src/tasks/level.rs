//! What a target belongs to: a token, or a text.

use serde::{Deserialize, Serialize};

/// What a target belongs to. The names written are those of a store's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// One target a token, `[tokens]`: the class of a word stands at its first sub-word,
    /// [`super::NO_CLASS`] elsewhere.
    Token,
    /// One target a sentence, or a text, `[sentences]`.
    Sentence,
}

impl Level {
    /// How many labels there are, in words.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Token => "one label a word",
            Self::Sentence => "one label a text",
        }
    }
}
