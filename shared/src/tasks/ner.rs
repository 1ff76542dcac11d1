//! Named entity recognition: spans of words that name something, one tag a word.

use super::{Decoding, Description, Loss, Metric, Target};

pub(super) static TASK: Description = Description {
    name: "ner",
    about: "Named entities: spans of words, one tag a word",
    target: Target::SpanTags,
    decodings: &[Decoding::Argmax, Decoding::Viterbi, Decoding::Crf],
    loss: Loss::CrossEntropy,
    metrics: &[Metric::SpanF1, Metric::Accuracy],
    label_columns: &["ner_tags", "ner", "tags", "labels", "label", "entities"],
    // What is named differs from data set to data set.
    typical: &[],
};
