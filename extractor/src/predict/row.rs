//! What goes into the encoder, a row of a batch, and what is told of a sentence in the end.

/// A sentence, or a window of one, as the encoder sees it.
pub(super) struct Row {
    /// Which sentence.
    pub(super) sentence: usize,
    /// Its tokens, special ones included.
    pub(super) ids: Vec<u32>,
    /// The first token of the second text of a pair.
    pub(super) second: Option<usize>,
    /// For each token the word that it is the first of.
    pub(super) first_of: Vec<Option<usize>>,
}

/// The labels of a sentence, as numbers of classes.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// One a word; none for a word that the encoder never saw.
    Words(Vec<Option<usize>>),
    /// One for the whole sentence, and its probability; none where the encoder saw nothing.
    Whole(Option<(usize, f32)>),
    /// Any number of them for the whole text, and the probability of each class `[classes]`; none
    /// where the encoder saw nothing.
    Set(Option<(Vec<usize>, Vec<f64>)>),
    /// A number for the whole text; none where the encoder saw nothing.
    Number(Option<f32>),
}
