//! The largest batch that a data set can give: what memory has to be enough for.

use cache::SplitTables;

use crate::batch::Budget;
use crate::encoder::Batch;

/// The sizes of a data set's largest batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargestBatch {
    /// Tokens of the longest sequence.
    longest: usize,
    /// Sequences of the split with most of them.
    sequences: usize,
    /// Tokens of the split with most of them.
    split_tokens: usize,
}

impl LargestBatch {
    /// The largest batch of `tables`; batches do not span splits.
    #[must_use]
    pub fn from_tables(tables: &[SplitTables]) -> Self {
        let lengths = tables.iter().flat_map(|table| table.offsets.windows(2));
        let longest = lengths.map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        let sequences = tables.iter().map(|table| table.sentence_of.len());
        let tokens = tables.iter().map(|table| table.input_ids.len());
        Self {
            longest: usize::try_from(longest).unwrap_or(usize::MAX),
            sequences: sequences.max().unwrap_or(0),
            split_tokens: tokens.max().unwrap_or(0),
        }
    }

    /// Its tokens where a batch may have `max_batch_tokens`: a sequence is never cut for a batch.
    #[must_use]
    pub fn tokens(&self, max_batch_tokens: usize) -> u64 {
        max_batch_tokens.min(self.split_tokens).max(self.longest) as u64
    }

    /// Tokens of a row.
    #[must_use]
    pub fn width(&self, budget: Budget) -> usize {
        budget.width(self.longest.max(1))
    }

    /// A batch of its shape, full of token 0.
    #[must_use]
    pub fn blank(&self, budget: Budget) -> Batch {
        let width = self.width(budget);
        let rows = (budget.tokens / width).clamp(1, self.sequences.max(1));
        Batch::blank(rows, width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_batch_is_larger_than_the_data_and_a_sequence_is_never_cut() {
        let table = |lengths: &[u64]| {
            let offsets = lengths.iter().scan(0, |end, length| {
                *end += length;
                Some(*end)
            });
            let tokens = usize::try_from(lengths.iter().sum::<u64>()).unwrap();
            SplitTables {
                name: shared::datasets::SplitName::Train,
                offsets: std::iter::once(0).chain(offsets).collect(),
                sentence_of: vec![0; lengths.len()],
                input_ids: vec![0; tokens],
                word_ids: vec![-1; tokens],
                words: Vec::new(),
                second_text: Vec::new(),
                labels: Vec::new(),
            }
        };
        let largest = LargestBatch::from_tables(&[table(&[5, 9, 3]), table(&[4])]);
        assert_eq!(largest.tokens(12), 12);
        assert_eq!(largest.tokens(1000), 17);
        assert_eq!(largest.tokens(4), 9);
        let shape = |tokens| {
            let batch = largest.blank(Budget::new(tokens, crate::encoder::Provider::Cpu));
            (batch.rows, batch.width)
        };
        assert_eq!(shape(20), (2, 9));
        assert_eq!(shape(1000), (3, 9));
        assert_eq!(shape(4), (1, 9));
    }
}
