//! Batches of sequences of about the same length.
//!
//! Padding is computed and thrown away, so sequences are sorted by length and cut where that costs least: few
//! batches pad much, many batches pay the overhead of a run each. Rounding inside the encoder depends on a
//! batch's shape; the batches of a part therefore depend on nothing but the part and the [`Budget`], and an
//! extraction that was killed and resumed gives the same bytes.

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
        self.sequences
            .iter()
            .map(|&sequence| self.width as u64 - (offsets[sequence + 1] - offsets[sequence]))
            .sum()
    }
}

/// How large a batch may be, and what one more batch costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Most tokens of a batch, padding included; a single sequence may have more.
    pub tokens: usize,
    /// What a run costs beside its tokens, in tokens.
    pub overhead: usize,
}

impl Budget {
    /// The budget of `tokens` on an execution provider, `cpu` or `cuda`.
    ///
    /// On one CPU core a run of a 6-layer encoder costs 1 ms more than its tokens, which is 3 tokens; more cores
    /// do more tokens in that time. A GPU does hundreds.
    #[must_use]
    pub fn new(tokens: usize, provider: &str) -> Self {
        Self {
            tokens,
            overhead: if provider == "cpu" { 16 } else { 256 },
        }
    }
}

/// The cheapest batches of `sequences` within `budget`, longest first.
///
/// `offsets` (`[sequences + 1]`) is where sequences begin. Empty ones are left out: there is nothing to encode.
#[must_use]
pub fn batches(sequences: Range<usize>, offsets: &[u64], budget: Budget) -> Vec<Batch> {
    let length = |sequence: usize| {
        usize::try_from(offsets[sequence + 1] - offsets[sequence]).unwrap_or(usize::MAX)
    };
    let mut order: Vec<usize> = sequences.filter(|&sequence| length(sequence) > 0).collect();
    order.sort_by_key(|&sequence| (std::cmp::Reverse(length(sequence)), sequence));
    let widths: Vec<usize> = order.iter().map(|&sequence| length(sequence)).collect();
    let mut end = order.len();
    let begins = cheapest_begins(&widths, budget);
    let mut batches = Vec::new();
    while end > 0 {
        let begin = begins[end];
        batches.push(Batch {
            sequences: order[begin..end].to_vec(),
            width: widths[begin],
        });
        end = begin;
    }
    batches.reverse();
    batches
}

/// For each end of a batch, `[sequences + 1]`, the begin that makes it and all before it cheapest.
///
/// `widths` fall, so a batch is as wide as its first sequence; a shortest path over the cuts between them.
fn cheapest_begins(widths: &[usize], budget: Budget) -> Vec<usize> {
    let mut costs = vec![usize::MAX; widths.len() + 1];
    let mut begins = vec![0; widths.len() + 1];
    costs[0] = 0;
    for (begin, &width) in widths.iter().enumerate() {
        let rows = (budget.tokens / width).clamp(1, widths.len() - begin);
        for row in 1..=rows {
            let cost = costs[begin] + budget.overhead + row * width;
            if cost < costs[begin + row] {
                costs[begin + row] = cost;
                begins[begin + row] = begin;
            }
        }
    }
    begins
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Batch, Budget, batches};

    #[test]
    fn longest_first_and_ties_by_index() {
        let offsets = [0, 3, 5, 5, 8, 9];
        let expected = [
            Batch {
                sequences: vec![0, 3],
                width: 3,
            },
            Batch {
                sequences: vec![1, 4],
                width: 2,
            },
        ];
        assert_eq!(
            batches(
                0..5,
                &offsets,
                Budget {
                    tokens: 6,
                    overhead: 2
                }
            ),
            expected
        );
        assert_eq!(
            batches(
                2..3,
                &offsets,
                Budget {
                    tokens: 6,
                    overhead: 2
                }
            ),
            []
        );
    }

    #[test]
    fn a_cheap_run_is_worth_no_padding_and_a_dear_one_is() {
        let offsets = [0, 9, 18, 20, 22];
        let count = |overhead| {
            batches(
                0..4,
                &offsets,
                Budget {
                    tokens: 100,
                    overhead,
                },
            )
            .len()
        };
        assert_eq!(count(13), 2);
        assert_eq!(count(15), 1);
    }

    /// What all ways of cutting cost at least, by trying them.
    fn cheapest(widths: &[usize], budget: Budget) -> usize {
        if widths.is_empty() {
            return 0;
        }
        let rows = (budget.tokens / widths[0]).clamp(1, widths.len());
        let cost =
            |rows: usize| budget.overhead + rows * widths[0] + cheapest(&widths[rows..], budget);
        (1..=rows).map(cost).min().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn every_sequence_once_and_the_budget_kept(
            lengths in prop::collection::vec(0_u64..40, 1..80),
            tokens in 1_usize..200,
            overhead in 0_usize..50,
        ) {
            let mut offsets = vec![0];
            offsets.extend(lengths.iter().scan(0, |sum, length| { *sum += length; Some(*sum) }));
            let batches = batches(0..lengths.len(), &offsets, Budget { tokens, overhead });
            let mut seen: Vec<usize> = batches.iter().flat_map(|batch| batch.sequences.clone()).collect();
            seen.sort_unstable();
            let expected: Vec<usize> = (0..lengths.len()).filter(|&index| lengths[index] > 0).collect();
            prop_assert_eq!(seen, expected);
            for batch in &batches {
                prop_assert!(batch.sequences.len() == 1 || batch.sequences.len() * batch.width <= tokens);
                prop_assert!(batch.sequences.iter().all(|&index| lengths[index] <= batch.width as u64));
            }
        }

        #[test]
        fn no_other_cuts_are_cheaper(
            lengths in prop::collection::vec(1_u64..30, 1..12),
            tokens in 1_usize..100,
            overhead in 0_usize..50,
        ) {
            let budget = Budget { tokens, overhead };
            let mut offsets = vec![0];
            offsets.extend(lengths.iter().scan(0, |sum, length| { *sum += length; Some(*sum) }));
            let batches = batches(0..lengths.len(), &offsets, budget);
            let cost: usize = batches.iter().map(|batch| overhead + batch.width * batch.sequences.len()).sum();
            let mut widths: Vec<usize> = lengths.iter().map(|&length| usize::try_from(length).unwrap()).collect();
            widths.sort_unstable_by_key(|&width| std::cmp::Reverse(width));
            prop_assert_eq!(cost, cheapest(&widths, budget));
        }
    }
}
