//! The kinds of heads, by their names: one file a kind, with its [`Form`] and the names of its
//! parameters. A new kind is a file here, and its variant of [`HeadKind`], its entry in the list and
//! its form in this file.

pub mod adapter;
mod adapter_options;
pub mod attention_fusion;
mod concat;
mod form;
mod layer;
pub mod scalar_mix;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use adapter_options::AdapterOptions;
pub use form::Form;
use form::Reads;
pub(super) use form::Sizes;

use super::error::HeadOptionsError;
use super::parameters::Parameter;

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

/// A kind of head with its parser, which is given what follows the colon in the name; none where
/// that is wrong.
type Kind = (&'static Form, fn(Option<&str>) -> Option<HeadKind>);

/// All kinds of heads.
const KINDS: [Kind; 6] = [
    (&adapter::FORM, |rest| alone(rest, HeadKind::Adapter)),
    (&attention_fusion::FORM, |rest| {
        alone(rest, HeadKind::AttentionFusion)
    }),
    (&scalar_mix::FORM, |rest| alone(rest, HeadKind::ScalarMix)),
    (&layer::LAST, |rest| alone(rest, HeadKind::Last)),
    (&layer::LAYER, |rest| {
        layer::parse(rest?).map(HeadKind::Layer)
    }),
    (&concat::FORM, |rest| {
        concat::parse(rest?).map(HeadKind::Concat)
    }),
];

/// The forms of all kinds of heads.
pub fn forms() -> impl Iterator<Item = &'static Form> {
    KINDS.iter().map(|(form, _)| *form)
}

/// A kind whose name has nothing after it.
fn alone(rest: Option<&str>, kind: HeadKind) -> Option<HeadKind> {
    match rest {
        None => Some(kind),
        Some(_) => None,
    }
}

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

    /// The layers in its name, by the encoder's numbers.
    fn named(&self) -> &[usize] {
        match self {
            Self::Layer(layer) => std::slice::from_ref(layer),
            Self::Concat(layers) => layers,
            Self::Adapter | Self::AttentionFusion | Self::ScalarMix | Self::Last => &[],
        }
    }

    /// The layers that it reads where the store holds these, in the order in which it reads them.
    pub(super) fn layers(&self, stored: &[usize]) -> Vec<usize> {
        match self.form().reads {
            Reads::All => stored.to_vec(),
            Reads::Last => stored.last().copied().into_iter().collect(),
            Reads::Named => self.named().to_vec(),
        }
    }

    /// Whether the layers that it reads stand side by side in its features; else they are summed
    /// up.
    pub(super) fn is_beside(&self) -> bool {
        self.form().reads != Reads::All
    }

    /// Its own parameters, without the classifier's.
    pub(super) fn parameters(&self, sizes: &Sizes<'_>) -> Vec<Parameter> {
        (self.form().parameters)(sizes)
    }
}

impl FromStr for HeadKind {
    type Err = HeadOptionsError;

    fn from_str(text: &str) -> Result<Self, HeadOptionsError> {
        let (name, arguments) = match text.split_once(':') {
            Some((name, arguments)) => (name, Some(arguments)),
            None => (text, None),
        };
        KINDS
            .iter()
            .find(|(form, _)| form.name == name)
            .and_then(|(_, parse)| parse(arguments))
            .ok_or_else(|| HeadOptionsError::Kind {
                got: text.to_owned(),
                expected: usages(),
            })
    }
}

/// All kinds as they are typed, for help and messages.
#[must_use]
pub fn usages() -> String {
    let mut usages: Vec<&str> = forms().map(|form| form.usage).collect();
    let last = usages.pop().unwrap_or_default();
    format!("{} or {last}", usages.join(", "))
}

impl fmt::Display for HeadKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.form().name)?;
        for (place, layer) in self.named().iter().enumerate() {
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
