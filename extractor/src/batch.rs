//! Batches of sequences of about the same length.
//!
//! Padding is computed and thrown away, so sequences are sorted by length before they are batched. Rounding
//! inside the encoder depends on a batch's shape; the batches of a part therefore depend on nothing but the
//! part and the budget, and an extraction that was killed and resumed gives the same bytes.

use std::ops::Range;

/// The sequences that are encoded together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Indices of sequences, longest first.
    pub sequences: Vec<usize>,
    /// Tokens of the longest sequence: the width of the padded batch.
    pub width: usize,
}

impl Batch {
    /// Padded positions of the batch, `offsets` as for [`batches`].
    #[must_use]
    pub fn padding(&self, offsets: &[u64]) -> u64 {
        self.sequences.iter().map(|&sequence| self.width as u64 - (offsets[sequence + 1] - offsets[sequence])).sum()
    }
}

/// Batches of `sequences`, longest first, of at most `max_tokens` tokens with padding, at least one sequence each.
///
/// `offsets` (`[sequences + 1]`) is where sequences begin. Empty ones are left out: there is nothing to encode.
#[must_use]
pub fn batches(sequences: Range<usize>, offsets: &[u64], max_tokens: usize) -> Vec<Batch> {
    let length = |sequence: usize| usize::try_from(offsets[sequence + 1] - offsets[sequence]).unwrap_or(usize::MAX);
    let mut order: Vec<usize> = sequences.filter(|&sequence| length(sequence) > 0).collect();
    order.sort_by_key(|&sequence| (std::cmp::Reverse(length(sequence)), sequence));
    let mut batches = Vec::new();
    let mut rest = order.as_slice();
    while let Some(&longest) = rest.first() {
        let width = length(longest);
        let rows = (max_tokens / width).clamp(1, rest.len());
        let (now, later) = rest.split_at(rows);
        batches.push(Batch { sequences: now.to_vec(), width });
        rest = later;
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Batch, batches};

    #[test]
    fn longest_first_and_ties_by_index() {
        let offsets = [0, 3, 5, 5, 8, 9];
        let expected = [
            Batch { sequences: vec![0, 3], width: 3 },
            Batch { sequences: vec![1, 4], width: 2 },
        ];
        assert_eq!(batches(0..5, &offsets, 6), expected);
        assert_eq!(batches(2..3, &offsets, 6), []);
    }

    proptest! {
        #[test]
        fn every_sequence_once_and_the_budget_kept(
            lengths in prop::collection::vec(0_u64..40, 1..80),
            budget in 1_usize..200,
        ) {
            let mut offsets = vec![0];
            offsets.extend(lengths.iter().scan(0, |sum, length| { *sum += length; Some(*sum) }));
            let batches = batches(0..lengths.len(), &offsets, budget);
            let mut seen: Vec<usize> = batches.iter().flat_map(|batch| batch.sequences.clone()).collect();
            seen.sort_unstable();
            let expected: Vec<usize> = (0..lengths.len()).filter(|&index| lengths[index] > 0).collect();
            prop_assert_eq!(seen, expected);
            for batch in &batches {
                prop_assert!(batch.sequences.len() == 1 || batch.sequences.len() * batch.width <= budget);
                prop_assert!(batch.sequences.iter().all(|&index| lengths[index] <= batch.width as u64));
            }
        }
    }
}
