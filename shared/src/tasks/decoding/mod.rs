//! From a head's logits to its predictions. Both programs must choose alike, where logits are equal
//! too, so ways of choosing are described and computed here. A new one is a variant of [`Decoding`]
//! with a [`Decoder`] that does it, and a word in the descriptions of the tasks that have it.

mod chain;

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub use chain::Chain;

/// How predictions are chosen among the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Decoding {
    /// The class with the largest logit, each word or text by itself
    #[default]
    Argmax,
    /// The sequence of legal tags with the largest sum of logits over a sentence; nothing more is learned
    Viterbi,
    /// The sequence of tags with the largest sum of logits and of learned scores of neighbours (a linear-chain CRF);
    /// training makes the right tags of whole sentences likely
    Crf,
}

impl Decoding {
    /// As it is typed and stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Argmax => "argmax",
            Self::Viterbi => "viterbi",
            Self::Crf => "crf",
        }
    }
}

impl fmt::Display for Decoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Chooses classes.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoder {
    /// Each word or text by itself.
    Single,
    /// The words of a sentence together.
    Sentence(Chain),
    /// Any number of classes of a text: those whose probability reaches their threshold `[classes]`.
    Set(Vec<f64>),
    /// No class: what a head gives for a text is the number itself.
    Number,
}

impl Decoder {
    /// The classes of the words of a sentence, from the logits `[classes]` of each; none for a word
    /// without logits, which the encoder never saw.
    #[must_use]
    pub fn words(&self, logits: &[Option<&[f32]>]) -> Vec<Option<usize>> {
        match self {
            Self::Single | Self::Set(_) | Self::Number => {
                logits.iter().map(|logits| logits.map(largest)).collect()
            }
            Self::Sentence(chain) => chain.words(logits),
        }
    }
}

/// The class with the largest logit, the first of equal ones.
#[must_use]
pub fn largest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (class, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = class;
        }
    }
    best
}

#[cfg(test)]
mod tests;
