//! Any number of classes for every text, none among them: topics, emotions, codes.

use super::{Decoding, Description, Loss, Metric, Target};

pub(super) static TASK: Description = Description {
    name: "multilabel",
    about: "Any number of labels a text",
    target: Target::TextSet,
    decodings: &[Decoding::Argmax],
    loss: Loss::BinaryCrossEntropy,
    metrics: &[Metric::SetF1, Metric::MacroF1],
    label_columns: &[
        "labels",
        "label",
        "tags",
        "categories",
        "topics",
        "emotions",
        "classes",
    ],
    typical: &[],
};
