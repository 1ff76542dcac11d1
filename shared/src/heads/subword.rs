//! Which vector a word has that the tokenizer cut into several sub-words. The store has a label at
//! the first sub-word of each word and the activations of all of them, so that the choice is made
//! when a head is trained.

use std::fmt;
use std::ops::Range;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The vector of a word, from those of its sub-words. Of a word that is longer than a window, or
/// that truncation cut, the sub-words in the window of its first one count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Subword {
    /// That of its first sub-word, as in the paper
    #[default]
    First,
    /// That of its last sub-word: in an encoder that sees only what is to the left, the first
    /// sub-word has not seen the rest
    Last,
    /// The mean of its sub-words' vectors
    Mean,
}

impl Subword {
    /// As it is typed and stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Mean => "mean",
        }
    }

    /// The places that count of a word whose sub-words are at `places`, of which there is one at
    /// least.
    #[must_use]
    pub fn places(self, places: Range<usize>) -> Range<usize> {
        match self {
            Self::First => places.start..places.start + 1,
            Self::Last => places.end - 1..places.end,
            Self::Mean => places,
        }
    }
}

impl fmt::Display for Subword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
