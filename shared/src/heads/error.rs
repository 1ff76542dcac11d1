//! What can be wrong with the options of a head.

use super::FORMS;

/// Options that make no head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadOptionsError {
    /// `--head` names no head.
    #[error("unknown head '{got}'; expected {}", known())]
    Kind {
        /// What was given.
        got: String,
    },
    /// The head wants a layer that the store does not hold.
    #[error(
        "the head needs layer {wanted}, the store holds layers {stored:?}; choose one of these, or extract with --layers all"
    )]
    Layer {
        /// The encoder's layer, 0 being the embeddings.
        wanted: usize,
        /// The encoder's layers in the store.
        stored: Vec<usize>,
    },
    /// Sizes that make no network.
    #[error("{0}")]
    Size(String),
}

/// All kinds as they are typed.
fn known() -> String {
    let (last, first) = FORMS.split_last().unwrap_or((&FORMS[0], &[]));
    let first: Vec<&str> = first.iter().map(|form| form.usage).collect();
    format!("{} or {}", first.join(", "), last.usage)
}
