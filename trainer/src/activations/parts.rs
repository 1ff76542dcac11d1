//! The parts of a batch: consecutive whole sequences, computed on one core each; losses and gradients of
//! the parts are added up in order. Matrix products of a few hundred rows are too small for several
//! threads, which would wait for each other more than they compute. How a batch is divided depends on
//! the lengths of its sequences alone, so that the numbers are the same on any number of threads.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use tch::TchError;

use super::Means;

/// Batches of fewer tokens stay whole.
const WORTH_CUTTING: usize = 128;
/// Tokens of a pair of parts, at most. Parts are even in number, as cores are.
const PAIR: usize = 1024;

/// Some consecutive sequences of a batch.
pub struct Part {
    /// Tokens in the batch.
    tokens: Range<usize>,
    /// Sentences in the batch.
    sentences: Range<usize>,
    /// Token `offsets[i]..offsets[i + 1]` of the part are its sequence `i`'s; `[sequences + 1]`.
    offsets: Vec<usize>,
    /// The sentence of each sequence, ascending from 0 without gaps, where it was told.
    pool: Option<Vec<usize>>,
    /// Means over layers and over tokens, once a head has needed them.
    means: Mutex<Option<Means>>,
}

impl Part {
    /// The sequences `sequences` of a batch.
    fn new(sequences: Range<usize>, offsets: &[usize], pool: Option<&[usize]>) -> Self {
        let tokens = offsets[sequences.start]..offsets[sequences.end];
        let own = pool.map(|pool| &pool[sequences.clone()]);
        let sentences = match own {
            Some([first, .., last]) => *first..last + 1,
            Some([only]) => *only..only + 1,
            _ => sequences.clone(),
        };
        Self {
            offsets: offsets[sequences.start..=sequences.end]
                .iter()
                .map(|offset| offset - tokens.start)
                .collect(),
            pool: own.map(|pool| pool.iter().map(|place| place - sentences.start).collect()),
            tokens,
            sentences,
            means: Mutex::new(None),
        }
    }

    /// A batch of sequences whose tokens are `offsets[i]..offsets[i + 1]`, uncut.
    pub(super) fn whole(offsets: &[usize], pool: Option<&[usize]>) -> Self {
        Self::new(0..offsets.len() - 1, offsets, pool)
    }

    /// The parts of such a batch. Sequences of one sentence stay together.
    pub(super) fn cut(offsets: &[usize], pool: Option<&[usize]>) -> Vec<Self> {
        let (sequences, total) = (offsets.len() - 1, offsets[offsets.len() - 1]);
        let wanted = if total < WORTH_CUTTING {
            1
        } else {
            2 * total.div_ceil(PAIR)
        };
        let mut parts = Vec::with_capacity(wanted);
        let mut start = 0;
        for end in 1..=sequences {
            let splits_a_sentence =
                pool.is_some_and(|pool| end < sequences && pool[end] == pool[end - 1]);
            // The next cut is where the tokens so far are nearest to their share.
            let share = (parts.len() + 1) * total / wanted;
            let reached = end == sequences
                || offsets[end] + offsets[end + 1] > 2 * share && offsets[end] > offsets[start];
            if reached && !splits_a_sentence {
                parts.push(Self::new(start..end, offsets, pool));
                start = end;
            }
        }
        parts
    }

    /// Its tokens in the batch.
    #[must_use]
    pub const fn tokens(&self) -> &Range<usize> {
        &self.tokens
    }

    /// Its sentences in the batch.
    #[must_use]
    pub const fn sentences(&self) -> &Range<usize> {
        &self.sentences
    }

    /// Number of its sequences.
    #[must_use]
    pub fn sequences(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Token `offsets()[i]..offsets()[i + 1]` of the part are its sequence `i`'s.
    #[must_use]
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The sentence of each sequence, from 0, where it was told.
    #[must_use]
    pub fn pool(&self) -> Option<&[usize]> {
        self.pool.as_deref()
    }

    /// The part's means, which `compute` makes for the first head that needs them. They depend on no
    /// parameter, so that all heads that learn from the batch use the same tensors. Nobody writes to
    /// them.
    pub(crate) fn means(
        &self,
        compute: impl FnOnce() -> Result<Means, TchError>,
    ) -> Result<Means, TchError> {
        let mut means = self.means.lock().unwrap_or_else(PoisonError::into_inner);
        let (over_layers, over_tokens) = match means.take() {
            Some(means) => means,
            None => compute()?,
        };
        let shared = (over_layers.shallow_clone(), over_tokens.shallow_clone());
        *means = Some((over_layers, over_tokens));
        Ok(shared)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_are_the_batch_in_order_and_sentences_stay_whole(
            lengths in prop::collection::vec(0_usize..400, 1..70),
            joined in prop::collection::vec(any::<bool>(), 70),
        ) {
            let mut offsets = vec![0];
            let mut pool = Vec::new();
            for (place, length) in lengths.iter().enumerate() {
                offsets.push(offsets[place] + length);
                let last = pool.last().copied().unwrap_or(0);
                pool.push(if place == 0 || joined[place] { last } else { last + 1 });
            }
            let parts = Part::cut(&offsets, Some(&pool));
            let (mut token, mut sentence, mut sequences) = (0, 0, 0);
            for part in &parts {
                prop_assert_eq!(part.tokens().start, token);
                prop_assert_eq!(part.sentences().start, sentence);
                let total = part.offsets()[part.sequences()];
                prop_assert_eq!(part.tokens().len(), total);
                token = part.tokens().end;
                sentence = part.sentences().end;
                sequences += part.sequences();
            }
            prop_assert_eq!(token, offsets[lengths.len()]);
            prop_assert_eq!(sentence, pool[lengths.len() - 1] + 1);
            prop_assert_eq!(sequences, lengths.len());
        }

        #[test]
        fn parts_are_about_even(lengths in prop::collection::vec(10_usize..40, 20..60)) {
            let mut offsets = vec![0];
            for length in &lengths {
                offsets.push(offsets[offsets.len() - 1] + length);
            }
            let parts = Part::cut(&offsets, None);
            let total = offsets[lengths.len()];
            prop_assert_eq!(parts.len(), 2 * total.div_ceil(PAIR));
            for part in parts {
                prop_assert!(part.tokens().len().abs_diff(total / (2 * total.div_ceil(PAIR))) <= 40);
            }
        }
    }
}
