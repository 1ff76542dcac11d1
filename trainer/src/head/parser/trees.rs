//! The gold trees of a part of a batch.

use shared::tasks::NO_TARGET;
use shared::tasks::dependencies::ROOT;

use crate::activations::device::MASKED;
use crate::activations::{Batch, Part};
use crate::head::HeadError;

/// The words of some sentences with their gold heads and relations.
pub(in crate::head) struct Trees {
    /// Words of each sentence; sentences without a word are left out.
    pub(super) lengths: Vec<usize>,
    /// The class of each word's relation, [`NO_TARGET`] for none.
    pub(super) classes: Vec<i64>,
    /// The row of each word's gold head among all words, one past them for the root; any row for
    /// words without a label.
    pub(super) gold_rows: Vec<usize>,
    /// The column of each word's gold head in its sentence, 0 for the root; [`NO_TARGET`] for none.
    columns: Vec<i64>,
}

impl Trees {
    /// The trees of a part whose words begin at these tokens; `targets` are those of its tokens,
    /// and `sentence_of` is the sentence of each word.
    pub(in crate::head) fn new(
        batch: &Batch<'_>,
        part: &Part,
        firsts: &[usize],
        sentence_of: &[usize],
        targets: &[i64],
    ) -> Result<Self, HeadError> {
        let heads = batch.heads().ok_or(HeadError::NoHeads)?;
        let heads = &heads[part.tokens().clone()];
        let mut lengths = Vec::new();
        // The row of the first word of each word's sentence.
        let mut first_of = Vec::with_capacity(firsts.len());
        for (word, sentence) in sentence_of.iter().enumerate() {
            if word == 0 || sentence_of[word - 1] != *sentence {
                lengths.push(0);
                first_of.push(word);
            } else {
                first_of.push(first_of[word - 1]);
            }
            if let Some(length) = lengths.last_mut() {
                *length += 1;
            }
        }
        let mut trees = Self {
            lengths,
            classes: Vec::with_capacity(firsts.len()),
            gold_rows: Vec::with_capacity(firsts.len()),
            columns: Vec::with_capacity(firsts.len()),
        };
        for (word, &token) in firsts.iter().enumerate() {
            let head = heads[token];
            let own = usize::try_from(head).ok();
            let own = own.and_then(|head| head.checked_sub(part.tokens().start));
            let row = own.and_then(|head| firsts.binary_search(&head).ok());
            let row = row.filter(|&row| first_of[row] == first_of[word]);
            let (row, column) = match row {
                _ if targets[token] == NO_TARGET => (firsts.len(), NO_TARGET),
                _ if head == i64::from(ROOT) => (firsts.len(), 0),
                Some(row) => (row, super::size(row - first_of[word] + 1)),
                None => return Err(HeadError::WrongHead { token, head }),
            };
            trees.classes.push(targets[token]);
            trees.gold_rows.push(row);
            trees.columns.push(column);
        }
        Ok(trees)
    }

    /// Words of the longest sentence.
    pub(super) fn longest(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// The place of each word among `sentences * longest`.
    pub(super) fn places(&self) -> Vec<usize> {
        let longest = self.longest();
        let sentences = self.lengths.iter().enumerate();
        let places = sentences
            .flat_map(|(sentence, &length)| (0..length).map(move |word| sentence * longest + word));
        places.collect()
    }

    /// The column of the gold head at each place.
    pub(super) fn head_targets(&self) -> Vec<i64> {
        let mut targets = vec![NO_TARGET; self.lengths.len() * self.longest()];
        for (place, &column) in self.places().into_iter().zip(&self.columns) {
            targets[place] = column;
        }
        targets
    }

    /// What is added to the scores of heads, `[sentences, longest + 1]`.
    #[expect(clippy::cast_possible_truncation, reason = "scores are float32")]
    pub(super) fn mask(&self) -> Vec<f32> {
        let longest = self.longest();
        let of_sentence = |&length: &usize| {
            let none = std::iter::repeat_n(MASKED as f32, longest - length);
            std::iter::repeat_n(0.0, length + 1).chain(none)
        };
        self.lengths.iter().flat_map(of_sentence).collect()
    }
}
