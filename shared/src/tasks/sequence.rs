//! Classification of whole texts: intents, topics, sentiments.

use super::{Decoding, Description, Loss, Metric, Target};

pub(super) static TASK: Description = Description {
    name: "sequence",
    about: "One label a text",
    target: Target::TextClass,
    decodings: &[Decoding::Argmax],
    loss: Loss::CrossEntropy,
    metrics: &[Metric::Accuracy, Metric::MacroF1, Metric::Matthews],
    label_columns: &[
        "label",
        "labels",
        "intent",
        "class",
        "category",
        "target",
        "coarse_label",
        "sentiment",
    ],
    typical: &[],
};
