//! What goes into the encoder, a row of a batch, and what is told of a sentence in the end.

use std::ops::Range;

use shared::heads::{Attached, Subword};

/// A sentence, or a window of one, as the encoder sees it.
pub(super) struct Row {
    /// Which sentence.
    pub(super) sentence: usize,
    /// Its tokens, special ones included.
    pub(super) ids: Vec<u32>,
    /// The first token of the second text of a pair.
    pub(super) second: Option<usize>,
    /// The words that begin in it, with their tokens.
    pub(super) words: Vec<(usize, Range<usize>)>,
}

impl Row {
    /// The words that begin in the row with what their vectors have of `values`, `[width, each]`:
    /// as nothing behind these vectors but linear layers made the values, the mean of the values is
    /// that of the mean vector.
    pub(super) fn of_words<'v>(
        &'v self,
        values: &'v [f32],
        each: usize,
        subword: Subword,
    ) -> impl Iterator<Item = (usize, Vec<f32>)> + 'v {
        self.words.iter().map(move |(word, tokens)| {
            let places = subword.places(tokens.clone());
            let own = &values[places.start * each..places.end * each];
            let mut mean = vec![0.0; each];
            for token in own.chunks_exact(each.max(1)) {
                mean.iter_mut()
                    .zip(token)
                    .for_each(|(sum, value)| *sum += value);
            }
            if places.len() > 1 {
                #[expect(clippy::cast_precision_loss, reason = "tokens of a word")]
                let count = places.len() as f32;
                for sum in &mut mean {
                    *sum /= count;
                }
            }
            (*word, mean)
        })
    }
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
    /// A head and a class of relation for each word.
    Tree(Vec<Attached>),
}
