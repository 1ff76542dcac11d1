//! What goes into the encoder, a row of a batch, and what is told of a sentence in the end.

/// A sentence, or a window of one, as the encoder sees it.
pub(super) struct Row {
    /// Which sentence.
    pub(super) sentence: usize,
    /// Its tokens, special ones included.
    pub(super) ids: Vec<u32>,
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
}
