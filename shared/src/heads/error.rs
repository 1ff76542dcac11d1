//! What can be wrong with the options of a head.

use super::Subword;
use crate::tasks::{Decoding, Task};

/// Options that make no head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadOptionsError {
    /// `--head` names no head.
    #[error("unknown head '{got}'; expected {expected}")]
    Kind {
        /// What was given.
        got: String,
        /// All kinds as they are typed.
        expected: String,
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
    /// Predictions of a task that are not chosen so.
    #[error(
        "--decode {got} does not go with --task {task}: its predictions are chosen by {}; tasks with spans (ner, chunk) have more ways",
        names(.expected)
    )]
    Decoding {
        /// What was given.
        got: Decoding,
        /// The task.
        task: Task,
        /// The ways that the task has.
        expected: &'static [Decoding],
    },
    /// A choice among the sub-words of a word where texts are labelled.
    #[error(
        "--subword {got} does not go with --task {task}: it labels texts, by the mean of all their tokens; leave the option out"
    )]
    Subword {
        /// What was given.
        got: Subword,
        /// The task.
        task: Task,
    },
    /// A threshold for a task that has none.
    #[error(
        "--threshold {got} does not go with --task {task}: only tasks with any number of classes a text (multilabel) have one"
    )]
    Threshold {
        /// What was given.
        got: String,
        /// The task.
        task: Task,
    },
    /// Sizes that make no network.
    #[error("{0}")]
    Size(String),
}

fn names(decodings: &[Decoding]) -> String {
    let names: Vec<&str> = decodings.iter().map(|decoding| decoding.name()).collect();
    names.join(" or ")
}
