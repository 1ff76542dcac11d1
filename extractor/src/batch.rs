//! Batches of sequences of about the same length.
//!
//! Padding is computed and thrown away, so sequences are sorted by length and cut where that costs
//! least: few batches pad much, many batches pay the overhead of a run each. Rounding inside the
//! encoder depends on a batch's shape; the batches of a part therefore depend on nothing but the
//! part and the [`Budget`], and an extraction that was killed and resumed gives the same bytes.

use std::ops::Range;

use crate::encoder::Provider;

/// The sequences that are encoded together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Indices of sequences, longest first.
    pub sequences: Vec<usize>,
    /// Tokens that each is padded to: those of the longest sequence, or a few more
    /// ([`Budget::bucketed`]).
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
    /// Widths are multiples of this, 1 for any width.
    pub bucket: usize,
    /// Largest width, whatever the multiples are.
    pub longest: usize,
}

/// Tokens of a batch on a CPU, unless it is said otherwise: more is no faster there, and each
/// layer's output takes memory for them.
pub const CPU_TOKENS: usize = 2048;
/// Tokens of a batch on a GPU at most, unless it is said otherwise: enough to keep the largest
/// busy.
pub const GPU_TOKENS: usize = 16384;

/// Full batches whose rows a part of the store holds on a GPU: among so many sequences there are
/// enough of each length to fill batches with.
pub const GPU_PART_BATCHES: u64 = 32;
/// Most bytes of such a part: what a killed run loses. A disk takes this in 5 s at 3 GB/s, in 80 s
/// at 200 MB/s.
pub const GPU_PART_BYTES: u64 = 16_000_000_000;

/// Widths of batches on a GPU. Its kernels are fastest on multiples of 8, and its memory is laid
/// out anew for each shape that it has not seen: the fewer there are, the less it creeps.
const GPU_BUCKET: usize = 8;

impl Budget {
    /// The budget of `tokens` on an execution provider.
    ///
    /// On one CPU core a run of a 6-layer encoder costs 1 ms more than its tokens, which is 3
    /// tokens; more cores do more tokens in that time. A GPU does hundreds.
    #[must_use]
    pub fn new(tokens: usize, provider: Provider) -> Self {
        Self {
            tokens,
            overhead: match provider {
                Provider::Cpu => 16,
                Provider::Cuda => 256,
            },
            bucket: 1,
            longest: usize::MAX,
        }
    }

    /// The same with widths that suit a GPU, none above `longest`, which is what the encoder takes.
    /// What they add is padding.
    #[must_use]
    pub fn bucketed(self, longest: usize) -> Self {
        Self {
            bucket: GPU_BUCKET,
            longest,
            ..self
        }
    }

    /// The width of a batch whose longest sequence has `tokens` tokens.
    #[must_use]
    pub fn width(self, tokens: usize) -> usize {
        tokens
            .checked_next_multiple_of(self.bucket)
            .unwrap_or(tokens)
            .min(self.longest.max(tokens))
    }
}

/// The cheapest batches of `sequences` within `budget`, longest first.
///
/// `offsets` (`[sequences + 1]`) is where sequences begin. Empty ones are left out: there is
/// nothing to encode.
#[must_use]
pub fn batches(sequences: Range<usize>, offsets: &[u64], budget: Budget) -> Vec<Batch> {
    let length = |sequence: usize| {
        usize::try_from(offsets[sequence + 1] - offsets[sequence]).unwrap_or(usize::MAX)
    };
    let mut order: Vec<usize> = sequences.filter(|&sequence| length(sequence) > 0).collect();
    order.sort_by_key(|&sequence| (std::cmp::Reverse(length(sequence)), sequence));
    let widths: Vec<usize> = order
        .iter()
        .map(|&sequence| budget.width(length(sequence)))
        .collect();
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
/// `widths` fall, so a batch is as wide as its first sequence; a shortest path over the cuts
/// between them.
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

/// Indices below `count` in an order whose every beginning is spread over all of them: steps of the
/// golden section.
pub fn spread(count: usize) -> impl Iterator<Item = usize> {
    let step = (count * 618 / 1000).max(1);
    let step = (step..=count)
        .find(|&step| greatest_common_divisor(step, count) == 1)
        .unwrap_or(1);
    (0..count).map(move |number| number * step % count)
}

fn greatest_common_divisor(one: usize, other: usize) -> usize {
    if other == 0 {
        one
    } else {
        greatest_common_divisor(other, one % other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Batch, Budget, GPU_PART_BYTES, batches, spread};
    use crate::encoder::Provider;

    fn budget(tokens: usize, overhead: usize) -> Budget {
        Budget {
            tokens,
            overhead,
            ..Budget::new(0, Provider::Cpu)
        }
    }

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
        assert_eq!(batches(0..5, &offsets, budget(6, 2)), expected);
        assert_eq!(batches(2..3, &offsets, budget(6, 2)), []);
    }

    #[test]
    fn a_cheap_run_is_worth_no_padding_and_a_dear_one_is() {
        let offsets = [0, 9, 18, 20, 22];
        let count = |overhead| batches(0..4, &offsets, budget(100, overhead)).len();
        assert_eq!(count(13), 2);
        assert_eq!(count(15), 1);
    }

    #[test]
    fn widths_for_a_gpu_are_multiples_of_8_up_to_what_the_encoder_takes() {
        let offsets = [0, 1, 9, 17, 47, 60];
        let budget = budget(64, 0).bucketed(30);
        let batches = batches(0..5, &offsets, budget);
        let widths: Vec<usize> = batches.iter().map(|batch| batch.width).collect();
        assert_eq!(widths, [30, 16, 8]);
        assert_eq!(batches[2].sequences, [1, 2, 0]);
        // The padding that they add is counted with the other.
        assert_eq!(batches[1].padding(&offsets), 3);
        assert_eq!(batches[2].padding(&offsets), 7);
    }

    #[test]
    fn every_batch_comes_once_and_early_ones_are_far_apart() {
        for count in [1, 2, 3, 10, 64, 999] {
            let mut all: Vec<usize> = spread(count).collect();
            assert!(count < 10 || all[0].abs_diff(all[1]) > count / 3);
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
        assert_eq!(spread(0).count(), 0);
    }

    /// bert-large in float16: 280,000 tokens of sentences as long as those of CoNLL-2003 (a
    /// log-normal distribution with a mean of 20 tokens), cut into the parts that a GPU has.
    #[test]
    fn batches_on_a_gpu_are_full() {
        const PART_TOKENS: u64 = GPU_PART_BYTES / (25 * 1024 * 2);
        let mut state = 1_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31)
        };
        let mut offsets = vec![0];
        while offsets[offsets.len() - 1] < 280_000 {
            let normal =
                (-2.0 * (1.0 - uniform()).ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
            let length = (2.75 + 0.75 * normal).exp().round().clamp(3.0, 130.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most 130"
            )]
            offsets.push(offsets[offsets.len() - 1] + length as u64);
        }
        let budget = Budget::new(16_384, Provider::Cuda).bucketed(512);
        let (mut count, mut positions, mut padding) = (0, 0, 0);
        for first in (0..280_000).step_by(usize::try_from(PART_TOKENS).unwrap()) {
            let begin = offsets.partition_point(|&offset| offset < first);
            let end = offsets.partition_point(|&offset| offset < first + PART_TOKENS);
            for batch in batches(begin..end.min(offsets.len() - 1), &offsets, budget) {
                count += 1;
                positions += (batch.width * batch.sequences.len()) as u64;
                padding += batch.padding(&offsets);
            }
        }
        assert!(count <= 26, "{count} batches");
        assert!(
            positions / count >= 12_000,
            "{} positions a batch",
            positions / count
        );
        assert!(
            padding * 100 <= 15 * positions,
            "{padding} of {positions} are padding"
        );
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
            let batches = batches(0..lengths.len(), &offsets, budget(tokens, overhead));
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
            let budget = budget(tokens, overhead);
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
