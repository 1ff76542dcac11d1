//! Dependency parsing: for every word its head in the sentence and the relation to it.

use super::{Decoding, Description, Loss, Metric, Target};

pub(super) static TASK: Description = Description {
    name: "dep",
    about: "Dependencies: a head and a relation a word, as CoNLL-U has them",
    target: Target::Dependencies,
    // Heads are those of the best tree; a relation is the best one at its head.
    decodings: &[Decoding::Argmax],
    loss: Loss::HeadsAndRelations,
    metrics: &[Metric::Las],
    label_columns: &["deprel"],
    typical: &[],
};
