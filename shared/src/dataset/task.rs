//! The names of tasks and splits, as they are typed, stored and shown.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What the labels of a data set are.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Named entities: spans of words, one tag a word.
    Ner,
    /// Phrases: spans of words, one tag a word.
    Chunk,
    /// Parts of speech, or anything else with one label a word.
    Pos,
    /// One label a text.
    Sequence,
}

impl Task {
    /// Whether labels are tags of spans, scored as spans.
    #[must_use]
    pub fn has_spans(self) -> bool {
        matches!(self, Self::Ner | Self::Chunk)
    }

    /// Whether there is one label a word, rather than one a text.
    #[must_use]
    pub fn labels_words(self) -> bool {
        self != Self::Sequence
    }
}

impl fmt::Display for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ner => "ner",
            Self::Chunk => "chunk",
            Self::Pos => "pos",
            Self::Sequence => "sequence",
        })
    }
}

/// The usual parts of a data set.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum SplitName {
    /// To learn from.
    Train,
    /// To choose by.
    Validation,
    /// To report on.
    Test,
}

impl SplitName {
    /// All of them, in the order in which they are stored.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];
}

impl fmt::Display for SplitName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}
