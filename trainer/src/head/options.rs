//! Which head to train, and its sizes: what the command line offers and `config.json` of a run records.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use shared::tasks::Level;

use super::HeadError;

/// The heads there are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HeadKind {
    /// Attention over layers and over tokens (Basirat 2024).
    Adapter,
    /// One learned query attends over the layers (Cao et al. 2022).
    AttentionFusion,
    /// One weight a layer (Peters et al. 2018).
    ScalarMix,
    /// The last layer in the store.
    Last,
    /// One layer of the encoder, 0 being the embeddings.
    Layer(usize),
    /// Some layers of the encoder side by side.
    Concat(Vec<usize>),
}

impl HeadKind {
    /// The dropout of the head's authors: 0.15 for attention fusion, else 0.1.
    #[must_use]
    pub const fn default_dropout(&self) -> f64 {
        match self {
            Self::AttentionFusion => 0.15,
            _ => 0.1,
        }
    }
}

impl FromStr for HeadKind {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let unknown = || HeadError::Kind {
            got: text.to_owned(),
        };
        let layer = |number: &str| number.trim().parse::<usize>().map_err(|_| unknown());
        match text.split_once(':') {
            None => match text {
                "adapter" => Ok(Self::Adapter),
                "attention-fusion" => Ok(Self::AttentionFusion),
                "scalar-mix" => Ok(Self::ScalarMix),
                "last" => Ok(Self::Last),
                _ => Err(unknown()),
            },
            Some(("layer", number)) => Ok(Self::Layer(layer(number)?)),
            Some(("concat", numbers)) => Ok(Self::Concat(
                numbers.split(',').map(layer).collect::<Result<_, _>>()?,
            )),
            Some(_) => Err(unknown()),
        }
    }
}

impl fmt::Display for HeadKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adapter => formatter.write_str("adapter"),
            Self::AttentionFusion => formatter.write_str("attention-fusion"),
            Self::ScalarMix => formatter.write_str("scalar-mix"),
            Self::Last => formatter.write_str("last"),
            Self::Layer(layer) => write!(formatter, "layer:{layer}"),
            Self::Concat(layers) => {
                let numbers: Vec<_> = layers.iter().map(ToString::to_string).collect();
                write!(formatter, "concat:{}", numbers.join(","))
            }
        }
    }
}

impl TryFrom<String> for HeadKind {
    type Error = HeadError;

    fn try_from(text: String) -> Result<Self, HeadError> {
        text.parse()
    }
}

impl From<HeadKind> for String {
    fn from(kind: HeadKind) -> Self {
        kind.to_string()
    }
}

/// Everything that a head's parameters' names and shapes depend on, and its dropout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadOptions {
    /// Which head.
    pub kind: HeadKind,
    /// The encoder's number of each layer in the store, in the store's order.
    pub layers: Vec<usize>,
    /// Hidden size of the encoder.
    pub hidden: usize,
    /// Number of classes.
    pub classes: usize,
    /// Adapter: with the tailor.
    pub tailor: bool,
    /// Adapter: with attention over tokens in the tailor.
    pub tailor_attention: bool,
    /// Adapter: width of queries and keys, over all heads together.
    pub attention_size: usize,
    /// Adapter: attention heads.
    pub heads: usize,
    /// Share of numbers that training drops.
    pub dropout: f64,
    /// Width of the classifier's inner layer; 0 for a single layer.
    pub classifier_size: usize,
    /// What gets a class: every token, or every sentence, by the mean of its tokens' features.
    #[serde(with = "shared::heads::level")]
    pub level: Level,
}

impl HeadOptions {
    /// The paper's settings for a store of these layers and this hidden size.
    #[must_use]
    pub fn new(kind: HeadKind, layers: Vec<usize>, hidden: usize, classes: usize) -> Self {
        let dropout = kind.default_dropout();
        Self {
            kind,
            layers,
            hidden,
            classes,
            tailor: true,
            tailor_attention: true,
            attention_size: 16,
            heads: 2,
            dropout,
            classifier_size: 256,
            level: Level::Token,
        }
    }

    /// Says what cannot be built.
    ///
    /// # Errors
    /// A size of zero, a dropout outside [0, 1), or heads that do not divide the attention size.
    pub fn check(&self) -> Result<(), HeadError> {
        let wrong = |message: String| Err(HeadError::Size(message));
        if self.layers.is_empty() || self.hidden == 0 {
            return wrong(format!(
                "a head needs hidden states: got {} layers of size {}",
                self.layers.len(),
                self.hidden
            ));
        }
        if self.classes == 0 {
            return wrong("a head needs at least one class; the data set has none".to_owned());
        }
        if self.heads == 0
            || self.attention_size == 0
            || !self.attention_size.is_multiple_of(self.heads)
        {
            let (size, heads) = (self.attention_size, self.heads);
            return wrong(format!(
                "--heads must divide --attention-size: got {heads} heads of {size} together"
            ));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return wrong(format!(
                "--dropout must be at least 0 and below 1, got {}",
                self.dropout
            ));
        }
        if matches!(&self.kind, HeadKind::Concat(layers) if layers.is_empty()) {
            return wrong("--head concat:A,B,... needs at least one layer".to_owned());
        }
        Ok(())
    }

    /// How many heads of these options are computed as one on a device, at most. Attention fusion normalises all activations
    /// anew for each head, which takes the memory of so many batches.
    pub(crate) fn most_as_one(&self) -> usize {
        match self.kind {
            HeadKind::AttentionFusion => 1,
            _ => 16,
        }
    }

    /// Where in the store an encoder's layer stands.
    pub(crate) fn column(&self, wanted: usize) -> Result<usize, HeadError> {
        let found = self.layers.iter().position(|&layer| layer == wanted);
        found.ok_or_else(|| HeadError::Layer {
            wanted,
            stored: self.layers.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_they_are_read() {
        for name in [
            "adapter",
            "attention-fusion",
            "scalar-mix",
            "last",
            "layer:7",
            "concat:0,3,12",
        ] {
            assert_eq!(name.parse::<HeadKind>().unwrap().to_string(), name);
        }
        for name in [
            "",
            "Adapter",
            "layer",
            "layer:",
            "layer:x",
            "layer:-1",
            "concat:",
            "concat:1,,2",
            "adapter:1",
        ] {
            assert!(
                matches!(name.parse::<HeadKind>(), Err(HeadError::Kind { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn layers_are_the_encoders() {
        let options = HeadOptions::new(HeadKind::Layer(8), vec![0, 4, 8, 12], 32, 3);
        assert_eq!(options.column(8).unwrap(), 2);
        assert!(
            options
                .column(2)
                .unwrap_err()
                .to_string()
                .contains("[0, 4, 8, 12]")
        );
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let good = HeadOptions::new(HeadKind::Adapter, vec![0, 1], 32, 3);
        assert!(good.check().is_ok());
        assert!(
            HeadOptions {
                heads: 3,
                ..good.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            HeadOptions {
                heads: 0,
                ..good.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            HeadOptions {
                dropout: 1.0,
                ..good.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            HeadOptions {
                dropout: f64::NAN,
                ..good.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            HeadOptions {
                classes: 0,
                ..good.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            HeadOptions {
                layers: vec![],
                ..good
            }
            .check()
            .is_err()
        );
    }
}
