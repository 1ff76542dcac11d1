//! What a head is, for the program that trains it and for the one that predicts with it: one file a
//! kind, with its name, its own options, the layers that it reads and its parameters. The two
//! computations of a head (packed, in libtorch; and padded, as nodes of an ONNX graph) take names
//! and shapes from here, and so cannot drift apart.
//!
//! A new kind is a file here with its [`Form`], a variant of [`HeadKind`] and its arms in this
//! file, and the two computations.

pub mod adapter;
pub mod attention_fusion;
pub mod classifier;
mod concat;
mod error;
mod layer;
pub mod level;
mod options;
pub mod parameters;
pub mod run;
pub mod scalar_mix;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use adapter::AdapterOptions;
pub use error::HeadOptionsError;
pub use options::HeadOptions;
use parameters::Parameter;

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

/// What is to be known of a kind of head before any number is.
#[derive(Debug)]
pub struct Form {
    /// The first part of its name.
    pub name: &'static str,
    /// The whole name as the user types it, with placeholders.
    pub usage: &'static str,
    /// Options of `trainer` that give one of each variant, for an encoder with layers 0 to 2 at
    /// least.
    pub examples: &'static [&'static str],
    /// The dropout of the head's authors.
    pub dropout: f64,
    /// How many heads of the same options are computed as one on a GPU, at most.
    pub most_as_one: usize,
    /// The kind from what follows the colon in its name; none where that is wrong.
    parse: fn(Option<&str>) -> Option<HeadKind>,
}

/// All kinds of heads.
pub const FORMS: [&Form; 6] = [
    &adapter::FORM,
    &attention_fusion::FORM,
    &scalar_mix::FORM,
    &layer::LAST,
    &layer::LAYER,
    &concat::FORM,
];

impl HeadKind {
    /// What is to be known of it.
    #[must_use]
    pub fn form(&self) -> &'static Form {
        match self {
            Self::Adapter => &adapter::FORM,
            Self::AttentionFusion => &attention_fusion::FORM,
            Self::ScalarMix => &scalar_mix::FORM,
            Self::Last => &layer::LAST,
            Self::Layer(_) => &layer::LAYER,
            Self::Concat(_) => &concat::FORM,
        }
    }

    /// The layers that it names, by the encoder's numbers.
    fn arguments(&self) -> &[usize] {
        match self {
            Self::Adapter | Self::AttentionFusion | Self::ScalarMix | Self::Last => &[],
            Self::Layer(layer) => std::slice::from_ref(layer),
            Self::Concat(layers) => layers,
        }
    }

    /// The layers that it reads where the store holds these, in the order in which it reads them.
    fn layers(&self, stored: &[usize]) -> Vec<usize> {
        match self {
            Self::Adapter | Self::AttentionFusion | Self::ScalarMix => stored.to_vec(),
            Self::Last => stored.last().copied().into_iter().collect(),
            Self::Layer(_) | Self::Concat(_) => self.arguments().to_vec(),
        }
    }

    /// Whether the layers that it reads stand side by side in its features; else they are summed
    /// up.
    fn is_beside(&self) -> bool {
        match self {
            Self::Adapter | Self::AttentionFusion | Self::ScalarMix => false,
            Self::Last | Self::Layer(_) | Self::Concat(_) => true,
        }
    }

    /// Its own parameters, without the classifier's.
    fn parameters(&self, options: &HeadOptions) -> Vec<Parameter> {
        match self {
            Self::Adapter => adapter::Parameters::new(options).list(),
            Self::AttentionFusion => attention_fusion::Parameters::new(options).list(),
            Self::ScalarMix => scalar_mix::Parameters::new(options).list(),
            Self::Last | Self::Layer(_) | Self::Concat(_) => Vec::new(),
        }
    }
}

/// The parser of a kind that has no arguments.
macro_rules! without_arguments {
    ($kind:expr) => {
        |arguments| match arguments {
            None => Some($kind),
            Some(_) => None,
        }
    };
}
use without_arguments;

impl FromStr for HeadKind {
    type Err = HeadOptionsError;

    fn from_str(text: &str) -> Result<Self, HeadOptionsError> {
        let (name, arguments) = match text.split_once(':') {
            Some((name, arguments)) => (name, Some(arguments)),
            None => (text, None),
        };
        FORMS
            .iter()
            .find(|form| form.name == name)
            .and_then(|form| (form.parse)(arguments))
            .ok_or_else(|| HeadOptionsError::Kind {
                got: text.to_owned(),
            })
    }
}

impl fmt::Display for HeadKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.form().name)?;
        for (place, layer) in self.arguments().iter().enumerate() {
            write!(formatter, "{}{layer}", if place == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for HeadKind {
    type Error = HeadOptionsError;

    fn try_from(text: String) -> Result<Self, HeadOptionsError> {
        text.parse()
    }
}

impl From<HeadKind> for String {
    fn from(kind: HeadKind) -> Self {
        kind.to_string()
    }
}

#[cfg(test)]
mod tests;
