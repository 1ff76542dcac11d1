//! Part-of-speech tagging, and every other classification of single words.

use super::{Decoding, Description, Loss, Metric, Target};

pub(super) static TASK: Description = Description {
    name: "pos",
    about: "Parts of speech, or anything else with one label a word",
    target: Target::WordClass,
    decodings: &[Decoding::Argmax],
    loss: Loss::CrossEntropy,
    metrics: &[Metric::Accuracy],
    label_columns: &["upos", "pos_tags", "pos", "xpos", "tags", "labels", "label"],
    typical: &[],
};
