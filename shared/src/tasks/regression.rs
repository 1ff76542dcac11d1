//! A number for every text, or pair of texts: ratings, similarities, readability.

use super::{Decoding, Description, Loss, Metric, Target};

pub(super) static TASK: Description = Description {
    name: "regression",
    about: "A number a text, such as a rating or a similarity",
    target: Target::Number,
    decodings: &[Decoding::Argmax],
    loss: Loss::SquaredError,
    metrics: &[Metric::Pearson, Metric::Spearman],
    label_columns: &[
        "score",
        "label",
        "rating",
        "similarity",
        "similarity_score",
        "stars",
    ],
    typical: &[],
};
