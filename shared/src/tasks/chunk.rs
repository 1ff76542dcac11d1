//! Chunking: phrases that do not overlap, one tag a word (Tjong Kim Sang and Buchholz 2000).

use super::{Decoding, Description, Loss, Metric, Target};

pub(super) static TASK: Description = Description {
    name: "chunk",
    about: "Phrases: spans of words, one tag a word",
    target: Target::SpanTags,
    decodings: &[Decoding::Argmax, Decoding::Viterbi, Decoding::Crf],
    loss: Loss::CrossEntropy,
    metrics: &[Metric::SpanF1, Metric::Accuracy],
    label_columns: &["chunk_tags", "chunk", "chunks", "tags", "labels", "label"],
    // Phrases of CoNLL-2000 that no set of entity types has.
    typical: &["B-NP", "I-NP", "B-VP", "I-VP", "B-PP", "I-PP"],
};
